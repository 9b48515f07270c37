"""When a run reads its suppression lists again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from campaign.audience.screening.suppression_list import Suppression
from campaign.pipeline.serve import fresh_suppression
from campaign.pipeline.serve.fresh_suppression import JUST_READ_SECONDS, FreshSuppression


@pytest.mark.parametrize(
    ("first", "waited", "readings"),
    [(True, 0.0, 1), (True, JUST_READ_SECONDS + 1, 2), (False, 0.0, 2)],
)
def test_every_pass_reads_the_lists_but_one_right_after_the_start(
    monkeypatch: pytest.MonkeyPatch, first: bool, waited: float, readings: int
) -> None:
    clock, read = [0.0], list[int]()

    def load() -> Suppression:
        read.append(1)
        return Suppression()

    monkeypatch.setattr(fresh_suppression, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    fresh = FreshSuppression(load)
    clock[0] += waited
    asyncio.run(fresh.before_pass(first=first))
    assert len(read) == readings
