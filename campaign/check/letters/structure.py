"""Faults that a careful person would notice in a finished letter before it goes out.

Reads one letter as a receiver would (`read_back.py`) and yields its faults: its form here, its words in `wording.py`,
its HTML in `html_faults.py`. It changes nothing and is independent of the relay and the list; the caller adds up the
rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from campaign.check.letters.html_faults import html, html_way_out, text_links
from campaign.check.letters.letter_fault import Fault, merged
from campaign.check.letters.wording import texts_in, wording_faults
from campaign.compose.mime.read_back import ReadLetter
from campaign.model import Letter, Recipient

LONGEST_LINE = 998  #: RFC 5322, section 2.1.1
LONGEST_SUBJECT = 998
ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type")
ONCE_AT_MOST = ("Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post", "Sender", "Cc", "Bcc")

__all__ = ["Fault", "letter_faults"]


def letter_faults(
    letter: Letter,
    seen: ReadLetter,
    recipient: Recipient,
    *,
    unsubscribe: bool,
    printed: Sequence[Sequence[object]] = (),
) -> tuple[Fault, ...]:
    """Everything wrong with one letter. ``unsubscribe``: the campaign promises a way to unsubscribe.

    ``printed`` are the values that its templates printed, as far as known.
    """
    return merged(_all(letter, seen, recipient, unsubscribe, printed))


def _all(
    letter: Letter, seen: ReadLetter, recipient: Recipient, unsubscribe: bool, printed: Sequence[Sequence[object]]
) -> Iterator[Fault]:
    yield from headers(letter, seen)
    yield from form(letter)
    yield from wording_faults(seen, recipient, printed)
    if not seen.text.strip():
        yield Fault(
            "error", "no-text", "there is no text part", "text part", "name a text template, or leave it to be derived"
        )
    yield from html(seen)
    yield from text_links(seen, texts_in(recipient.row), public=unsubscribe or bool(seen.html))
    if unsubscribe:
        yield from way_out(seen)


def headers(letter: Letter, seen: ReadLetter) -> Iterator[Fault]:
    """Each of the singleton headers once, and To names only the envelope's recipient."""
    counts = Counter(name.title() for name, _ in seen.headers)
    for name in (*ONCE, *ONCE_AT_MOST):
        times = counts[name.title()]
        if times > 1 or (not times and name in ONCE):
            yield Fault("error", "header-count", f"{name} stands {times} times, not once", "headers")
    if seen.to != (letter.recipient,):
        yield Fault("error", "to-differs", "To does not name exactly the envelope's recipient", "headers")
    subject = seen.header("Subject")
    if len(subject) > LONGEST_SUBJECT:
        yield Fault(
            "error",
            "subject-long",
            f"the subject has over {LONGEST_SUBJECT} characters",
            "Subject",
            "shorten the value, such as with {{ title|truncate(80) }}",
        )
    if not subject.strip():
        yield Fault(
            "error", "subject-empty", "the subject is empty", "Subject", "a letter without subject looks like spam"
        )


def form(letter: Letter) -> Iterator[Fault]:
    """Lines, line ends and octets that every relay can carry unchanged."""
    lines = letter.content.split(b"\r\n")
    if max(map(len, lines)) > LONGEST_LINE:
        yield Fault("error", "line-long", f"a line has over {LONGEST_LINE} octets", "letter")
    if any(b"\r" in line or b"\n" in line for line in lines):
        yield Fault("error", "bare-line-end", "a bare CR or LF stands in the letter", "letter")
    if not letter.smtputf8 and not letter.content.isascii():
        yield Fault("error", "eight-bit", "the letter holds octets above 127", "letter")


def way_out(seen: ReadLetter) -> Iterator[Fault]:
    """One-click unsubscribe in the headers (RFC 8058) and a visible link in both parts."""
    url = unsubscribe_url(seen)
    if not url or seen.header("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click":
        yield Fault("error", "no-one-click", "List-Unsubscribe or List-Unsubscribe-Post is missing", "headers")
        return
    if url not in "".join(seen.text.split()):
        yield Fault(
            "warning",
            "unsubscribe-hidden",
            "no visible unsubscribe link",
            "text part",
            "put {{ unsubscribe_url }} into it",
        )
    yield from html_way_out(seen, url)


def unsubscribe_url(seen: ReadLetter) -> str:
    """The https link of List-Unsubscribe, or ``""``."""
    rest = seen.header("List-Unsubscribe").partition("<https:")[2].partition(">")[0]
    return f"https:{rest}" if rest else ""
