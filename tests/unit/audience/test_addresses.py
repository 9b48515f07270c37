"""What is an address, how it goes on the wire, and what it is compared by."""

from __future__ import annotations

import unicodedata

import email_validator
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from campaign.audience.screening import addresses
from campaign.audience.screening.addresses import ENCODED_WORD, Address, Refusal, address_key, domain_key, parse_address
from campaign.compose.mime import header_values
from campaign.delivery.smtp import mail_transaction

TAKEN = {
    "ada@example.com": "ada@example.com",
    "  ada@example.com\t": "ada@example.com",
    "Ada.Lovelace+news@Example.COM": "Ada.Lovelace+news@example.com",
    "INFO@example.org": "INFO@example.org",
    "o'hara/x=y{z}~@a-b.example.net": "o'hara/x=y{z}~@a-b.example.net",
    "1@2.example": "1@2.example",
    "x@printer.corp.local": "x@printer.corp.local",
    "x@shop.test": "x@shop.test",
    "ada@bücher.example": "ada@xn--bcher-kva.example",
    "ada@BÜCHER.example": "ada@xn--bcher-kva.example",
    "ada@xn--bcher-kva.example": "ada@xn--bcher-kva.example",
    "ada@XN--BCHER-KVA.example": "ada@xn--bcher-kva.example",
    "ada@straße.example": "ada@xn--strae-oqa.example",
    "ada@例え.example": "ada@xn--r8jz45g.example",
    "ada@example。com": "ada@example.com",
    "zoë@example.com": "zoë@example.com",
    "zoe\u0308@example.com": "zoë@example.com",
    "用户@例子.example": "用户@xn--fsqu00a.example",
}

REFUSED = [
    "",
    "   ",
    "ada",
    "ada@",
    "@example.com",
    "ada@example",
    "ada@localhost",
    "ada@@example.com",
    "ada@example.com@example.net",
    "a b@example.com",
    "ada@exa mple.com",
    ".ada@example.com",
    "ada.@example.com",
    "a..b@example.com",
    "ada@-example.com",
    "ada@example-.com",
    "ada@example..com",
    "ada@example.com.",
    "ada@.example.com",
    "ada@exa_mple.com",
    "ada@ab--cd.com",
    "ada@xn--0049.com",
    "ada@xn--a.com",
    "ada@example.123",
    "ada@192.0.2.1",
    "ada@[192.0.2.1]",
    "ada@[IPv6:2001:db8::1]",
    "Ada <ada@example.com>",
    "<ada@example.com>",
    '"ada"@example.com',
    '"ada lovelace"@example.com',
    '"x@example.net y"@example.com',
    "ada(comment)@example.com",
    "ada@example.com(x)evil.com",
    "ada@(comment)example.com",
    "group:ada@example.com;",
    "@relay.example,@b.example:ada@example.com",
    "ada%relay@",
    "ada@example.com,bob@example.com",
    "ada@example.com;bob@example.com",
    "ada@example.com bob@example.com",
    "mailto:ada@example.com?subject=x y",
    "=?utf-8?q?ada=40evil.test?= <ada@example.com>",
    "ada=?@example.com",
    "zoë=?@example.com",
    "ada@example.com\r\nBcc: eve@example.net",
    "ada\r\n@example.com",
    "ada\n@example.com",
    "ada@example.com> SIZE=1",
    "ada\0@example.com",
    "ada@exam\0ple.com",
    "ada\x7f@example.com",
    "ada\x85@example.com",
    "ada\u2028@example.com",
    "ada\u202e@example.com",
    "ada\u2066@example.com",
    "ada\u200b@example.com",
    "ada\ufeff@example.com",
    "ada\u00a0@example.com",
    "ada@exam\u202eple.com",
    "ada\ud800@example.com",
    "ada@\udfff.com",
    "ada\ue000@example.com",
    "ada@\u0301example.com",
    "\u0301ada@example.com",
    "ada＠example.com",
    "ada\\@example.com",
    "ada@example.com\\",
    "ada@nowhere.invalid",
    "ada@hidden.onion",
    "ada@1.0.0.127.in-addr.arpa",
    "x" * 65 + "@example.com",
    "é" * 33 + "@example.com",
    "ada@" + "x" * 64 + ".com",
    "ada@" + ".".join(["x" * 62] * 4) + ".com",
    "x" * 64 + "@" + ".".join(["x" * 50] * 4) + ".com",
    "x" * 100_000,
    "ada@" + "é" * 100_000,
]


@pytest.mark.parametrize(("text", "wire"), TAKEN.items(), ids=[ascii(text) for text in TAKEN])
def test_an_address_goes_on_the_wire_with_its_local_part_as_given_and_its_domain_in_a_labels(
    text: str, wire: str
) -> None:
    assert parse_address(text) == Address(wire, smtputf8=not wire.isascii())


@pytest.mark.parametrize("text", REFUSED, ids=[ascii(text)[:60] for text in REFUSED])
def test_everything_else_is_refused_with_a_reason_that_is_safe_to_print(text: str) -> None:
    found = parse_address(text)
    assert isinstance(found, Refusal)
    assert 5 < len(found.reason) <= 200
    assert found.reason.isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.com", "ADA@Example.Com"),
        ("ada@bücher.example", "Ada@XN--BCHER-KVA.example"),
        ("zoë@example.com", "ZOE\u0308@example.com"),
        ("ada@example.com", " ada@example.com "),
    ],
)
def test_spellings_of_one_mailbox_share_a_key(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.da@gmail.com", "ada@gmail.com"),
        ("ada+x@gmail.com", "ada@gmail.com"),
        ("sam@example.com", "\u017fam@example.com"),
        ("\u0131nfo@example.com", "info@example.com"),
        ("ada@example.com", "ada@example.net"),
    ],
)
def test_different_mailboxes_have_different_keys(one: str, other: str) -> None:
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a.d.a+news@gmail.com", "ada@googlemail.com", True),
        ("ada+news@outlook.com", "ada@outlook.com", True),
        ("a.da@outlook.com", "ada@outlook.com", False),
        ("a.da+x@example.com", "ada@example.com", False),
        ("+@gmail.com", "@gmail.com", False),
    ],
)
def test_provider_rules_fold_what_the_provider_folds(one: str, other: str, same: bool) -> None:
    assert (address_key(one, provider_rules=True) == address_key(other, provider_rules=True)) is same


def test_a_domain_has_the_same_form_alone_as_in_an_address() -> None:
    assert domain_key("BÜCHER.example") == "xn--bcher-kva.example"
    assert domain_key("not a domain") is None


LIKELY = st.text(st.sampled_from("aZ09.-_+@!#xn'/=? \t\"()<>[]:;,\\éßİ中\u0301\u200b。"), max_size=24)
ADDRESSES = st.emails() | LIKELY | st.builds("{}@{}".format, LIKELY, LIKELY | st.just("example.com")) | st.text()


@given(ADDRESSES)
@example("a@aa--a.aa")
@example("a@a.a-b")
@example("a@x.arpa")
@example("a@arpa")
@example("a@test")
@example("a@a.test")
@example("a@xn--a.com")
@example("a@b.c-")
@example("A@B.XN--P1AI")
def test_the_fast_path_and_the_library_give_the_same_verdict(text: str) -> None:
    fast, slow = parse_address(text), addresses._parse_uncommon(text.strip(addresses.BLANKS))
    assert isinstance(fast, Address) is isinstance(slow, Address)
    if isinstance(fast, Address):
        assert fast == slow


@given(st.emails())
def test_the_library_alone_agrees_with_what_is_taken(text: str) -> None:
    assume(ENCODED_WORD not in text)
    try:
        found = email_validator.validate_email(text, check_deliverability=False, strict=True)
    except email_validator.EmailNotValidError:
        assert isinstance(parse_address(text), Refusal)
    else:
        assert parse_address(text) == Address(f"{text.partition('@')[0]}@{found.ascii_domain}")


@given(ADDRESSES)
def test_whatever_is_taken_is_safe_in_an_envelope(text: str) -> None:
    found = parse_address(text)
    if isinstance(found, Refusal):
        assert found.reason.isprintable()
        return
    local, _, domain = found.wire.rpartition("@")
    assert domain == domain.lower()
    assert domain.isascii()
    assert found.smtputf8 is not local.isascii()
    assert found.wire == unicodedata.normalize("NFC", found.wire)
    assert len(local.encode()) <= 64
    assert len(found.wire.encode()) <= 254
    assert not set(found.wire) & set(' \t\r\n\0<>()[]:;,\\"')
    assert all(unicodedata.category(character)[0] != "C" for character in found.wire)


@given(ADDRESSES, st.sampled_from(["", "Ada", "Zoë, née =?"]))
@example("ada=?@example.com", "")
@example("zoë=?@example.com", "Ada")
@example("x" * 64 + "@" + "y" * 63 + "." + "z" * 63 + "." + "w" * 57 + ".com", "")
@example("é" * 32 + "@example.com", "")
def test_whatever_is_taken_goes_into_an_envelope_and_into_a_header(text: str, name: str) -> None:
    found = parse_address(text)
    if isinstance(found, Address):
        assert found.wire in header_values.mailbox_header(name, found.wire, smtputf8=found.smtputf8)
        assert mail_transaction._fits(
            found.wire, mail_transaction._WIDE if found.smtputf8 else mail_transaction._ADDRESS
        )


@given(st.emails())
def test_parsing_what_was_parsed_changes_nothing(text: str) -> None:
    found = parse_address(text)
    if isinstance(found, Address):
        assert parse_address(found.wire) == found


def key(text: str) -> str:
    found = parse_address(text)
    assert isinstance(found, Address)
    return address_key(found.wire)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ada@example.com; bob@example.com", "2 addresses in one cell"),
        ("ada@example.com,bob@example.com , eve@example.com", "3 addresses in one cell"),
        ("ada@example.com\nbob@example.com", "2 addresses in one cell"),
        ("Ada <ada@example.com>, Bob <bob@example.com>", "2 addresses in one cell"),
        ("Ada Lovelace <ada@example.com>", "a name and an address in one cell"),
        ('"Lovelace, Ada" <ada@example.com>', "a name and an address in one cell"),
        ("<ada@example.com>", "the address stands in angle brackets"),
        ("mailto:ada@example.com", "the address begins with mailto:"),
        ("MAILTO:ada@example.com?subject=x", "the address begins with mailto:"),
        ("ada@@example.com", "the part after the @ contains invalid characters"),
        ("ada @example.com", "the address contains invalid characters"),
    ],
)
def test_a_cell_that_holds_more_than_an_address_is_refused_by_what_it_holds(text: str, told: str) -> None:
    found = parse_address(text)
    assert isinstance(found, Refusal)
    assert found.reason.startswith(told)
