"""What a letter asks to be told of, in parameters that no address can break out of."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.config.delivery import DeliverySection
from campaign.delivery.smtp.dsn import LONGEST_ORCPT, DsnParameters, original_recipient, wishes, xtext
from campaign.model import Letter


def letter(recipient: str = "u@example.com", message_id: str = "<0a1b2c@example.com>") -> Letter:
    return Letter(1, message_id, "n@example.com", recipient, b"", b"")


def chosen(**keys: object) -> DeliverySection:
    return DeliverySection.model_validate(keys)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("ada@example.com", "ada@example.com"),
        ("ada+news=1@example.com", "ada+2Bnews+3D1@example.com"),
        ("a b", "a+20b"),
        ("a\r\nRCPT TO:<x@y>", "a+0D+0ARCPT+20TO:<x@y>"),
        ("~!*<>;{}", "~!*<>;{}"),
        ("\x7f", "+7F"),
    ],
)
def test_xtext_leaves_printable_characters_and_encodes_the_rest(text: str, encoded: str) -> None:
    assert xtext(text) == encoded


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("ada+x@example.com", "rfc822;ada+2Bx@example.com"),
        ("jos\u00e9@example.com", "utf-8;jos\\x{E9}@example.com"),
        ("\u5f20+\u4e09@example.com", "utf-8;\\x{5F20}\\x{2B}\\x{4E09}@example.com"),
        ("\U0001f600=\\@example.com", "utf-8;\\x{1F600}\\x{3D}\\x{5C}@example.com"),
    ],
)
def test_the_original_recipient_is_named_in_seven_bits(address: str, written: str) -> None:
    assert original_recipient(address) == written


@given(st.text(max_size=60))
def test_no_address_breaks_out_of_its_parameter(address: str) -> None:
    written = original_recipient(address)
    assert re.fullmatch(r"(rfc822|utf-8);[\x21-\x7e]*", written)
    assert "=" not in written
    if address.isascii():
        assert re.sub(r"\+([0-9A-F]{2})", lambda hexed: chr(int(hexed[1], 16)), written[7:]) == address
    else:
        assert re.sub(r"\\x\{([0-9A-F]+)\}", lambda hexed: chr(int(hexed[1], 16)), written[6:]) == address


@pytest.mark.parametrize(
    ("dsn", "returned", "mail", "rcpt"),
    [
        (["failure"], "headers", " RET=HDRS ENVID=0a1b2c", " NOTIFY=FAILURE ORCPT=rfc822;u@example.com"),
        ("failure", "full", " RET=FULL ENVID=0a1b2c", " NOTIFY=FAILURE ORCPT=rfc822;u@example.com"),
        (
            ["success", "delay", "success"],
            "headers",
            " RET=HDRS ENVID=0a1b2c",
            " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;u@example.com",
        ),
        ("never", "headers", "", " NOTIFY=NEVER"),
    ],
)
def test_a_wish_becomes_parameters(dsn: object, returned: str, mail: str, rcpt: str) -> None:
    settings = chosen(dsn=dsn, dsn_return=returned)
    found = wishes(settings.dsn, settings.dsn_return, {"dsn": ""})
    assert found is not None
    assert (found.mail(letter()), found.rcpt(letter())) == (mail, rcpt)


def test_nothing_is_asked_of_a_relay_without_dsn_nor_unless_wished() -> None:
    assert wishes(("failure",), "headers", {"pipelining": "", "size": "1"}) is None
    assert wishes((), "headers", {"dsn": ""}) is None


def test_what_would_be_too_long_is_left_out() -> None:
    asked = DsnParameters("FAILURE", full=False)
    assert asked.mail(letter(message_id=f"<{'a' * 101}@x>")) == " RET=HDRS"
    assert asked.rcpt(letter("\u00e9" * LONGEST_ORCPT + "@x")) == " NOTIFY=FAILURE"


@pytest.mark.parametrize("dsn", [["never", "failure"], "always", ["failure", 1]])
def test_a_wish_that_cannot_be_is_refused(dsn: object) -> None:
    with pytest.raises(ValueError, match="dsn"):
        chosen(dsn=dsn)
