"""The nouns every stage shares: frozen, slotted, no behaviour.

This module knows no stage and imports nothing of ours. A stage receives these values, or a callable,
and never another stage. All of them can be pickled, so that rendering may run in other processes.
What is made anew for each letter is a named tuple, which takes less than half a dataclass's time to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

#: What a column may hold by the time a template sees it: plain values only, nothing with power.
Value = str | int | float | bool | date | list["Value"] | dict[str, "Value"] | None


class Verdict(StrEnum):
    """What became of a recipient of the plan. The list is closed; `docs/contract.md` explains each."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REJECTED = "rejected"
    UNRENDERABLE = "unrenderable"
    IN_DOUBT = "in_doubt"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


#: Verdicts that end a recipient's story within a run. ``in_doubt`` is not among them: a person decides.
FINAL = frozenset(
    {
        Verdict.ACCEPTED,
        Verdict.REJECTED,
        Verdict.UNRENDERABLE,
        Verdict.WITHDRAWN,
        Verdict.CANCELLED,
        Verdict.EXPIRED,
    }
)


class Screened(StrEnum):
    """Why a row of the source never entered the plan."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    MERGED = "merged"
    SUPPRESSED = "suppressed"
    FILTERED = "filtered"
    ALREADY = "already"


class Recipient(NamedTuple):
    """One numbered line of the plan.

    ``address`` is what goes on the wire: local part as given (NFC), domain as lower-case A-labels.
    ``key`` is what makes the letter one of a kind within an edition. ``line`` is the 1-based line (CSV)
    or row of the source, for messages to people.
    """

    number: int
    address: str
    key: str
    name: str
    line: int
    row: Mapping[str, Value]


class FeedbackOutcome(StrEnum):
    """What became of a letter after a relay had taken it, or what its reader wants.

    ``hard``: the address or its domain does not exist. ``soft``: it could not be delivered this time.
    ``not_their_fault``: refused for what or who we are; says nothing about the address. ``delayed``: still being tried.
    ``released``: a person lets us write to the address again.
    """

    HARD = "hard"
    SOFT = "soft"
    NOT_THEIR_FAULT = "not_their_fault"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    DELIVERED = "delivered"
    DELAYED = "delayed"
    AUTOMATIC_REPLY = "automatic_reply"
    RELEASED = "released"
    UNKNOWN = "unknown"


class FeedbackEvent(NamedTuple):
    """One thing that came back, as it is kept for good.

    ``id`` is unique, and the same each time the same thing is read. ``source`` says where it was read
    (``imap:bounces@mail.example.com``, ``smtp`` for a relay's own reply). ``at`` and ``seen`` are POSIX seconds: when
    it happened and when it was read. ``address`` is the planned one, or what was named where nobody was found.
    ``matched_by``: ``return-path``, ``message-id``, ``unsubscribe-token``, ``reply-id``, ``address`` (only named,
    which anybody can do) or ``""``. ``number`` is the recipient's in the plan of ``run``, which is
    ``CAMPAIGN[/EDITION]/RUN`` below the ledger's directory. ``reason`` is the class of what it means, such as
    ``no_such_user``; the rest is evidence.
    """

    id: str
    source: str
    outcome: FeedbackOutcome
    at: float
    seen: float
    address: str = ""
    matched_by: str = ""
    campaign: str = ""
    run: str = ""
    number: int = 0
    message_id: str = ""
    reason: str = ""
    code: int = 0
    enhanced: str = ""
    diagnostic: str = ""
    mta: str = ""


class Letter(NamedTuple):
    """The rendered bytes for one recipient, complete and canonical (CRLF, no line over 998 octets).

    ``content`` is what the receiving side stores: header block, empty line, body, not dot-stuffed, and it
    ends in CRLF. ``digest`` is its SHA-256 (32 raw bytes). ``sender`` and ``recipient`` are the envelope.
    ``sound``: proved piece by piece to hold no bare CR or LF, no NUL, and no line that begins with a dot.
    """

    number: int
    message_id: str
    sender: str
    recipient: str
    content: bytes
    digest: bytes
    smtputf8: bool = False
    sound: bool = False


@dataclass(frozen=True, slots=True)
class Unrenderable:
    """A row that cannot be made into a letter, and why, in words for the person who owns the list."""

    number: int
    reason: str


class Reply(NamedTuple):
    """One SMTP reply: code 200-599, enhanced code such as ``"5.1.1"`` or ``""``, text (lines joined by a blank)."""

    code: int
    enhanced: str
    text: str


class Outcome(NamedTuple):
    """What one attempt at one recipient ended in; the journal writes it down as it is.

    ``counted`` says whether the attempt counts against the recipient (a 421 never does). ``retry_after`` is
    the least number of seconds before the next attempt, ``None`` where the reply gave no hint.
    """

    number: int
    verdict: Verdict
    reason: str = ""
    code: int = 0
    enhanced: str = ""
    relay: str = ""
    counted: bool = True
    suppress: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """The conservation check in numbers: rows read by what screening made of them, and the plan's size.

    ``further`` counts the addresses of cells beyond the first of each (``audience.split_addresses``).
    """

    read: int = 0
    further: int = 0
    invalid: int = 0
    duplicate: int = 0
    merged: int = 0
    suppressed: int = 0
    filtered: int = 0
    already: int = 0
    planned: int = 0


class Mailbox(NamedTuple):
    """A display name (may be empty) and a bare address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes letters of one edition one of a kind; feeds Message-IDs, boundaries and tokens.

    ``generation`` is 1 and grows by one with each ``--again``. ``test`` letters have identities of their own.
    """

    campaign: str
    edition: str
    generation: int
    secret: bytes = field(repr=False)
    test: bool = False
