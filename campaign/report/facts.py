"""The facts of a run, as plain values collected once by the pipeline and read by every report.

Nothing here is computed from files of other stages, and nothing here is a secret: the caller leaves passwords and
tokens out of ``settings``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from campaign.model import Books, Value
from campaign.report.feedback.feedback_facts import FeedbackFacts
from campaign.report.printed_commands import command_text

#: The setting of a run that was given another relay than its campaign file's.
RELAY_OPTION = "--relay"
#: The setting that names the time zone of the machine that ran it, such as ``Europe/Berlin``.
TIME_ZONE = "time zone"


class ReplyTally(msgspec.Struct, frozen=True):
    """One kind of reply and how often it came.

    ``reason`` is the relay's text of one of them, untrusted; ``meaning`` and ``advice`` are ours, without a full stop.
    """

    code: int
    enhanced: str
    reason: str
    verdict: str
    count: int
    advice: str = ""
    meaning: str = ""


class TimelineBucket(msgspec.Struct, frozen=True):
    """What ended in the ``RunFacts.bucket_seconds`` from ``at`` (POSIX seconds). Empty buckets may be left out."""

    at: float
    accepted: int
    deferred: int
    rejected: int


class DoubtRow(msgspec.Struct, frozen=True):
    """A letter whose final dot was sent and whose reply was never recorded. ``at`` is POSIX seconds."""

    number: int
    address: str
    message_id: str
    relay: str
    at: float


class FailedRow(msgspec.Struct, frozen=True):
    """One row for ``failed.csv``: ``values`` in the order of the source's columns, then its outcome."""

    values: Sequence[Value]
    verdict: str
    code: int
    enhanced_code: str
    reason: str


class SampleLetter(msgspec.Struct, frozen=True):
    """The run's letter for a made-up recipient, with no value of a real one. ``html`` or ``text`` may be empty."""

    subject: str
    sender: str
    html: str
    text: str


class RunFacts(msgspec.Struct, frozen=True):
    """Everything a report says about one run.

    ``started`` and ``ended`` are POSIX seconds; ``active`` is how many of the seconds between them a process served the
    run (``None``: all). ``verdicts`` counts recipients by the nine values of `Verdict` (one left out is 0).
    ``by_domain`` holds the largest recipient domains, each with its own verdicts, of ``domain_count`` in all.
    ``latency`` maps ``p50``, ``p90``, ``p99`` and ``max`` to seconds from the final dot to its reply;
    ``latency_buckets`` maps upper bounds in seconds to how many letters took at most that and more than the bound
    before (not cumulative; ``float("inf")`` last), ``latency_sum`` is the sum in seconds. ``relays`` maps a relay to
    the letters it accepted. ``dead`` of the rejected have addresses that no run tries again (`suppressed.csv`).
    ``feedback`` is what came back about its letters, ``None`` where none is read. ``file`` is the campaign file as it
    was typed. ``rehearsal``: the letters went into the embedded mailbox, and no recipient got one.
    """

    campaign: str
    edition: str
    run: str
    folder: str
    generation: int
    started: float
    ended: float
    books: Books
    verdicts: Mapping[str, int]
    by_domain: Mapping[str, Mapping[str, int]] = msgspec.field(default_factory=dict)
    by_reply: Sequence[ReplyTally] = ()
    timeline: Sequence[TimelineBucket] = ()
    latency: Mapping[str, float] = msgspec.field(default_factory=dict)
    relays: Mapping[str, int] = msgspec.field(default_factory=dict)
    passes: int = 1
    settings: Mapping[str, str] = msgspec.field(default_factory=dict)
    fingerprints: Mapping[str, str] = msgspec.field(default_factory=dict)
    exit_code: int = 0
    in_doubt: Sequence[DoubtRow] = ()
    file: str = ""
    notes: Sequence[str] = ()
    trace_id: str = ""
    latency_buckets: Mapping[float, int] = msgspec.field(default_factory=dict)
    latency_sum: float = 0.0
    bucket_seconds: float = 1.0
    dead: int = 0
    rehearsal: bool = False
    active: float | None = None
    domain_count: int = 0
    sample: SampleLetter | None = None
    feedback: FeedbackFacts | None = None

    def command(self, verb: str) -> str:
        """``campaign VERB FILE`` to be typed, with the relay that this run was given."""
        return command_text(verb, self.file or "FILE", self.settings.get(RELAY_OPTION, ""))

    @property
    def zone(self) -> str:
        """The time zone of the machine that ran it; empty if unknown."""
        return self.settings.get(TIME_ZONE, "")

    @property
    def seconds(self) -> float:
        """The run's duration in seconds: the time in which a process served it."""
        return max(0.0, self.ended - self.started) if self.active is None else self.active

    def count(self, verdict: str) -> int:
        """How many recipients ended in ``verdict``."""
        return self.verdicts.get(verdict, 0)
