"""What the oracle does wrong on purpose, and when: a script of stages and kinds, drawn by count or by chance.

Pure bookkeeping with an injected chance; how a misdeed looks on a socket is the oracle's business.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Where a relay can break, in the order of a conversation.
STAGES = (
    "connect", "banner", "ehlo", "tls", "auth", "mail", "rcpt", "data", "354", "content", "dot", "reply", "between",
    "quit",
)  # fmt: skip
KINDS = ("fin", "rst", "stall", "421", "garbage")


@dataclass(slots=True)
class Misdeed:
    """At the ``first`` occasion of ``stage`` and every ``every``-th after it, ``times`` at most.

    ``chance`` replaces counting where it is above 0. ``taken``: a letter that arrived whole is kept although the
    answer to its dot goes wrong; ``None`` leaves that to chance.
    """

    stage: str
    kind: str
    first: int = 1
    every: int = 1
    times: int = 1_000_000
    chance: float = 0.0
    taken: bool | None = None
    seen: int = 0
    done: int = 0

    def strikes(self, dice: random.Random) -> bool:
        """Whether it is this one's turn at one more occasion."""
        self.seen += 1
        if self.done >= self.times:
            return False
        turn = dice.random() < self.chance if self.chance else self._counts()
        self.done += turn
        return turn

    def _counts(self) -> bool:
        past = self.seen - self.first
        return past == 0 or (past > 0 and past % self.every == 0)


@dataclass(slots=True)
class Script:
    """All misdeeds of one scene, what is answered to whom, and how slowly.

    ``replies`` maps ``rcpt`` and ``dot`` to address -> replies, used up one by one; when none is left, 250. ``delay``
    is the range of seconds before the answer to a dot, ``pause`` that before every other answer.
    """

    misdeeds: list[Misdeed] = field(default_factory=list)
    replies: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    delay: tuple[float, float] = (0.0, 0.0)
    pause: float = 0.0
    starttls: bool = False
    auth: bool = False
    pipelining: bool = True
    read_at_most: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    struck: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Script:
        """From plain values, as they come over the control pipe."""
        plain = dict(told)
        misdeeds = [Misdeed(**one) for one in plain.pop("misdeeds", [])]
        dice = random.Random(plain.pop("seed", 0))
        delay = tuple(plain.pop("delay", (0.0, 0.0)))
        return cls(misdeeds=misdeeds, dice=dice, delay=(delay[0], delay[1]), **plain)

    def at(self, stage: str) -> Misdeed | None:
        """The misdeed to commit now, if any."""
        for one in self.misdeeds:
            if one.stage == stage and one.strikes(self.dice):
                self.struck[f"{stage} {one.kind}"] = self.struck.get(f"{stage} {one.kind}", 0) + 1
                return one
        return None

    def kept(self, misdeed: Misdeed) -> bool:
        """Whether a letter is kept although its answer goes wrong."""
        return self.dice.random() < 0.5 if misdeed.taken is None else misdeed.taken

    def answer(self, stage: str, recipients: Sequence[str]) -> str:
        """The scripted answer for the first recipient that has one, or ``""``."""
        known = self.replies.get(stage, {})
        for address in recipients:
            if known.get(address):
                return known[address].pop(0)
        return ""

    def patience(self) -> float:
        """Seconds to wait before this answer to a dot."""
        low, high = self.delay
        return self.dice.uniform(low, high) if high else 0.0
