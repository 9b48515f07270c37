"""Parses a server's reply quoted by a log line or an event: ``550 5.1.1 <jane@example.com>: no such user``."""

from __future__ import annotations

import re

from campaign.model import Reply

#: Longest foreign text that is kept, in characters.
LONGEST_TEXT = 1000

_TYPE = re.compile(r"(?:smtp|x-[a-z0-9-]{1,30}) ?; ?", re.IGNORECASE)
_CODE = re.compile(r"([2-5][0-9]{2})(?:[ -]|$)")
_ENHANCED = re.compile(r"#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s+|:|$)")


def quoted_reply(text: str, enhanced: str = "") -> Reply:
    """Code, enhanced code and text of ``text``; code 0 if it does not begin with one.

    A type before it (``smtp;``, RFC 3464, 2.3.6) is dropped. ``enhanced``, if given and well-formed, wins over that in
    the text. The reply's text is `plain_text`, without the codes before each line of a long reply.
    """
    rest = plain_text(text)
    if found := _TYPE.match(rest):
        rest = rest[found.end() :]
    code = 0
    if found := _CODE.match(rest):
        code, rest = int(found[1]), rest[found.end() :].lstrip()
    inner = ""
    if found := _ENHANCED.match(rest):
        inner, rest = found[1], rest[found.end() :].lstrip()
    if code:
        rest = _without_repeated_codes(rest, code, inner)
    return Reply(code, enhanced if _ENHANCED.fullmatch(enhanced) else inner, rest)


def plain_text(text: str) -> str:
    """Foreign text made safe to print and store: unprintable characters become blanks, and long text is cut."""
    text = text[: 4 * LONGEST_TEXT]
    if not text.isprintable():
        text = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(text.split())[:LONGEST_TEXT]


def _without_repeated_codes(text: str, code: int, enhanced: str) -> str:
    for separator in "- ":
        if enhanced:
            text = text.replace(f" {code}{separator}{enhanced} ", " ")
        text = text.replace(f" {code}{separator}", " ") if separator == "-" else text
    return text
