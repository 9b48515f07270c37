"""The written form of ramps: a rate that rises during a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from campaign.config.units import Rate, duration, rate

_RAMP = re.compile(r"(?P<start>.+?)\s*\.\.\s*(?P<end>.+?)\s+over\s+(?P<over>.+)")


@dataclass(frozen=True, slots=True)
class Ramp:
    """A linear rise from ``start`` to ``end`` in ``over`` seconds, and ``end`` from then on."""

    start: Rate
    end: Rate
    over: float

    def per_second(self, age: float) -> float:
        """Letters a second when the ramp is ``age`` seconds old."""
        share = min(1.0, max(0.0, age / self.over))
        return self.start.per_second + (self.end.per_second - self.start.per_second) * share

    def __str__(self) -> str:
        return f"{self.start}..{self.end} over {self.over:g}s"


def ramp(value: object) -> Ramp | None:
    """``"10/s..200/s over 30m"`` -> Ramp; ``""`` -> None. Raises ValueError on anything else."""
    if value is None or value == "":
        return None
    if isinstance(value, Ramp):
        return value
    match = _RAMP.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a ramp; write one such as '10/s..200/s over 30m'")
    over = duration(match["over"])
    if over <= 0:
        raise ValueError(f"{value!r} is not a ramp: it takes no time")
    return Ramp(rate(match["start"]), rate(match["end"]), over)


RampText = Annotated[Ramp | None, BeforeValidator(ramp), PlainSerializer(lambda one: str(one or ""))]
