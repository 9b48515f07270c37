"""The throttle of a relay account: when the next letter may go, computed from recorded times on the caller's clock.

A window (the relay account, or one group of recipient domains) records when its letters left. Letter ``n`` may go under
"at most ``count`` in ``per`` seconds" once letter ``n - count`` is ``per`` seconds old, which holds in *every* sliding
window [t, t + per), not only in aligned ones. The shortest window is also paced evenly (GCRA with a burst of one), so
that letters do not leave in a burst at the start or after a stall. This module does not sleep, and leaves storage on
disk to `shared_throttle`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from campaign.config.units import Ramp, Rate
from campaign.delivery.pacing.sliding_window import Cells, SlidingWindow, in_memory
from campaign.errors import InternalError

#: The name of the relay account's own window. No domain has this name.
ACCOUNT = ""


class Throttle:
    """Every limit of one relay account. All times are seconds on a clock that never goes back.

    ``domain_limits`` maps a domain, or the name of a group, to its limits; ``groups`` maps domains to the name of the
    group they count in. ``cells`` gives the storage of a window by name (in memory by default). Spend a turn when the
    content leaves, not when the recipient is taken.
    """

    def __init__(
        self,
        limits: Sequence[Rate],
        domain_limits: Mapping[str, Sequence[Rate]] | None = None,
        *,
        groups: Mapping[str, str] | None = None,
        ramp: Ramp | None = None,
        warmup: Sequence[int] = (),
        cells: Callable[[str], Cells] = in_memory,
    ) -> None:
        self._cells = cells
        self._groups = dict(groups or {})
        self.limits = tuple(limits)
        self._account = SlidingWindow(cells(ACCOUNT), limits, ramp, warmup)
        self._windows = {
            name: SlidingWindow(cells(name), many) for name, many in self.by_window(domain_limits or {}).items()
        }

    @property
    def by_domain(self) -> bool:
        """Whether some domain may have to wait longer than others."""
        return bool(self._windows)

    def group(self, domain: str) -> str:
        """The name of the window that ``domain`` counts in."""
        return self._groups.get(domain, domain)

    def wait(self, domain: str, now: float) -> float:
        """Seconds until a letter to ``domain`` may go; 0.0 = now."""
        due = self._account.due(now)
        if self._windows:
            window = self._windows.get(self._groups.get(domain, domain))
            if window is not None:
                due = max(due, window.due(now))
        return due - now if due > now else 0.0

    def spend(self, domain: str, now: float) -> None:
        """Record that the content of a letter to ``domain`` leaves now, whether or not its turn had come."""
        self._account.spend(now)
        if self._windows:
            window = self._windows.get(self._groups.get(domain, domain))
            if window is not None:
                window.spend(now)

    def take(self, domain: str, now: float) -> float:
        """Wait and spend in one: 0.0 means the turn is yours and spent; otherwise nothing was spent."""
        wait = self.wait(domain, now)
        if not wait:
            self.spend(domain, now)
        return wait

    def held_by(self, domain: str, now: float) -> tuple[str, Rate | None, float]:
        """What a letter to ``domain`` waits for longest: (window name, its limit or None for pace or hold, seconds)."""
        windows = [(ACCOUNT, self._account)]
        group = self._groups.get(domain, domain)
        if group in self._windows:
            windows.append((group, self._windows[group]))
        name, (limit, due) = max(((name, window.held_by(now)) for name, window in windows), key=lambda held: held[1][1])
        return name, limit, max(0.0, due - now)

    def slow(self, domain: str | None, now: float, factor: float = 0.5) -> str:
        """Cut the pace of a domain's window, or of the account (``None``), to ``factor`` of its present value.

        The pace recovers in steps. Returns a sentence for the log, or "" if it was cut a moment ago: replies to letters
        that were under way at that time count once.
        """
        self._forget_recovered(now)
        name = ACCOUNT if domain is None else self._groups.get(domain, domain)
        window = self._window_to_steer(name)
        base = window.per_second(now) or self._account.per_second(now)
        change = window.slow(now, factor, base)
        if change is None:
            return ""
        before, after = change
        return f"{name or 'the relay'}: slowed from {before:.3g}/s to {after:.3g}/s; {window.recovery()}"

    def hold(self, domain: str | None, now: float, seconds: float) -> str:
        """Send nothing to a domain's window, or at all (``None``), for ``seconds``. Returns a sentence for the log."""
        name = ACCOUNT if domain is None else self._groups.get(domain, domain)
        self._window_to_steer(name).hold(now + seconds)
        return f"{name or 'the relay'}: held for {seconds:.0f} s"

    def set_rate(self, limits: Iterable[Rate]) -> None:
        """Replace the account's limits from now on; letters that have left count under the new ones."""
        self.limits = tuple(limits)
        self._account.set_limits(self.limits)

    def state(self) -> dict[str, Any]:
        """The whole state as plain values that fit JSON, on the caller's clock."""
        return {"version": 1, "windows": {name: window.state() for name, window in self._all().items()}}

    @classmethod
    def restore(
        cls,
        state: Mapping[str, Any],
        limits: Sequence[Rate],
        domain_limits: Mapping[str, Sequence[Rate]] | None = None,
        **options: Any,
    ) -> Self:
        """A throttle that continues from `state`; the limits may differ from before."""
        if state.get("version") != 1:
            raise InternalError(f"Pacing state of version {state.get('version')!r} is not known here.")
        throttle = cls(limits, domain_limits, **options)
        for name, remembered in state["windows"].items():
            throttle._window_to_steer(name).restore(remembered)
        return throttle

    def by_window(self, domain_limits: Mapping[str, Sequence[Rate]]) -> dict[str, list[Rate]]:
        """Limits by window: a limit written for a domain that counts in a group holds for the whole group."""
        windows: dict[str, list[Rate]] = {}
        for name, many in domain_limits.items():
            windows.setdefault(self._groups.get(name, name), []).extend(many)
        return windows

    def _window_to_steer(self, name: str) -> SlidingWindow:
        if name == ACCOUNT:
            return self._account
        if name not in self._windows:
            self._windows[name] = SlidingWindow(self._cells(name), ())
        return self._windows[name]

    def _forget_recovered(self, now: float) -> None:
        """Drop windows that exist only because they were slowed and are back at full pace."""
        for name in [name for name, window in self._windows.items() if window.idle(now)]:
            del self._windows[name]

    def _all(self) -> dict[str, SlidingWindow]:
        return {ACCOUNT: self._account, **self._windows}


def seconds_for(letters: int, limits: Sequence[Rate]) -> float:
    """The least seconds that ``letters`` take under ``limits``, beginning with nothing sent: for estimates."""
    slowest = 0.0
    for limit in limits:
        windows = max(0, math.ceil(letters / max(1.0, limit.count)) - 1)
        slowest = max(
            slowest, windows * limit.per if limit.per > SlidingWindow.PACED_UP_TO else letters / limit.per_second
        )
    return slowest
