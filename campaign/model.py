"""Value types that all stages share: frozen, slotted, without behaviour.

This module imports nothing else of the package. Stages exchange these values and callables; they never import each
other. All types can be pickled, as several processes may send. A type created for each letter is a named
tuple, which takes less than half a dataclass's time to create.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

#: A column's value as templates receive it: plain data only.
Value = str | int | float | bool | date | list["Value"] | dict[str, "Value"] | None


class Verdict(StrEnum):
    """What became of a planned recipient. The list is closed; `docs/contract.md` explains each."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REJECTED = "rejected"
    UNRENDERABLE = "unrenderable"
    IN_DOUBT = "in_doubt"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


#: Verdicts after which a run has nothing more to do for a recipient. ``in_doubt`` is not final: the operator decides.
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
    """Why a row of the source is not in the plan."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    MERGED = "merged"
    SUPPRESSED = "suppressed"
    FILTERED = "filtered"
    ALREADY = "already"


class Recipient(NamedTuple):
    """One numbered line of the plan.

    ``address`` is the envelope address: local part as given (NFC), domain as lower-case A-labels. ``key`` identifies
    the letter within an edition. ``line`` is the 1-based line (CSV) or row of the source, for messages.
    """

    number: int
    address: str
    key: str
    name: str
    line: int
    row: Mapping[str, Value]


class FeedbackOutcome(StrEnum):
    """What became of a letter after a relay accepted it, or what its recipient asks for.

    ``hard``: the address or its domain does not exist. ``soft``: it could not be delivered this time.
    ``not_their_fault``: refused because of the content or the sender; says nothing about the address. ``delayed``:
    still being tried. ``released``: a person allows letters to the address again.
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
    """One feedback event, as it is stored permanently.

    ``id`` is unique, and stays the same if the same event is read again. ``source`` is where it was read
    (``imap:bounces@mail.example.com``, ``smtp`` for a relay's own reply). ``at`` and ``seen`` are POSIX seconds: when
    it happened and when it was read. ``address`` is the planned address, or the one the feedback names if no recipient
    was found. ``matched_by``: ``return-path``, ``message-id``, ``unsubscribe-token``, ``reply-id``, ``address`` (only
    named, which anyone can forge), ``own-program`` (named by the operator's own program), ``provider-list`` (named in a
    provider's own list), ``webhook`` (named in a provider's verified request), ``reply`` (a relay's own reply),
    ``person`` (said by a person here) or ``""``. ``number`` is the recipient's number in the plan of ``run``, which is
    ``CAMPAIGN[/EDITION]/RUN`` below the ledger's directory. ``reason`` is the class of the event, such as
    ``no_such_user``; the remaining fields are evidence.
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

    ``content`` is what the receiving side stores: header block, empty line, body, not dot-stuffed, ending in CRLF.
    ``digest`` is its SHA-256 (32 raw bytes). ``sender`` and ``recipient`` are the envelope addresses. ``sound``:
    verified piece by piece to contain no bare CR or LF, no NUL, and no line that begins with a dot.
    """

    number: int
    message_id: str
    sender: str
    recipient: str
    content: bytes
    digest: bytes
    smtputf8: bool = False
    sound: bool = False


class Unrenderable(NamedTuple):
    """A row that cannot be rendered, and the reason in words for the owner of the list."""

    number: int
    reason: str


class Reply(NamedTuple):
    """One SMTP reply: code 200-599, enhanced code such as ``"5.1.1"`` or ``""``, text (lines joined by a space)."""

    code: int
    enhanced: str
    text: str


class Outcome(NamedTuple):
    """The result of one attempt at one recipient, as the journal records it.

    ``counted`` says whether the attempt counts against the recipient (a 421 never does). ``retry_after`` is the
    minimum number of seconds before the next attempt, ``None`` if the reply gave no hint.
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
    """Row counts for the conservation check: rows read, rows for each result of screening, recipients planned.

    ``further`` counts the addresses after the first in each cell (``audience.split_addresses``).
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
    """Identifies the letters of one edition; Message-IDs, boundaries and tokens derive from it.

    ``generation`` starts at 1 and rises by one with each ``--again``. ``test`` letters have separate identities.
    """

    campaign: str
    edition: str
    generation: int
    secret: bytes = field(repr=False)
    test: bool = False
