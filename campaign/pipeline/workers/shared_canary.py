"""The canary of a run that workers share: who finds that it has been sent holds the rest, or the run, for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from campaign.ledger.postgres.store_canary import StoreCanary
from campaign.pipeline.serve.canary import RELEASED, Canary, failed_words

OUT = "the canary is being sent by other workers; this one waits for its end"
HELD = "the canary is out, and the rest waits for campaign resume; this worker waits with the others"
FAILED = "too few of the canary were accepted: the run is held"


class SharedCanary:
    """What a worker without a free shard does about the canary. ``note`` informs the person at the terminal."""

    def __init__(self, canary: Canary, note: Callable[[str], None]) -> None:
        self._canary, self._note = canary, note
        self._told = ""

    async def step(self, store: StoreCanary) -> Literal["go", "wait", "stop"]:
        """What to do now: serve shards, wait a moment, or end the run as held."""
        found = await store.standing()
        if found is None:
            return "go"
        if not found.held and not found.out:
            failed = found.share < self._canary.min_accepted
            if await store.hold("stop" if failed else "pause"):
                self._tell(failed_words(found.share) if failed else self._canary.held_words(found.share), HELD)
                return "stop" if failed else "wait"
        elif await store.release(self._canary.hold):
            self._note(RELEASED)
            return "go"
        else:
            self._tell(HELD if found.held else OUT)
        return "wait"

    def stopped(self) -> None:
        """Say that another worker has found too few of the canary accepted."""
        self._note(FAILED)

    def _tell(self, text: str, instead: str = "") -> None:
        """Say it once; also in place of another text."""
        if (instead or text) != self._told:
            self._told = instead or text
            self._note(text)
