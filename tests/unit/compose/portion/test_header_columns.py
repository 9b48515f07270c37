"""Header values of several rows are those that each has alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.compose.mime.encoded_words import q_encoded
from campaign.compose.mime.header_gate import HeaderGate, HeaderRefused
from campaign.compose.mime.header_values import encode_text, mailbox_header
from campaign.compose.mime.list_unsubscribe import list_unsubscribe
from campaign.compose.portion.header_columns import encoded_texts, mailboxes, unsubscribe_links

ODD = [
    "", " ", "Ada", " Ada", "Ada ", "Ada, King", "Zoë", "Łucja Świątek", "=?utf-8?q?x?=", "a=b", "x\r\nBcc: y", "\x00",
    "\u2028", "\u202e", "\ud800", "你好" * 30, "\N{PILE OF POO}", "w" * 75, "w" * 76, "w " * 40, "O'Neil", "A.B.",
    '"x"', "a\\b", "ü" * 60, "é ", "_", "a_b ü", "ü=20", ".", "ü.", "\u00a0x", "A" * 501, "ü" * 501, "ü,;:()<>@[]?",
]  # fmt: skip
ADDRESSES = [
    "ada@example.com", "a.b+c@mail.example.com", "x@y", "ada", "", "a@b@c", "ada@example.com\n", "ä@example.com",
    "=?x@example.com", f"{'l' * 64}@example.com", f"{'l' * 65}@example.com", "a b@example.com", "<a@example.com>",
]  # fmt: skip
URLS = [
    "https://example.com/u/abc", "https://example.com", "http://example.com/", "https://example.com/ü", "",
    "https://example.com/a b", "https://example.com/a\n", f"https://example.com/{'p' * 900}", "https://example.com/=?",
]  # fmt: skip
texts = st.one_of(st.sampled_from(ODD), st.text(max_size=100), st.text("abc.=_? ü,", max_size=60))
many = settings(max_examples=300, deadline=None)


def alone(encode: Callable[..., str | None], *values: Any) -> str | None:
    try:
        return encode(*values)
    except HeaderRefused:
        return None


def field(url: str, mailto: str) -> str | None:
    found = list_unsubscribe(url, mailto)
    return found[0][1] if found else None


@given(values=st.lists(texts, min_size=1, max_size=9), name=st.sampled_from(["Subject", "X-A-Rather-Long-Name"]))
@many
def test_texts(values: list[str], name: str) -> None:
    assert encoded_texts(name, values) == [alone(encode_text, name, value) for value in values]


@given(rows=st.lists(st.tuples(texts, st.sampled_from(ADDRESSES)), min_size=1, max_size=9))
@many
def test_mailboxes(rows: list[tuple[str, str]]) -> None:
    names, addresses = [row[0] for row in rows], [row[1] for row in rows]
    assert mailboxes(names, addresses) == [alone(mailbox_header, *row) for row in rows]


@given(rows=st.lists(st.tuples(texts, st.integers(1, 70)), min_size=1, max_size=9))
@many
def test_mailboxes_whose_addresses_need_no_closer_look(rows: list[tuple[str, int]]) -> None:
    names, addresses = [name for name, _ in rows], [f"{'l' * min(length, 52)}@example.com" for _, length in rows]
    pairs = zip(names, addresses, strict=True)
    assert mailboxes(names, addresses) == [alone(mailbox_header, *pair) for pair in pairs]


@given(
    urls=st.lists(st.sampled_from(URLS), min_size=1, max_size=9),
    mailto=st.sampled_from(["", "leave@example.com", "mailto:leave@example.com?subject=out", "no address"]),
)
@many
def test_links(urls: list[str], mailto: str) -> None:
    assert unsubscribe_links(urls, mailto) == [alone(field, url, mailto) for url in urls]


def test_a_list_without_names() -> None:
    assert mailboxes(["", ""], ["a@example.com", "b@example.com"]) == ["a@example.com", "b@example.com"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=120), min_size=1, max_size=6))
@many
def test_q_encoding_is_that_of_rfc_2047(values: list[str]) -> None:
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
    signs = {octet: chr(octet) if chr(octet) in plain else f"={octet:02X}" for octet in range(256)} | {0x20: "_"}
    assert q_encoded(values) == ["".join([signs[octet] for octet in value.encode()]) for value in values]


@pytest.mark.parametrize("odd", ["a\r\nBcc: b", "a\r\n\tb", "\r\n", "a\0b", "ü", "x" * 990, "a\nb"])
def test_blocks_of_several_rows_pass_the_gate_only_if_each_does(odd: str) -> None:
    gate = HeaderGate([("From", "a@example.com"), ("To", None), ("Subject", None)])
    rows = [("b@example.com", "one"), ("c@example.com", "two\r\n three")]
    assert gate.fill_all(rows) == [gate.fill(*row).decode("ascii") for row in rows]
    assert gate.fill_all([*rows, ("d@example.com", odd)]) is None
