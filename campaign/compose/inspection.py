"""What a careful person would notice in a finished letter before it goes out to everybody.

Looks at one letter as a receiver would read it (`reading.py`) and yields what is wrong with it. It changes nothing and
knows neither the relay nor the list; whoever asks adds the rows up.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from campaign.compose.reading import ReadLetter
from campaign.model import Letter, Recipient

CLIPPED = 102 * 1024  #: octets of HTML above which Gmail shows the rest only on demand
LONGEST_LINE = 998  #: RFC 5322, section 2.1.1
LONGEST_SUBJECT = 998
ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type")
LOCAL = re.compile(r"^(localhost|127\.|0\.0\.0\.0|\[?::1\]?$|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)")

_TAG = re.compile(r"<[^>]*>")
_LINK = re.compile(r"""<a\b[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)
_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_SOURCE = re.compile(r"""\bsrc\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=", re.IGNORECASE)
_GREETING = re.compile(r"\b(Dear|Hello|Hi|Good (?:morning|day|evening)|Welcome)\s*[,!:]")
_LEFT_OVER = re.compile(r"\{\{|\}\}|\{%|%\}|\*\|[A-Z]|%%[A-Z]")
_NOTHING = re.compile(r"(?<![\w-])(None|nan|NaN|null|undefined)(?![\w-])")
_CID = re.compile(r"cid:([^\s\"'()<>]+)")

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: how bad, a short stable code, what is seen, where in the letter, and what to do."""

    severity: Severity
    code: str
    message: str
    where: str = ""
    remedy: str = ""


def inspect(letter: Letter, seen: ReadLetter, recipient: Recipient, *, unsubscribe: bool) -> Iterator[Fault]:
    """Everything wrong with one letter. ``unsubscribe`` says whether the campaign promises a way out."""
    yield from headers(letter, seen)
    yield from form(letter)
    yield from words(seen, recipient)
    yield from html(seen)
    yield from links(seen)
    if unsubscribe:
        yield from way_out(seen)


def headers(letter: Letter, seen: ReadLetter) -> Iterator[Fault]:
    """Each of the singleton headers once, and To names the envelope's recipient and nobody else."""
    counts = Counter(name.title() for name, _ in seen.headers)
    for name in ONCE:
        if counts[name.title()] != 1:
            yield Fault("error", "header-count", f"{name} stands {counts[name.title()]} times, not once", "headers")
    if [address for _, address in addresses(seen.header("To"))] != [letter.recipient]:
        yield Fault("error", "to-differs", "To does not name exactly the envelope's recipient", "headers")
    if len(seen.header("Subject")) > LONGEST_SUBJECT:
        yield Fault("error", "subject-long", f"the subject has over {LONGEST_SUBJECT} characters", "Subject")
    if not seen.header("Subject").strip():
        yield Fault(
            "error", "subject-empty", "the subject is empty", "Subject", "a letter without subject looks like spam"
        )


def addresses(value: str) -> list[tuple[str, str]]:
    """(name, address) pairs of a header that we wrote ourselves."""
    from email.utils import getaddresses

    return getaddresses([value])


def form(letter: Letter) -> Iterator[Fault]:
    """Lines, line ends and octets that every relay can carry unchanged."""
    lines = letter.content.split(b"\r\n")
    if max(map(len, lines)) > LONGEST_LINE:
        yield Fault("error", "line-long", f"a line has over {LONGEST_LINE} octets", "body")
    if any(b"\r" in line or b"\n" in line for line in lines):
        yield Fault("error", "bare-line-end", "a bare CR or LF stands in the letter", "body")
    if not letter.smtputf8 and not letter.content.isascii():
        yield Fault("error", "eight-bit", "the letter holds octets above 127", "body")


def words(seen: ReadLetter, recipient: Recipient) -> Iterator[Fault]:
    """Empty greetings, left-over template marks, and values that mean nothing."""
    visible = _TAG.sub(" ", seen.html)
    for where, text in (("subject", seen.header("Subject")), ("text part", seen.text), ("HTML part", visible)):
        if match := _GREETING.search(text):
            yield Fault(
                "error",
                "empty-greeting",
                f"“{match[0]}” greets nobody",
                where,
                "give the value a default: {{ name or 'reader' }}",
            )
        if match := _LEFT_OVER.search(text):
            yield Fault(
                "warning", "left-over", f"“{match[0]}” looks like a template mark that was not filled in", where
            )
        if (match := _NOTHING.search(text)) and match[0] not in {str(value) for value in recipient.row.values()}:
            yield Fault(
                "warning", "nothing-value", f"“{match[0]}” looks like a missing value", where, "give it a default"
            )


def html(seen: ReadLetter) -> Iterator[Fault]:
    """Size, text alternative, images."""
    if not seen.text.strip():
        yield Fault(
            "error", "no-text", "there is no text part", "text part", "name a text template, or leave it to be derived"
        )
    if len(seen.html.encode()) > CLIPPED:
        yield Fault(
            "warning",
            "clipped",
            "the HTML has over 102 kB: Gmail clips it",
            "HTML part",
            "shorten it, or link to the rest",
        )
    for tag in _IMAGE.findall(seen.html):
        source = match[1] if (match := _SOURCE.search(tag)) else ""
        shown = source if not source.startswith(("cid:", "data:")) else source[:40]
        if not _ALT.search(tag):
            yield Fault(
                "warning",
                "no-alt",
                f"an image has no alt text: {shown}",
                "HTML part",
                'write alt="…", or alt="" for decoration',
            )
        if source.startswith(("http:", "https:")):
            yield Fault("warning", "remote-image", f"an image is fetched from elsewhere: {shown}", "HTML part")
    used = set(_CID.findall(seen.html))
    for cid in used - seen.images.keys():
        yield Fault("error", "cid-missing", f"an image refers to cid:{cid}, which no part has", "HTML part")
    for cid in seen.images.keys() - used:
        yield Fault("warning", "cid-unused", f"the part with Content-ID {cid} is shown nowhere", "HTML part")


def links(seen: ReadLetter) -> Iterator[Fault]:
    """Links that lead nowhere for the reader."""
    for link in dict.fromkeys("".join(groups) for groups in _LINK.findall(seen.html)):
        yield from link_faults(link.strip())


def link_faults(link: str) -> Iterable[Fault]:
    """What is wrong with one link."""
    parts = urlsplit(link)
    if not link or link == "#":
        yield Fault("warning", "link-empty", "a link leads nowhere", "HTML part")
    elif link.startswith("#") or parts.scheme in {"mailto", "tel", "cid"}:
        return
    elif not parts.scheme or not parts.netloc:
        yield Fault("error", "link-relative", f"a link is not absolute: {link[:80]}", "HTML part", "write https://…")
    elif LOCAL.match(parts.hostname or ""):
        yield Fault(
            "error", "link-local", f"a link leads to this machine: {link[:80]}", "HTML part", "name the public host"
        )
    elif parts.scheme != "https":
        yield Fault("warning", "link-insecure", f"a link is not https: {link[:80]}", "HTML part")


def way_out(seen: ReadLetter) -> Iterator[Fault]:
    """One-click unsubscribe in the headers (RFC 8058) and a visible link in both parts."""
    header = seen.header("List-Unsubscribe")
    url = header.partition("<https:")[2].partition(">")[0]
    if not url or seen.header("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click":
        yield Fault("error", "no-one-click", "List-Unsubscribe or List-Unsubscribe-Post is missing", "headers")
        return
    if f"https:{url}" not in "".join(seen.text.split()):
        yield Fault(
            "warning",
            "unsubscribe-hidden",
            "no visible unsubscribe link in the text part",
            "text part",
            "write {{ unsubscribe_url }} into it",
        )
    if seen.html and f"https:{url}" not in seen.html.replace("&amp;", "&"):
        yield Fault(
            "warning",
            "unsubscribe-hidden",
            "no visible unsubscribe link in the HTML part",
            "HTML part",
            "link to {{ unsubscribe_url }}",
        )
