"""A clock that is wrong and is set: what ``time.time`` says in all processes of a run, and when it jumps."""

from __future__ import annotations

import os
import time
from typing import Any


def install(start: float, later: float, deferrals: int, jumped: str) -> None:
    """The clock is ``start`` seconds ahead until so many letters were put off, and ``later`` seconds from then on.

    ``jumped`` is a file that is made when the clock jumps, for the other processes to see.
    """
    from campaign.ledger.checkpoint import Checkpoint
    from campaign.ledger.journal.journal_writer import JournalWriter
    from campaign.ledger.shards.shard_ledger import FileShard

    real, left = time.time, [deferrals]
    original = JournalWriter.verdict

    def told() -> float:
        return real() + (later if os.path.exists(jumped) else start)

    def verdict(self: JournalWriter, outcome: Any, not_before: float = 0.0) -> None:
        original(self, outcome, not_before)
        left[0] -= outcome.verdict.value == "deferred"
        if left[0] == 0:
            os.close(os.open(jumped, os.O_CREAT))

    time.time = told
    JournalWriter.verdict = verdict  # type: ignore[method-assign]
    for bound in (Checkpoint, FileShard):  # as it was when the class was imported
        bound.__init__.__kwdefaults__["clock"] = told  # type: ignore[misc]
