"""Progress of a run: a bar on a terminal, a plain line at intervals everywhere else.

There is one painter. The stages add to the integers in `Counts`, so progress costs a letter nothing; the painter reads
them a few times a second. For a resumed run it counts the work of all its processes; the rate, and figures marked "this
time", are of this one. The end-of-run tally (`summary.tally`) and the log are elsewhere.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TextIO

import msgspec

from campaign.report import formatting
from campaign.report.live.terminal_width import USUAL, width_of

#: Seconds between two readings of the counts, on a terminal and elsewhere.
PERIOD = 0.2
#: Seconds between two updates for other processes.
PUBLISH = 1.0
#: The rate shown is that of the last so many seconds: a stall shows, a hiccup does not.
WINDOW = 30.0
#: Characters of the terminal that the bar itself takes.
BAR = 10


class Counts(msgspec.Struct):
    """The present number of recipients in each state, over all processes of the run; the stages add and subtract.

    ``total`` is the plan's size; ``done_before`` were settled when this process began to serve the run. ``deferred``
    wait for another pass and are not done. ``other`` are unrenderable, withdrawn, cancelled or expired. ``limit`` is
    the highest pace the rate limits allow, in letters a second, or None. ``next_pass`` is the POSIX time of the next
    pass while all the rest wait for it, otherwise 0. ``paused``: an operator asked for it. ``waiting``: what holds up
    all letters now, in words.
    """

    total: int = 0
    done_before: int = 0
    accepted: int = 0
    deferred: int = 0
    rejected: int = 0
    in_doubt: int = 0
    other: int = 0
    limit: float | None = None
    next_pass: float = 0.0
    paused: bool = False
    waiting: str = ""

    def take(self, tally: Mapping[str, int]) -> None:
        """Take over the number of recipients with each verdict."""
        self.accepted, self.deferred, self.rejected = tally["accepted"], tally["deferred"], tally["rejected"]
        self.in_doubt = tally["in_doubt"]
        settled = self.total - tally["waiting"] - self.deferred
        self.other = settled - self.accepted - self.rejected - self.in_doubt

    @property
    def done_now(self) -> int:
        """Settled by this process."""
        return self.done - self.done_before

    @property
    def done(self) -> int:
        """Settled by all processes of this run."""
        return self.accepted + self.rejected + self.in_doubt + self.other


class Pace:
    """Letters a second over the last `WINDOW` seconds, from a few samples."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, done: int) -> float:
        """Record that ``done`` were done at ``now`` (monotonic seconds); returns letters a second."""
        if not self._samples or now - self._samples[-1][0] >= 1 or len(self._samples) == 1:
            self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()
        since, before = self._samples[0]
        return (done - before) / (now - since) if now > since else 0.0


def remaining(counts: Counts, pace: float) -> float | None:
    """Seconds until all are done at ``pace``, and no faster than the limits; None if unknown."""
    speed = min(pace, counts.limit) if counts.limit else pace
    return (counts.total - counts.done) / speed if speed > 0 else None


def outlook(counts: Counts, pace: float) -> str:
    """When the run will be over: ``29m30s left``, or when the remaining recipients are tried again."""
    if counts.paused:
        return "paused; campaign resume goes on"
    if counts.waiting:
        return counts.waiting
    if counts.next_pass:
        return f"next pass at {formatting.clock(counts.next_pass)}"
    left = remaining(counts, pace)
    return "no estimate yet" if left is None else f"about {formatting.duration_text(left)} left"


def standing_text(counts: Counts, pace: float) -> str:
    """``deferred 12 · rejected 3 · in doubt 0 · about 29m30s left``; not sent only if there are some."""
    parts = [f"deferred {counts.deferred:,}", f"rejected {counts.rejected:,}", f"in doubt {counts.in_doubt:,}"]
    if counts.other:
        parts.append(f"not sent {counts.other:,}")
    if counts.done < counts.total:
        parts.append(outlook(counts, pace))
    return " · ".join(parts)


def line(counts: Counts, pace: float) -> str:
    """``done 12,345 of 100,000 (12.3 %) · 48.9/s · deferred 12 · …``: one line for a log under cron."""
    done = f"done {counts.done:,} of {counts.total:,} ({formatting.percentage(counts.done, counts.total)})"
    return f"{done} · {formatting.rate_text(pace)} · {standing_text(counts, pace)}"


def caption(counts: Counts, pace: float) -> str:
    """The text beside the bar, where space is scarce: the estimate first, then only counts above zero."""
    parts = [formatting.rate_text(pace), outlook(counts, pace).removeprefix("about ")]
    some = {
        "in doubt": counts.in_doubt,
        "rejected": counts.rejected,
        "deferred": counts.deferred,
        "not sent": counts.other,
    }
    return " · ".join([*parts, *(f"{name} {count:,}" for name, count in some.items() if count)])


def progress_facts(counts: Counts, pace: float) -> dict[str, object]:
    """The figures of `line`, for programs; what is not known is None."""
    left = remaining(counts, pace) if counts.done < counts.total else 0.0
    return {
        "done": counts.done,
        "total": counts.total,
        "accepted": counts.accepted,
        "deferred": counts.deferred,
        "rejected": counts.rejected,
        "in_doubt": counts.in_doubt,
        "not_sent": counts.other,
        "rate": round(pace, 2),
        "seconds_left": None if left is None else round(left, 1),
        "paused": counts.paused,
        "waiting": counts.waiting or None,
        "next_pass": counts.next_pass or None,
    }


class Progress:
    """Paints `Counts` on ``stream``: `start`, then the task `paint`, then `finish`.

    ``clock`` gives monotonic seconds. With ``quiet`` only `note` prints. A stream that breaks (a closed pipe) silences
    it; a run never ends for lack of a reader. ``publish`` gets the pace every second, for other processes. ``events``
    gets the figures instead of the stream, for a program.
    """

    def __init__(
        self,
        counts: Counts,
        *,
        stream: TextIO,
        is_terminal: bool,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        label: str = "",
        quiet: bool = False,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        publish: Callable[[float], None] = lambda _: None,
        events: Callable[..., None] | None = None,
    ) -> None:
        self._counts, self._stream, self._interval = counts, stream, interval
        self._clock, self._label, self._sleep = clock, formatting.printable(label), sleep
        self._quiet, self._on_terminal = quiet, is_terminal and not quiet and events is None
        self._events = events
        self._pace = Pace()
        self._publish, self._published = publish, float("-inf")
        self._broken = False
        self._bar: Any = None
        self._began = self._last_line = clock()

    def start(self) -> None:
        """Print what begins; show the bar on a terminal."""
        self._began = self._last_line = self._clock()
        self._pace.sample(self._began, self._counts.done_now)
        before = f", {self._counts.done_before:,} of them done earlier" if self._counts.done_before else ""
        limit = f", at most {formatting.rate_text(self._counts.limit)}" if self._counts.limit else ""
        self._say(f"started {self._label}: {formatting.counted(self._counts.total, 'recipient')}{before}{limit}")
        if self._on_terminal:
            self._bar = _bar(self._counts, self._stream)

    async def paint(self) -> None:
        """Paint until cancelled; to be run as one task beside the work."""
        from asyncio import sleep  # only needed for painting

        while True:
            await (self._sleep or sleep)(PERIOD if self._bar is not None else min(1.0, self._interval))
            self.tick()

    def tick(self) -> None:
        """Read the counts once: repaint the bar, or print a line if the interval is over."""
        now = self._clock()
        pace = self._pace.sample(now, self._counts.done_now)
        if now - self._published >= PUBLISH:
            self._published = now
            self._publish(pace)
        if self._bar is not None:
            self._guarded(lambda: self._repaint(pace))
        elif now - self._last_line >= self._interval:
            self._last_line = now
            self._report(line(self._counts, pace), pace)

    def note(self, text: str) -> None:
        """Print a message on its own line without breaking the bar; also when quiet."""
        text = formatting.printable(text)
        if self._events is not None:
            self._events("notice", text=text)
        elif self._bar is not None:
            self._guarded(lambda: self._bar.write(text, file=self._stream))
        else:
            self._guarded(lambda: self._stream.write(text + "\n"))

    def finish(self) -> None:
        """Remove the bar, and print the state of the run and what this process did of it, over its whole time."""
        if self._bar is not None:
            self._guarded(self._bar.clear)
            self._bar.close()
            self._bar = None
        counts, seconds = self._counts, self._clock() - self._began
        pace = f" at {formatting.rate_text(counts.done_now / seconds)}" if seconds > 0 and counts.done_now else ""
        counts.next_pass, counts.paused, counts.waiting = 0.0, False, ""
        parts = [f"accepted {counts.accepted:,}", standing_text(counts, 0.0).removesuffix(" · no estimate yet")]
        done = f"{counts.done:,} of {counts.total:,} ({formatting.percentage(counts.done, counts.total)})"
        this = f"this time {counts.done_now:,} in " if counts.done_before else ""
        took = f"{this}{formatting.duration_text(seconds)}{pace}"
        rate = counts.done_now / seconds if seconds > 0 else 0.0
        self._report(f"ended {self._label}: {done} · {' · '.join(parts)} · {took}", rate)

    def _repaint(self, pace: float) -> None:
        self._bar.ncols = (width_of(self._stream) or USUAL) - 1
        self._bar.set_description_str(caption(self._counts, pace), refresh=False)
        self._bar.update(self._counts.done - self._bar.n)
        self._bar.refresh()

    def _report(self, text: str, pace: float) -> None:
        """How far it is: in words, or as figures for a program."""
        if self._events is None:
            self._say(text)
        else:
            self._events("progress", **progress_facts(self._counts, pace))

    def _say(self, text: str) -> None:
        if not self._quiet and self._events is None:
            self._guarded(lambda: self._stream.write(text + "\n"))

    def _guarded(self, write: Callable[[], object]) -> None:
        if self._broken:
            return
        try:
            write()
            self._stream.flush()
        except (OSError, ValueError):  # a broken or closed stream
            self._broken = True


def _bar(counts: Counts, stream: TextIO) -> Any:
    from tqdm import tqdm  # only on a terminal: it costs a tenth of the time `campaign status` has

    class Bar(tqdm):  # type: ignore[type-arg]  # nothing is iterated
        monitor_interval = 0  # no extra thread: only the painter repaints

    Bar.set_lock(threading.RLock())  # its default also makes a semaphore across processes
    return Bar(
        total=counts.total,
        initial=counts.done_before,
        unit="msg",
        disable=False,
        delay=math.inf,  # it paints on request only, and not when it is garbage collected
        mininterval=PERIOD,
        smoothing=0.05,
        file=stream,
        bar_format=f"{{percentage:3.0f}}%|{{bar:{BAR}}}| {{n:,}} of {{total:,}} · {{desc}}",
    )
