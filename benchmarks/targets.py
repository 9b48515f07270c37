"""The goals for speed, and whether the measurements meet them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import STANDARD, ratios

CONNECTIONS = 20
Found = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """``measured`` takes the figure from the findings (None: not measured). ``least``: a larger one is better."""

    measure: str
    must: float
    aim: float
    unit: str
    least: bool
    measured: Callable[[Found], float | None]


@dataclass(frozen=True)
class Judged:
    measure: str
    must: str
    aim: str
    found: str
    word: str


def _rates(runs: list[Found]) -> list[float]:
    return [run["rows"] / run["wall"] for run in runs]


def _cpu(runs: list[Found]) -> list[float]:
    return [run["cpu"] / run["rows"] for run in runs]


def _faster(part: str, key: str) -> Callable[[Found], float | None]:
    def measured(found: Found) -> float | None:
        runs = found.get(part, {}).get("runs", {})
        return ratios(_rates(runs[key]), _rates(runs["campaign"]))[0] if runs.get(key) else None

    return measured


def _leaner(key: str) -> Callable[[Found], float | None]:
    def measured(found: Found) -> float | None:
        runs = found.get("loopback", {}).get("runs", {})
        return ratios(_cpu(runs["campaign"]), _cpu(runs[key]))[0] if runs.get(key) else None

    return measured


def _shorter(key: str, count: int) -> Callable[[Found], float | None]:
    """Our time from start to end for a list of ``count``, as a part of the other's."""

    def measured(found: Found) -> float | None:
        runs = {int(rows): runs for rows, runs in found.get("lengths", {}).items()}.get(count, {})
        if not runs.get(key):
            return None
        return ratios([run["wall"] for run in runs[key]], [run["wall"] for run in runs["campaign"]])[0]

    return measured


def _part(key: str) -> Callable[[Found], float | None]:
    """Our CPU a message, as a part of the other's."""

    def measured(found: Found) -> float | None:
        runs = found.get("loopback", {}).get("runs", {})
        return ratios(_cpu(runs[key]), _cpu(runs["campaign"]))[0] if runs.get(key) else None

    return measured


def _scaled(found: Found) -> float | None:
    runs = found.get("loopback", {}).get("runs", {}).get("campaign", [])
    return statistics.median(run["cpu"] / run["rows"] * 1e6 * STANDARD / run["hash"] for run in runs) if runs else None


def _share(found: Found) -> float | None:
    part = found.get("far")
    return statistics.median(_rates(part["runs"]["campaign"])) / (CONNECTIONS / part["round_trip"]) if part else None


def _growth(found: Found) -> float | None:
    by_size = {int(count): runs for count, runs in found.get("sizes", {}).items()}
    if len(by_size) < 2:
        return None
    memory = {count: statistics.median(run["memory"] for run in runs) for count, runs in by_size.items()}
    return memory[max(memory)] - memory[10_000 if 10_000 in memory else min(memory)]


def _resumed(found: Found) -> float | None:
    return statistics.median(found["resume"]["seconds"]) if "resume" in found else None


def marginal(found: Found) -> float | None:
    """What one more message costs between the two largest lists, against between the two smallest; in CPU."""
    by_size = {
        int(count): statistics.median(run["cpu"] for run in runs) for count, runs in found.get("sizes", {}).items()
    }
    counts = sorted(by_size)
    if len(counts) < 3:
        return None
    (a, b), (c, d) = counts[:2], counts[-2:]
    return ((by_size[d] - by_size[c]) / (d - c)) / ((by_size[b] - by_size[a]) / (b - a))


def _side_by_side(found: Found) -> float | None:
    runs = found.get("processes")
    return ratios([run["sending"] for run in runs["2"]], [run["sending"] for run in runs["1"]])[0] if runs else None


GOALS = (
    Goal("messages a second against nodemailer with juice once", 7, 9, "×", True, _faster("loopback", "nodemailer")),
    Goal("CPU a message against nodemailer with juice once", 7, 9, "×", True, _leaner("nodemailer")),
    Goal("CPU a message against Go on one core", 0.7, 0.55, "×", False, _part("go_one")),
    Goal("1,000 rows from start to end against nodemailer", 1.0, 0.7, "×", False, _shorter("nodemailer", 1_000)),
    Goal("messages a second against plain Python per row", 36, 40, "×", True, _faster("loopback", "plain")),
    Goal("CPU a message, start to report, scaled", 160, 125, "µs", False, _scaled),
    Goal("behind 20 ms, against aiosmtplib with a ready letter", 3.5, 3.5, "×", True, _faster("far", "ready")),
    Goal("behind 20 ms, against nodemailer", 1.8, 1.8, "×", True, _faster("far", "nodemailer")),
    Goal("behind 20 ms, share of connections / round trip", 0.93, 0.95, "share", True, _share),
    Goal("messages a second while sending, two processes against one", 1.6, 1.9, "×", True, _side_by_side),
    Goal("memory, longest list against 10,000 rows", 50, 5, "MB more", False, _growth),
    Goal("first letter of the resumed run", 5, 3, "s", False, _resumed),
    Goal("marginal cost, long lists against short ones", 1.05, 1.0, "×", False, marginal),
)


def judged(found: Found) -> Iterator[Judged]:
    """Each goal that was measured, with a word on it."""
    for goal in GOALS:
        value = goal.measured(found)
        if value is not None:
            yield Judged(
                goal.measure, _shown(goal.must, goal), _shown(goal.aim, goal), _shown(value, goal), word(value, goal)
            )


def word(value: float, goal: Goal) -> str:
    """Whether a figure meets its goal."""
    met = (lambda bound: value >= bound) if goal.least else (lambda bound: value <= bound)
    return "aim met" if met(goal.aim) else "must met" if met(goal.must) else "**missed**"


def _shown(value: float, goal: Goal) -> str:
    if goal.unit == "share":
        return f"{value:.0%}" if value else ""
    sign = "≥" if goal.least else "≤"
    bound = value in (goal.must, goal.aim)
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{sign + ' ' if bound else ''}{number} {goal.unit}"
