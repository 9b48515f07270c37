"""Records what happens to letters as lines of a journal: intents and verdicts; the history follows each line.

Where the lines go is left to others: into a file (`journal_writer.py`), or into a store that machines share.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from campaign.errors import StorageError
from campaign.ledger.journal.journal_file import unwritable
from campaign.ledger.journal.journal_records import NONE, Intent, Record, VerdictRecord, encode
from campaign.ledger.state.recipient_states import LATEST
from campaign.ledger.state.run_state import RunState
from campaign.model import Letter, Outcome, Verdict


class JournalLines(Protocol):
    """What takes a journal's lines. ``in_need``: space ran out, and only what must not be lost is still taken."""

    path: Path
    in_need: OSError | None

    def append(self, data: bytes) -> None:
        """Append lines. Raises StorageError."""

    def append_in_need(self, data: bytes) -> None:
        """As `append`, for lines that must not be lost."""

    def close(self) -> None:
        """Take no more."""


class LetterRecorder:
    """Records into one journal; ``history`` may hold more than this journal tells."""

    def __init__(self, lines: JournalLines, history: RunState, clock: Callable[[], float] = time.time) -> None:
        self.history = history
        self._lines, self._clock = lines, clock
        self._dots: dict[int, float] = {}
        self._refused: StorageError | None = None

    def reserve(self, number: int) -> None:
        """Call before ``number`` is taken, so that it counts as possibly taken after a loss of power."""

    def date_of(self, number: int) -> int:
        """The Date of this recipient's letter: that of its first try, else of the current pass."""
        return self.history.dates[number] or self.history.pass_at

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """Record that the dot is about to leave; await the result, if any, before it does."""
        number = letter.number
        if self._lines.in_need:
            raise unwritable(self._lines.path, self._lines.in_need)
        if self._refused:
            raise self._refused
        try:
            self._append(Intent(number, letter.digest.hex(), self.date_of(number), relay))
        except StorageError as error:
            self._refused = error  # no dot leaves after this, even if the disk works again a moment later
            raise
        self._dots[number] = time.monotonic()
        return self._durable()

    def verdict(self, outcome: Outcome, not_before: float = 0.0) -> None:
        """Record the outcome for one recipient; if the disk is full, release the ballast and try again."""
        number = outcome.number
        dot = self._dots.pop(number, None)
        record = VerdictRecord(
            number,
            outcome.verdict.value,
            at=round(self._clock(), 3),
            code=outcome.code,
            enhanced=outcome.enhanced,
            reason=outcome.reason,
            relay=outcome.relay,
            took=NONE if dot is None else round(time.monotonic() - dot, 4),
            counted=outcome.counted,
            date=NONE if dot is not None or not outcome.relay else self.date_of(number),
            not_before=min(not_before, LATEST) if not_before else NONE,
            dead=outcome.suppress,
        )
        self._lines.append_in_need(encode(record))
        self.history.apply(record)

    def settle(self, number: int, verdict: Verdict, reason: str) -> Verdict:
        """Record a verdict that needed no attempt: withdrawn, cancelled, expired, unrenderable, resolved.

        A recipient who may have a letter already stays in doubt unless it was resolved. Returns the recorded verdict.
        """
        if number in self.history.digests and verdict is not Verdict.ACCEPTED:
            verdict = Verdict.IN_DOUBT
        self._append(VerdictRecord(number, verdict.value, at=round(self._clock(), 3), reason=reason, counted=False))
        return verdict

    def close(self) -> None:
        """Record no more."""
        self._lines.close()

    def _durable(self) -> Awaitable[None] | None:
        """What to await until everything appended so far is as durable as an intent must be; None if it is."""
        return None

    def _append(self, record: Record) -> None:
        self._lines.append(encode(record))
        self.history.apply(record)
