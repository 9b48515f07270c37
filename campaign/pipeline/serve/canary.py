"""The canary: a few recipients spread over the plan go first; the rest wait for an operator, or a time and a share.

Its only state is in the journal and the control file: the members of the canary follow from the plan's size, and the
file, or any other recipient having been served, shows the release. This module decides; `pass_loop.py` acts.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec

from campaign.config.delivery import DeliverySection
from campaign.delivery.control_file import Control, State, hold_for_canary, withdraw_canary_hold
from campaign.ledger.state.canary_members import CanaryMembers
from campaign.ledger.state.recipient_states import ATTEMPT_CODES, CODE
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict

Step = Literal["go", "canary", "wait", "stop"]
Note = Callable[[str], None]
#: Seconds between two looks of a held run for its release.
LOOK_SECONDS = 0.25
RELEASED = "the rest goes out"


class Canary(msgspec.Struct, frozen=True):
    """The recipients who go first (``size`` of ``recipients``, evenly spread), and what releases the rest."""

    size: int
    recipients: int
    hold: float | None
    min_accepted: float

    @classmethod
    def of(cls, settings: DeliverySection, recipients: int) -> Canary:
        """The canary of a run; one as large as the plan is dropped."""
        size = settings.canary if settings.canary < recipients else 0
        return cls(size, recipients, settings.canary_hold, settings.canary_min_accepted)

    def includes(self, number: int) -> bool:
        """Whether this recipient goes first."""
        return self._members.includes(number)

    def numbers(self) -> list[int]:
        """The numbers of all who go first, ascending."""
        return list(self._members.numbers())

    def step(self, history: RunState, *, since: float | None, released: bool) -> Step:
        """What to do now.

        ``since`` is how many seconds ago the last of the canary was settled (None: by an earlier process), ``released``
        whether an operator released the rest.
        """
        if not self.size or released or self.others_served(history):
            return "go"
        if any(history.verdict(number) is Verdict.WAITING for number in self.numbers()):
            return "canary"
        if self.accepted_share(history) < self.min_accepted:
            return "stop"
        return "go" if self.hold is not None and since is not None and since >= self.hold else "wait"

    def accepted_share(self, history: RunState) -> float:
        """The share accepted, of those members that the relay has answered for."""
        verdicts = [history.verdict(number) for number in self.numbers()]
        answered = [one for one in verdicts if one in {Verdict.ACCEPTED, Verdict.REJECTED, Verdict.DEFERRED}]
        return answered.count(Verdict.ACCEPTED) / len(answered) if answered else 1.0

    def others_served(self, history: RunState) -> bool:
        """Whether anybody else was tried; one who was cancelled or withdrawn was not."""
        own = sum(CODE[history.verdict(number)] in ATTEMPT_CODES for number in self.numbers())
        return sum(history.counts[code] for code in ATTEMPT_CODES) > own

    def held_words(self, share: float) -> str:
        """What to say when the canary has been sent and the rest waits; ``share`` of it was accepted."""
        after = f", or {self.hold:g} s from now by itself" if self.hold is not None else ""
        return f"the canary is out, {share:.1%} of it accepted; the rest waits for campaign resume{after}"

    @property
    def _members(self) -> CanaryMembers:
        return CanaryMembers(self.size, self.recipients)


def stored_canary(settings: DeliverySection, folder: Path, history: RunState) -> int:
    """How many go first in a run that comes from its folder into a store; 0 if that is over, or there is none."""
    canary, control = Canary.of(settings, history.opened.recipients), Control(folder)
    control.poll(0.0)
    return 0 if history.finished or control.released or canary.others_served(history) else canary.size


def failed_words(share: float) -> str:
    """What to say when too few of the canary were accepted."""
    return f"only {share:.1%} of the canary was accepted, less than canary_min_accepted: the run is held"


class Release:
    """Holds back the rest of a run until the canary's time and share, or an operator, release it.

    ``wait`` sleeps for so many seconds and returns False when the run must stop; ``note`` informs the operator.
    """

    def __init__(
        self, canary: Canary, folder: Path, control: Control, note: Note, wait: Callable[[float], Awaitable[bool]]
    ) -> None:
        self.canary, self._folder, self._control, self._note, self._wait = canary, folder, control, note, wait
        self._released = False
        self._held_since: float | None = None

    async def step(self, history: RunState) -> Literal["go", "canary", "stop", "left"]:
        """The next pass: all recipients, the canary alone, or none because the run is held or left."""
        while True:
            since = None if self._held_since is None else time.monotonic() - self._held_since
            self._control.poll(time.monotonic())
            released = self._released or self._control.released
            step = self.canary.step(history, since=since, released=released)
            if step != "wait":
                return self._ended(step, history)
            if self._held_since is None:
                self._hold(history)
            elif self._control.state == "run":
                self._released = True
            if not await self._wait(LOOK_SECONDS):
                return "left"

    def _hold(self, history: RunState) -> None:
        self._held_since = time.monotonic()
        share = self.canary.accepted_share(history)
        self._note(self.canary.held_words(share))
        self._wish("pause")

    def _ended(self, step: Literal["go", "canary", "stop"], history: RunState) -> Literal["go", "canary", "stop"]:
        if step == "stop":
            self._note(failed_words(self.canary.accepted_share(history)))
            self._wish("stop")
        elif step == "canary" and self._control.state == "pause":
            # It was held, and then some of it is to be sent again: in doubt, or unwritten when power was lost.
            self._control.state = withdraw_canary_hold(self._folder)
        elif self._held_since is not None:
            self._wish("run")
            self._note(RELEASED)
            self._held_since, self._released = None, True
        return step

    def _wish(self, state: State) -> None:
        self._control.state = hold_for_canary(self._folder, state)
