"""Header values read back as what was meant, and what cannot be written is refused in words."""

import email
import email.policy
import hashlib
import hmac
import re
from dataclasses import replace
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.compose.mime.encoded_words import encoded_words
from campaign.compose.mime.header_values import (
    HeaderGate,
    HeaderRefused,
    block,
    boundary,
    check_custom_name,
    custom,
    date,
    disposition,
    encode_text,
    mailbox_header,
    message_id,
)
from campaign.compose.mime.list_unsubscribe import list_unsubscribe
from campaign.errors import ConfigError
from campaign.model import Identity

IDENTITY = Identity("gazette", "2026-11", 1, b"secret of the tests, 32 octets..")
SINGLE_BLANK = re.compile("(?<=[^ ]) (?=[^ ])")  # the only places where a line is folded
BIDI = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
writable = st.text(
    st.characters(
        exclude_categories=("Cs", "Cc"),
        exclude_characters=BIDI,
    ),
    max_size=300,
)
tricky = st.lists(
    st.sampled_from(
        [
            "=?",
            "?=",
            "=",
            "?",
            "_",
            " ",
            "  ",
            "é",
            "你",
            "😀",
            "a",
            "word",
            ",",
            '"',
            "\\",
            "@",
            "<",
            "=?utf-8?q?x?=",
            "x" * 40,
        ]
    ),
    max_size=60,
).map("".join)


def read(name, value, policy=email.policy.default):
    return email.message_from_bytes(block([(name, value)]) + b"\r\n", policy=policy)[name]


@given(writable | tricky)
def test_any_text_reads_back_character_by_character(text):
    value = encode_text("Subject", text)
    assert str(read("Subject", value)) == text
    assert str(make_header(decode_header(read("Subject", value, email.policy.compat32).replace("\r\n", "")))) == text
    assert max(map(len, f"Subject: {value}".split("\r\n"))) <= max(78, 9 + max(map(len, SINGLE_BLANK.split(text))))


@given(writable | tricky, st.integers(1, 50))
def test_encoded_words_are_short_and_hold_whole_characters(text, length):
    value = encoded_words(text, length + 2)
    lines = f"{'N' * length}: {value}".split("\r\n ")
    assert all(len(line) <= 76 for line in lines)
    for word in value.split("\r\n "):
        assert len(word) <= 75
        octets, charset = decode_header(word)[0]
        (octets if isinstance(octets, bytes) else octets.encode()).decode(charset or "ascii")
    assert str(make_header(decode_header(value.replace("\r\n", "")))) == text


@given(writable | tricky)
def test_a_mailbox_is_one_address_whatever_the_name(name):
    found = read("To", mailbox_header(name, "ada@example.com")).addresses
    assert [one.addr_spec for one in found] == ["ada@example.com"]
    assert "".join(found[0].display_name.split()) == "".join(name.split())


@given(st.text(max_size=40).filter(lambda text: not text.isprintable()))
def test_a_value_is_refused_or_reads_back_but_never_breaks_a_line(text):
    try:
        value = encode_text("X-Custom", text)
    except HeaderRefused as refused:
        reason = str(refused)
    else:
        reason = "none"
        assert str(read("X-Custom", value)) == text
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\r\nBcc: x", "a line break (U+000D)"),
        ("a\0", "a control character (U+0000)"),
        ("a\x85b", "a line break (U+0085)"),
        ("a\u2028b", "a line break (U+2028)"),
        ("\u202etxt.exe", "a character that turns the direction of writing (U+202E)"),
        ("\ud800", "half of a surrogate pair (U+D800)"),
        ("é" * 10_001, "10,001 characters long; at most 10,000"),
    ],
)
def test_the_reason_of_a_refusal_is_in_words(text, reason):
    with pytest.raises(HeaderRefused, match=r"the Subject ") as raised:
        encode_text("Subject", text)
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Your November issue", "Your November issue"),
        ("", ""),
        ("Zoë", "=?utf-8?q?Zo=C3=AB?="),
        ("你好", "=?utf-8?b?5L2g5aW9?="),
        ("50% =? off", "=?utf-8?q?50=25_=3D=3F_off?="),
        (" led by a blank", "=?utf-8?q?_led_by_a_blank?="),
        ("word " * 15 + "word", "word " * 13 + "word\r\n word word"),
        ("x" * 300, "x" * 300),
    ],
)
def test_plain_text_stays_plain_and_the_rest_becomes_encoded_words(text, value):
    assert encode_text("Subject", text) == value
    assert custom("Subject", text) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "ada@example.com"),
        ("   ", "ada@example.com"),
        ("Ada Lovelace", "Ada Lovelace <ada@example.com>"),
        ("Lovelace, Ada", '"Lovelace, Ada" <ada@example.com>'),
        ('Ada "the first" \\', '"Ada \\"the first\\" \\\\" <ada@example.com>'),
        ("x@evil.test", '"x@evil.test" <ada@example.com>'),
        ("Zoë", "=?utf-8?q?Zo=C3=AB?= <ada@example.com>"),
        ("=?utf-8?q?x?=", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <ada@example.com>"),
    ],
)
def test_a_display_name_is_written_by_what_it_holds(name, value):
    assert mailbox_header(name, "ada@example.com") == value


@pytest.mark.parametrize(
    "address",
    ["", "ada", "ada@", "@example.com", "a b@example.com", "ada@example.com>", "a@b, c@d",
     '"a b"@example.com', "a..b@c.de",
     "ada@[127.0.0.1]", "ada@example.com\n", "=?utf-8?q?x?=@example.com", "a" * 65 + "@example.com", "zoë@example.com",
     "ada@exämple.com", "a@" + "b." * 127 + "de", "ada@-example.com", "ada(c)@example.com"],
)  # fmt: skip
def test_only_a_bare_address_is_an_address(address):
    with pytest.raises(HeaderRefused):
        mailbox_header("Ada", address)


def test_other_scripts_in_an_address_need_smtputf8():
    value = mailbox_header("Zoë", "zoë@example.com", smtputf8=True)
    with pytest.raises(HeaderRefused):
        block([("To", value)])
    octets = block([("To", value)], smtputf8=True)
    found = email.message_from_string(octets.decode(), policy=email.policy.SMTPUTF8)["To"].addresses
    assert [one.addr_spec for one in found] == ["zoë@example.com"]
    for address in ("zo\u202eë@example.com", "zo\x85@example.com", "é" * 33 + "@example.com", "zoë@exämple.com"):
        with pytest.raises(HeaderRefused):
            mailbox_header("", address, smtputf8=True)


def test_a_message_id_is_a_keyed_hash_of_what_makes_the_letter_one_of_a_kind():
    parts = (b"message-id", b"gazette", b"2026-11", b"1", b"", b"ada@example.com")
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    expected = hmac.new(IDENTITY.secret, message, hashlib.sha256).hexdigest()[:40]
    assert message_id(IDENTITY, "example.com", "ada@example.com") == f"<{expected}@example.com>"


def test_no_two_letters_share_a_message_id_or_a_boundary():
    identities = [
        IDENTITY,
        replace(IDENTITY, generation=2),
        replace(IDENTITY, edition="2026-12"),
        replace(IDENTITY, campaign="gazette2026", edition="-11"),
        replace(IDENTITY, campaign="gazette2", edition="026-11"),
        replace(IDENTITY, test=True),
        replace(IDENTITY, secret=b"another secret of 32 octets.....")
    ]  # fmt: skip
    made = [make(one, key) for one in identities for key in ("a", "b", "") for make in (_id, boundary)]
    assert len(set(made)) == len(made)
    assert made == [make(one, key) for one in identities for key in ("a", "b", "") for make in (_id, boundary)]


def _id(identity, key):
    return message_id(identity, "example.com", key)


def test_a_boundary_can_be_in_no_encoded_part():
    value = boundary(IDENTITY, "x")
    assert value.startswith("=_")
    assert len(value) <= 70


def test_a_message_id_needs_a_domain():
    for domain in ("", "a b", "example.com>\r\nBcc: x", "exämple.com", "=?x?="):
        with pytest.raises(HeaderRefused):
            message_id(IDENTITY, domain, "x")


@given(st.floats(0, 4_000_000_000))
def test_a_date_is_what_a_reader_makes_of_it(seconds):
    assert parsedate_to_datetime(date(seconds)).timestamp() == int(seconds)
    assert date(seconds).endswith(" +0000")


def test_a_date_is_in_english_and_in_utc():
    assert date(1_795_507_200.75) == "Tue, 24 Nov 2026 08:00:00 +0000"


def test_the_unsubscribe_link_stays_on_one_line_up_to_900_characters():
    url = "https://example.com/u/" + "a" * 878
    assert len(url) == 900
    for mailto in ("", "leave@example.com", "mailto:leave@example.com?subject=" + "x" * 300):
        pairs = list_unsubscribe(url, mailto)
        assert pairs[-1] == ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
        first = block(pairs).split(b"\r\n")[0]
        assert first.startswith(f"List-Unsubscribe: <{url}>".encode())
        assert str(read(*pairs[0])).startswith(f"<{url}>")
        assert str(read(*pairs[0])).count("mailto:") == bool(mailto)
    with pytest.raises(HeaderRefused, match="901 characters"):
        list_unsubscribe(url + "a", "")


def test_unsubscribing_by_mail_alone_promises_no_one_click():
    assert list_unsubscribe("", "leave@example.com") == [("List-Unsubscribe", "<mailto:leave@example.com>")]
    assert list_unsubscribe("", "") == []


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "http://localhost/", "https://", "https:///u", "ftp://example.com", "HTTPS://example.com",
     "//example.com", "https://user:word@example.com/", "https://example.com/a b", "https://example.com/a,b",
     "https://example.com/>",
     "https://example.com/\r\n", "https://example.com/ä", "https://exämple.com/", "https://example.com/?a=?utf-8?q?x?=",
     "https://example.com@evil.test/", "https://-x.test/", 'https://example.com/"'],
)  # fmt: skip
def test_only_https_links_in_plain_ascii_can_unsubscribe(url):
    with pytest.raises(HeaderRefused, match="https link"):
        list_unsubscribe(url, "")


@pytest.mark.parametrize(
    "mailto", ["leave", "a@b>, <c@d", "a@example.com?subject=x y", "a@example.com?s=\r\n", "a@example.com?=?"]
)
def test_an_unsubscribe_address_is_an_address(mailto):
    with pytest.raises(HeaderRefused, match="mailto"):
        list_unsubscribe("https://example.com/u", mailto)


@pytest.mark.parametrize(
    "name",
    ["From", "to", "BCC", "Cc", "Sender", "Content-Type", "Content-Whatever", "DKIM-Signature", "MIME-Version",
     "Date", "Message-ID",
      "Subject", "Received", "Return-Path", "Reply-To", "List-Unsubscribe", "list-unsubscribe-post", "Resent-To",
     "ARC-Seal", "Authentication-Results", "", "X Y", "X:", "X\r\n", "1x", "é", "X" * 51, "X_Y"],
)  # fmt: skip
def test_names_that_the_program_makes_or_that_are_none_are_refused_at_configuration(name):
    with pytest.raises(ConfigError, match="header"):
        check_custom_name(name)


@pytest.mark.parametrize(
    "name", ["Feedback-ID", "X-Campaign", "List-Id", "Precedence", "Auto-Submitted", "Fromage", "X" * 50]
)
def test_other_names_are_the_users_own(name):
    check_custom_name(name)
    long = custom(name, "é" * 200)
    assert max(map(len, f"{name}: {long}".split("\r\n"))) <= 76
    assert str(read(name, long)) == "é" * 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("invoice 7.pdf", 'attachment; filename="invoice 7.pdf"'),
        ("发票.pdf", "attachment;\r\n filename*=utf-8''%E5%8F%91%E7%A5%A8.pdf"),
        ('a"; filename="b', "attachment;\r\n filename*=utf-8''a%22%3B%20filename%3D%22b"),
        ("=?utf-8?q?x?=", "attachment;\r\n filename*=utf-8''%3D%3Futf-8%3Fq%3Fx%3F%3D"),
    ],
)
def test_a_file_name_is_quoted_or_percent_encoded(name, value):
    assert disposition("attachment", name) == value
    assert read("Content-Disposition", value).params["filename"] == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", " a", "a ", '"a"', "<a>", "a\r\n", "a\u202eb", "\udcff", "é" * 128]
)
def test_what_is_no_file_name_is_refused(name):
    with pytest.raises(HeaderRefused):
        disposition("inline", name)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\r\nBcc: x@evil.test", "'Bcc'"),
        ("a\r\nSubject: again", "expected ones"),
        ("a\r\n\r\nbody", "expected ones"),
        ("a\r\n\tfolded", "expected ones"),
        ("a\nb", "octet"),
        ("a\rb", "octet"),
        ("a\0b", "octet"),
        ("a\x7fb", "octet"),
        ("a\tb", "octet"),
        ("é", "octet"),
        ("\ud800", "surrogate"),
        ("a\r\n  b", "octet"),
        ("a\r\n ", "octet"),
        ("a" * 990, "longer than 998"),
        ("a\r\n " + "b" * 998, "longer than 998"),
    ],
)
def test_the_gate_stops_what_slipped_through_an_encoder(value, reason):
    skeleton = HeaderGate([("From", "ada@example.com"), ("Subject", None), ("X-Last", "100% %s")])
    for make in (
        lambda: skeleton.fill(value),
        lambda: block([("From", "ada@example.com"), ("Subject", value), ("X-Last", "100% %s")]),
    ):
        with pytest.raises(HeaderRefused, match=reason):
            make()
    assert skeleton.fill("fine").endswith(b"X-Last: 100% %s\r\n")


@given(st.lists(st.text(st.sampled_from("a: \r\n\t\0é=X-B"), max_size=12), min_size=3, max_size=3))
def test_whatever_passes_the_gate_has_the_expected_names_once_each(values):
    names = ["X-A", "X-B", "X-C"]
    skeleton = HeaderGate([(name, None) for name in names])
    try:
        octets = block(list(zip(names, values, strict=True)))
    except HeaderRefused:
        with pytest.raises(HeaderRefused):
            skeleton.fill(*values)
        return
    assert skeleton.fill(*values) == octets
    message = email.message_from_bytes(octets + b"\r\nbody", policy=email.policy.compat32)
    assert message.keys() == names
    assert message.get_payload() == "body"
    assert not message.defects


def test_a_skeleton_gives_the_octets_of_the_block():
    pairs = [
        ("From", mailbox_header("Ada", "ada@example.com")),
        ("To", "x@example.com"),
        ("X-Odd", "5%"),
        ("Subject", "é"),
    ]
    skeleton = HeaderGate(
        [(name, None if name == "To" else "%d" if name == "Subject" else value) for name, value in pairs]
    )
    assert skeleton.slots == ("To",)
    assert skeleton.names == ("From", "To", "X-Odd", "Subject")
    assert skeleton.fill("x@example.com") == block([*pairs[:3], ("Subject", "%d")])
    with pytest.raises(TypeError):
        skeleton.fill()
    with pytest.raises(TypeError):
        skeleton.fill("a", "b")


@pytest.mark.parametrize("names", [["X-A", "x-a"], ["X A"], ["X:"], [""]])
def test_a_skeleton_wants_each_name_once(names):
    with pytest.raises(HeaderRefused):
        HeaderGate([(name, "x") for name in names])
