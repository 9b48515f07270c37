"""Extracts the SMTP reply that a bounce quotes: code, enhanced code and text, from a line or a longer text."""

from __future__ import annotations

import re

from campaign.model import Reply

LONGEST = 500  #: characters kept of a diagnosis
LOOKED_AT = 4_000  #: characters searched for a code

_ENHANCED = r"([45]\.\d{1,3}\.\d{1,3})"
#: A code as servers quote it: at the start, or after ``said:``, ``<<<``, ``host [192.0.2.1]:``, a quote or a bracket.
_CODE = re.compile(
    rf"(?:^|(?<=[\s:;<>(\"'=,.-]))(?<!\d\.)([45][0-7]\d)(?=[\s:,;.)\"'<-]|$)(?!\.\d)(?!-\d+\s*(?:bytes|kb|octets))"
    rf"[\s:,;-]{{0,3}}['\"]?#?(?:{_ENHANCED}(?![\d.]))?"
)
_ERROR_CODE = re.compile(r"(?i)(?:error_?code|responsecode)[\s:=]{1,3}([45]\d\d)\b")
_STATUS = re.compile(rf"(?<![\d.]){_ENHANCED}(?![\d.]*\d)")
_SPACE = re.compile(r"\s+")
#: What some servers put before a quoted reply: ``5.1.0 - Unknown address error 550-'5.7.1 …'`` (AsyncOS), and Zoho.
_GENERAL = re.compile(r"(?i)^(?:[45]\.\d\.\d - [\w /()]{1,40} (?=[45]\d\d)|invalid address, (?=error_code))")
#: Words directly before a number that identify it as a reply code.
_SAID = re.compile(
    r"(?i)(said:?|<<<|>>>|response:|error (?:was|that the other server returned was):|\]:|reply was|data:|to:)\s*$"
)


def diagnosis(text: str, status: str = "") -> Reply:
    """The reply in ``text``: code 0 if it quotes none. ``status`` is the report's own status.

    The reply's own enhanced code is preferred to ``status``, unless it is less specific.
    """
    words = _GENERAL.sub("", _SPACE.sub(" ", text[:LOOKED_AT]).strip())
    code, enhanced, start = _code(words)
    if not enhanced:
        found = _STATUS.search(words)
        enhanced = found[1] if found and _agree(found[1], code) else ""
    if status and (not enhanced or enhanced.endswith(".0.0")):
        enhanced = status
    return Reply(code, enhanced, _excerpt(words, start))


def status_of(value: str) -> str:
    """The enhanced code of a Status field, such as ``5.1.1 (bad mailbox)``; ``""`` if it has none."""
    found = re.match(r"\s{0,9}([245]\.\d{1,3}\.\d{1,3})(?!\d)", value)
    return found[1] if found else ""


def _code(words: str) -> tuple[int, str, int]:
    """Code, enhanced code, and their position: the first that is certainly a reply's, else the first."""
    first: re.Match[str] | None = None
    for found in _CODE.finditer(words):
        if found[2] or found.start() <= 1 or _SAID.search(words[max(0, found.start() - 50) : found.start()]):
            return int(found[1]), found[2] or "", found.start()
        first = first or found
    named = _ERROR_CODE.search(words)
    if named:
        return int(named[1]), "", named.start()
    return (int(first[1]), first[2] or "", first.start()) if first else (0, "", 0)


def _agree(enhanced: str, code: int) -> bool:
    return code == 0 or enhanced[0] == str(code)[0]


def _excerpt(words: str, start: int) -> str:
    """The text from shortly before the code on, so that its server and its command stay visible."""
    if len(words) <= LONGEST:
        return words
    begin = max(0, min(start - 120, len(words) - LONGEST))
    return words[begin : begin + LONGEST]
