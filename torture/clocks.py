"""A clock that is wrong and is set: what ``time.time`` says in this process, and when it jumps."""

from __future__ import annotations

import time
from typing import Any


def install(start: float, later: float, deferrals: int) -> None:
    """The clock is ``start`` seconds ahead until so many letters were put off, and ``later`` seconds from then on."""
    from campaign.ledger.checkpoint import Checkpoint

    real, left = time.time, [deferrals]
    original = Checkpoint.verdict

    def told() -> float:
        return real() + (start if left[0] > 0 else later)

    def verdict(self: Checkpoint, outcome: Any, not_before: float = 0.0) -> None:
        original(self, outcome, not_before)
        left[0] -= outcome.verdict.value == "deferred"

    time.time = told
    Checkpoint.verdict = verdict  # type: ignore[method-assign]
    Checkpoint.__init__.__kwdefaults__["clock"] = told  # it was bound when the nursery imported it
