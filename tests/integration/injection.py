"""What rows try to write into headers, and how it is read back. Standard library only: any interpreter can run it.

``PYTHONPATH=. python3.X tests/integration/injection.py`` writes every payload into every field with the headers of the
product, reads the block back with the e-mail reader of that interpreter, and prints what went wrong as JSON.
"""

import base64
import email
import email.policy
import json
import sys
from email.header import decode_header, make_header

from campaign.compose.mime.header_values import (
    HeaderGate,
    HeaderRefused,
    block,
    boundary,
    custom,
    date,
    disposition,
    encode_text,
    mailbox_header,
    message_id,
)
from campaign.compose.mime.list_unsubscribe import list_unsubscribe
from campaign.model import Identity

IDENTITY = Identity("gazette", "2026-11", 1, b"secret of the tests, 32 octets..")
ADDRESS = "ada@example.com"
EVIL = "Bcc: x@evil.test"
CONTROLS = [chr(point) for point in (*range(0x20), *range(0x7F, 0xA0))]
TURNERS = [chr(point) for point in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]
SURROGATES = ["\ud800", "\udbff", "\udc00", "\udfff", "\udc00\ud800", "\ud83d", "\udc80\udc81"]
BREAKS = ["\r\n", "\n", "\r", "\r\n ", "\n\t", "\r\n\r\n", "\n\n", "\x0b", "\x85", "\u2028"]
FIELDS_TO_ADD = [EVIL, "To: x@evil.test", "Content-Type: text/html", "<html>", "Subject: other"]
HARMLESS = ["%0d%0a" + EVIL, "\\r\\n" + EVIL, "&#13;&#10;" + EVIL, "\u240d\u240a" + EVIL, "{{ 7*7 }}", "${x}", "%s%n%d"]

_SMUGGLED = ["hi\r\n" + EVIL, "hi\n" + EVIL, "a\0b", "x@evil.test,", '" <x@evil.test>, "', "\u202eevil", "a\r\n\r\n<b>"]
_CHARSETS = ["utf-8", "us-ascii", "iso-8859-1", "utf-7", "x-unknown"]


def _smuggled_words():
    for text in _SMUGGLED:
        octets = text.encode("utf-8")
        quoted = "".join(f"={octet:02X}" for octet in octets)
        for charset in _CHARSETS:
            yield f"=?{charset}?q?{quoted}?="
            yield f"=?{charset}?B?{base64.b64encode(octets).decode('ascii')}?="


BROKEN_WORDS = [
    "=?", "?=", "=?utf-8", "=?utf-8?q?x", "=?utf-8?q?x?", "=?=?=", "=?utf-8?q??=", "=?utf-8*en?q?x=0A?=",
    "=?utf-8?q?x?==?utf-8?q?y?=", "abc=?utf-8?q?=0D=0ABcc:x?=def", "=?utf-8?q?=3D?utf-8?q?x?=?=", "=?utf-8?b?!!!?=",
    "=?UTF-8?Q?=0d=0a?= =?UTF-8?Q?Bcc=3a?=", "=?utf-8?x?y?=", "(=?utf-8?q?=29?=)", '"=?utf-8?q?=22?="',
    "=\u200b?utf-8?q?x?=", "=?utf-8?q?" + "x" * 80 + "?=", "é =?utf-8?q?=0D=0A?=", "=?utf-8?q?=0D=0A?= 你好",
]  # fmt: skip
NAMES = [
    "x@evil.test,", "x@evil.test, y@evil.test", ",", "Ada, Countess", '"', '""', '"Ada" Byron', '" <x@evil.test>, "',
    "<x@evil.test>", "Ada <x@evil.test>", "a; b", "group: x@evil.test;", "undisclosed-recipients:;", "(comment)", "(",
    ")", "(a (b) c", "[x]", "[", "]", "@", ":", ";", ".", "..", "Dr. A. B.", "O'Brien", "\\", "a\\", 'a\\"b', '\\"',
    "a\\,b", "x@evil.test", "<", ">", "<>", "><", "a>, <x@evil.test", "mailto:x@evil.test", "=", "?", "_", "a_b=c",
    "''", "`id`", "| mail", "-oQ/tmp", "--", "%", "*", "!", "#", "a,b;c:d<e>f@g", "\\\\", "Null", "NaN", "0", "#REF!",
]  # fmt: skip
SCRIPTS = [
    "Zoë Müller", "王小明", "山田 太郎", "김철수", "Нина Петровна", "Ελένη", "محمد علي", "דוד לוי", "नेहा शर्मा", "สมชาย",
    "Ðorđe", "İstanbul", "ß", "é", "e\u0301", "\u00a0x\u00a0", "\u3000", "👩‍👩‍👧‍👦 family", "🇨🇳🇩🇪",
    "a\ufeffb", "a\u200bb", "\u200fא\u200e",
    "\uffff", "\U0010ffff", "ﷺ", "“quoted”", "a\uff0cb", "x\uff20evil.test", "\u037e", "ｅｖｉｌ", "\u2024",
    "K\u212a", "\ue000x\ue001",
]  # fmt: skip
LENGTHS = [
    unit * count
    for unit in ("A", "é", "你", "😀", "ab ", "=?", "é ", '"', "\\", "A,")
    for count in (13, 44, 61, 63, 64, 77, 78, 450)
] + ["A" * 900, "A" * 901, "A" * 998, "A" * 5_000, "é" * 5_000, "word " * 1_999 + "x", "A" * 10_000, "A" * 10_001]
BLANKS = ["", " ", "   ", " a", "a ", "a  b", "a   b  c", "  a  ", "a " * 60, "a  " * 60, "a" + " " * 200 + "b"]
FILES = [
    "../../etc/passwd", "/etc/passwd", "..", ".", "a\\b", "C:\\x", 'a"; filename="evil.exe', "x'y", "utf-8''x%0D%0A",
    "a;b.pdf", "a*0*=b", "=?utf-8?q?=0D=0ABcc=3A?=.png", "é.pdf", "发票 11.pdf", "a.pdf ", " a.pdf", "-rf", ".hidden",
    "a%00b.pdf", "a%2e%2e%2f.pdf", "report (1).pdf", "name=x; type=y", "x.pdf\\", "a\u200b.pdf", "cid:x", "<x>", "x@y>",
]  # fmt: skip

ADDRESSES = [
    "x@evil.test,ada@example.com", "ada@example.com, x@evil.test", "<ada@example.com>", "Ada <ada@example.com>",
    "ada@example.com>", "ada@example.com SIZE=1", "ada@@example.com", "ada@example..com", '"a b"@example.com', "ada@",
    "ada@[127.0.0.1]", "ada(c)@example.com", "ada@example.com(c)evil.test", "=?utf-8?q?x=40evil?=@example.com",
    "=?utf-8?q?x=0D=0A?=@example.com", ".ada@example.com", "ada.@example.com", "a..b@example.com", "ada@-x.test",
    "a" * 65 + "@example.com", "a@" + "b" * 250 + ".test", "zoë@example.com", "ada@exämple.com", "@example.com",
    "ada@example.com.", "@a,@b:ada@example.com", "ada%x@evil.test", "ada!x@evil.test", "ada@example.com\n",
    "u@example.com?subject=leave", "u@example.com?subject=a%0D%0Ab", "mailto:u@example.com", "u@example.com?x=a,b",
]  # fmt: skip
LINKS = [
    "abc>, <https://evil.test/", "a,b", "a b", "a%0D%0Ab", "?e=ada%40example.com&x=1#y", "=?utf-8?q?x?=", "a=?b", "ä",
    "a" * 878, "a" * 879, "x" * 2_000, "'", '"', "<", "\\", "a;b", "{a}", "a|b", "^", "`", "(a)", "@evil.test",
    "..//..",
]  # fmt: skip

PAYLOADS = list(
    dict.fromkeys(
        [
            *(f"a{one}{EVIL}" for one in (*CONTROLS, *TURNERS, *SURROGATES)),
            *(one for one in (*BREAKS, "\0", "\u202e", "\ud800")),
            *(f"{one}{EVIL}" for one in BREAKS),
            *(f"hello{end}{field}" for end in BREAKS for field in FIELDS_TO_ADD),
            *(f"hello{end}" for end in BREAKS),
            *(f"é{end}{EVIL}" for end in BREAKS),
            *HARMLESS, *_smuggled_words(), *BROKEN_WORDS, *NAMES, *(f"{one} é" for one in NAMES),
            *SCRIPTS, *LENGTHS, *BLANKS, *FILES, *ADDRESSES, *LINKS,
        ]
    )
)  # fmt: skip

FORBIDDEN = frozenset(CONTROLS + TURNERS)


def is_forbidden(text):
    return any(one in FORBIDDEN or "\ud800" <= one <= "\udfff" for one in text)


def pairs_with(field, value):
    """The fields of a letter, with ``value`` where a row could put it. Raises HeaderRefused where it may not stand."""
    address = value if field == "address" else ADDRESS
    url = f"https://example.com/u/{value}" if field == "url" else "https://example.com/u/abc"
    key = value if field == "key" else "7"
    return [
        ("From", mailbox_header(value if field == "from" else "Ada's Gazette", "news@example.com")),
        ("Reply-To", mailbox_header(value if field == "reply_to" else "", "desk@example.com")),
        ("To", mailbox_header(value if field == "name" else "Ada", address)),
        ("Subject", encode_text("Subject", value if field == "subject" else "Your issue")),
        ("Date", date(1_764_000_000.0)),
        ("Message-ID", message_id(IDENTITY, value if field == "domain" else "example.com", key)),
        ("MIME-Version", "1.0"),
        ("X-Campaign", custom("X-Campaign", value if field == "custom" else "november")),
        *list_unsubscribe(url, value if field == "mailto" else "leave@example.com"),
        ("Content-Type", f'multipart/mixed; boundary="{boundary(IDENTITY, key)}"'),
        ("Content-ID", "<0123456789abcdef@image>"),
        ("Content-Disposition", disposition("attachment", value if field == "file" else "invoice.pdf")),
    ]


FIELDS = ("subject", "custom", "name", "from", "reply_to", "address", "domain", "key", "url", "mailto", "file")
LITERAL = {"subject": "Subject", "custom": "X-Campaign"}
MAILBOXES = {
    "name": ("To", ADDRESS),
    "from": ("From", "news@example.com"),
    "reply_to": ("Reply-To", "desk@example.com"),
}


def check(field, payload):
    """``(refused, complaints)`` for one payload in one field."""
    try:
        pairs = pairs_with(field, payload)
        octets = block(pairs)
    except HeaderRefused as refused:
        return True, _wrongly_refused(field, payload, str(refused))
    complaints = [*_shape(octets, [name for name, _ in pairs]), *_filled_alike(pairs, octets)]
    if is_forbidden(payload) and field != "key":
        complaints.append("a forbidden character was let through")
    for policy in (email.policy.default, email.policy.compat32):
        message = email.message_from_bytes(octets + b"\r\nbody\r\n", policy=policy)
        if message.keys() != [name for name, _ in pairs] or message.get_payload() != "body\r\n":
            complaints.append(f"read as {message.keys()}")
        try:
            complaints += _read_back(message, field, payload, policy is email.policy.compat32)
        except (ValueError, LookupError, AttributeError) as error:
            complaints.append(f"the reader stumbles: {error!r}")
    return False, complaints


def _wrongly_refused(field, payload, reason):
    """Only what cannot be written may be refused, and the reason must be fit for a terminal."""
    complaints = [] if reason.isprintable() else ["the reason itself holds control characters"]
    longest = {"subject": 10_000, "custom": 10_000, "name": 500, "from": 500, "reply_to": 500}.get(field)
    if longest and not is_forbidden(payload) and len(payload.strip(" ") if longest == 500 else payload) <= longest:
        complaints.append(f"refused without need: {reason}")
    return complaints


def _shape(octets, names):
    lines = octets.split(b"\r\n")
    found = [line.split(b":")[0].decode("ascii") for line in lines[:-1] if not line.startswith(b" ")]
    complaints = [] if found == names else [f"fields {found}"]
    if lines[-1] != b"" or any(b"\r" in line or b"\n" in line or not line.strip() for line in lines[:-1]):
        complaints.append("a line does not end in CRLF, or is empty")
    if max(map(len, lines)) > 998 or max(octets) > 126 or b"\0" in octets:
        complaints.append("a line is too long or not in 7 bits")
    if any(len(word) > 75 for word in octets.split() if word.startswith(b"=?")):
        complaints.append("an encoded word is longer than 75")
    return complaints


def _filled_alike(pairs, octets):
    """A skeleton with slots gives the same octets as the block put together at once."""
    slots = {"To", "Subject", "Date", "Message-ID", "List-Unsubscribe"}
    skeleton = HeaderGate([(name, None if name in slots else value) for name, value in pairs])
    filled = skeleton.fill(*(value for name, value in pairs if name in slots))
    return [] if filled == octets else ["the skeleton gives other octets"]


def _read_back(message, field, payload, plainly):
    if field in LITERAL:
        found = message[LITERAL[field]]
        found = _decoded(found) if plainly else str(found)
        yield from [] if _unfolded(found) == payload else [f"reads back as {found!r}"]
    if field in MAILBOXES:
        yield from _name_read_back(message[MAILBOXES[field][0]], payload.strip(" "), plainly)
    if not plainly:
        yield from _addresses(message, payload if field == "address" else ADDRESS)
    if field == "file":
        found = message.get_filename()
        yield from [] if found == payload else [f"the file name reads back as {found!r}"]
    link = f"<https://example.com/u/{payload}>, <mailto:"
    if field == "url" and not str(message["List-Unsubscribe"]).startswith(link):
        yield f"the link reads back as {message['List-Unsubscribe']!r}"


def _addresses(message, recipient):
    for name, address in (("From", "news@example.com"), ("Reply-To", "desk@example.com"), ("To", recipient)):
        found = [one.addr_spec for one in message[name].addresses]
        yield from [] if found == [address] else [f"{name} is read as {found}"]


def _name_read_back(header, name, plainly):
    if plainly:
        phrase = header.rpartition("<")[0]
        found = _decoded(phrase).rstrip(" ") if phrase.startswith("=?") else name
        yield from [] if found == name else [f"the name reads back as {found!r}"]
    else:  # this reader puts a blank between two encoded words of a phrase, and folds runs of blanks into one
        found = header.addresses[0].display_name
        yield from [] if found.replace(" ", "") == name.replace(" ", "") else [f"the name reads back as {found!r}"]


def _decoded(text):
    return str(make_header(decode_header(text)))


def _unfolded(text):
    return text.replace("\r\n", "").replace("\n", "")


def main():
    refused, failures = 0, []
    for field in FIELDS:
        for payload in PAYLOADS:
            was_refused, complaints = check(field, payload)
            refused += was_refused
            failures += [f"{field} {payload[:90]!a} ({len(payload)}): {one}"[:400] for one in complaints]
    json.dump({"checked": len(FIELDS) * len(PAYLOADS), "refused": refused, "failures": failures}, sys.stdout)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
