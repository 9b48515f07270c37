"""What a worker that finds no free shard does about the canary, by how far it is in the store."""

from __future__ import annotations

from typing import Literal, cast

import pytest

from campaign.ledger.postgres.store_canary import CanaryStanding, StoreCanary
from campaign.pipeline.serve.canary import Canary
from campaign.pipeline.workers.shared_canary import FAILED, HELD, OUT, SharedCanary

CANARY = Canary(4, 100, 60.0, 0.75)
SENT = "the canary is out, 100.0% of it accepted; the rest waits for campaign resume, or 60 s from now by itself"


class Store:
    """A canary in a store: how far it is, and whether a hold and a release take effect."""

    def __init__(self, standing: CanaryStanding | None, *, holds: bool = True, releases: bool = False) -> None:
        self._standing, self._holds, self._releases = standing, holds, releases
        self.held: list[str] = []

    async def standing(self) -> CanaryStanding | None:
        return self._standing

    async def hold(self, state: Literal["pause", "stop"]) -> bool:
        self.held.append(state)
        return self._holds

    async def release(self, after: float | None) -> bool:
        assert after == CANARY.hold
        return self._releases


@pytest.mark.parametrize(
    ("store", "step", "held", "notes"),
    [
        (Store(None), "go", [], []),
        (Store(CanaryStanding(True, False, 1.0)), "wait", [], [OUT]),
        (Store(CanaryStanding(False, False, 1.0)), "wait", ["pause"], [SENT]),
        (Store(CanaryStanding(False, False, 0.75)), "wait", ["pause"], [SENT.replace("100.0", "75.0")]),
        (Store(CanaryStanding(False, False, 1.0), holds=False), "wait", ["pause"], []),
        (
            Store(CanaryStanding(False, False, 0.5)),
            "stop",
            ["stop"],
            ["only 50.0% of the canary was accepted, less than canary_min_accepted: the run is held"],
        ),
        (Store(CanaryStanding(False, False, 0.5), holds=False), "wait", ["stop"], []),
        (Store(CanaryStanding(False, True, 1.0)), "wait", [], [HELD]),
        (Store(CanaryStanding(False, True, 0.5), releases=True), "go", [], ["the rest goes out"]),
    ],
)
async def test_one_worker_holds_the_rest_and_the_others_wait(
    store: Store, step: str, held: list[str], notes: list[str]
) -> None:
    said: list[str] = []
    assert await SharedCanary(CANARY, said.append).step(cast("StoreCanary", store)) == step
    assert (store.held, said) == (held, notes)


async def test_who_has_said_that_the_rest_waits_does_not_say_so_again() -> None:
    said: list[str] = []
    canary = SharedCanary(CANARY, said.append)
    for standing in (CanaryStanding(False, False, 1.0), CanaryStanding(False, True, 1.0)):
        for _ in range(2):
            await canary.step(cast("StoreCanary", Store(standing)))
    assert said == [SENT]
    canary.stopped()
    assert said[-1] == FAILED
