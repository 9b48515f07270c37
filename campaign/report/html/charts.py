"""Charts as inline SVG and plain elements, each with a description for readers who cannot see it.

A plot is stretched to the available width, so its labels stand beside it as text and stay readable on a telephone. No
script: the numbers of a column are its `<title>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from campaign.report import formatting
from campaign.report.facts import RunFacts, TimelineBucket
from campaign.report.html.html_builder import Html, join, tag
from campaign.report.time_buckets import rebinned

COLUMNS = 120
KINDS = ("accepted", "deferred", "rejected")
DAY = 86_400.0  #: seconds; the axis of a longer run names the day
FEWEST = 3  #: columns that make a picture; fewer are described in words
FEW_LETTERS = 10  #: fewer replies than this have no percentiles worth drawing


def stacked(counts: Mapping[str, int], *, label: str) -> Html:
    """One bar, split in proportion; a share too small to see still gets a sliver."""
    present = [(name, counts[name]) for name in formatting.READING_ORDER if counts.get(name)]
    words = ", ".join(f"{count:,} {formatting.verdict(name)}" for name, count in present) or "nothing"
    parts = (tag("i", cls=name, style=f"flex-grow:{count}") for name, count in present)
    return tag("div", parts, cls="bar", role="img", aria_label=formatting.printable(f"{label}: {words}"))


def timeline(facts: RunFacts) -> Html:
    """Accepted, deferred and rejected letters a second over the run, as stacked columns."""
    width, bins = rebinned(facts.timeline, facts.bucket_seconds, COLUMNS)
    if not bins:
        return tag("p", "Nothing was sent, so there is nothing to draw.", cls="quiet")
    if len(bins) < FEWEST:
        return tag("p", _briefly(bins, width))
    top = _nice(max(sum(_counts(one)) for one in bins) / width)
    axis = tag("div", (tag("span", f"{top * part:g}") for part in (1, 0.5, 0)), cls="y", aria_hidden="true")
    ends = (bins[0].at, bins[0].at + width * len(bins) / 2, bins[0].at + width * len(bins))
    clock = _clock if ends[2] - ends[0] <= DAY else _day
    times = tag("div", (tag("span", clock(at), _beside(at, facts.zone)) for at in ends), cls="x", aria_hidden="true")
    zone = f", under them {facts.zone}" if _beside(ends[0], facts.zone) else ""
    caption = f"Letters a second, a column is {formatting.duration_text(width)}; times are UTC{zone}."
    plot = tag("div", axis, _plot(bins, width, top), times, cls="plot")
    return tag("figure", plot, _legend(bins), tag("figcaption", caption), cls="timeline")


def _plot(bins: list[TimelineBucket], width: float, top: float) -> Html:
    grid = (tag("line", x1=0, x2=len(bins), y1=y, y2=y, cls="grid") for y in (0, 50, 100))
    columns = (_column(at, one, width, top) for at, one in enumerate(bins))
    return tag(
        "svg",
        tag("title", "Letters a second over the run", id="timeline-title"),
        tag("desc", _in_words(bins, width), id="timeline-words"),
        grid,
        columns,
        viewBox=f"0 0 {len(bins)} 100",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby="timeline-title timeline-words",
    )


def _column(at: int, one: TimelineBucket, width: float, top: float) -> Html:
    said = ", ".join(f"{count / width:,.1f} {kind}" for kind, count in zip(KINDS, _counts(one), strict=True) if count)
    parts, below = [tag("rect", x=at, y=0, width=1, height=100, cls="hit")], 0.0
    for kind, count in zip(KINDS, _counts(one), strict=True):
        height = 100 * count / width / top
        below += height
        if count:
            y, tall = f"{100 - below:.2f}", f"{height:.2f}"
            parts.append(tag("rect", x=f"{at + 0.09:.2f}", y=y, width=0.82, height=tall, cls=kind))
    return tag("g", tag("title", f"{_clock(one.at)}: {said or 'nothing'}{' a second' if said else ''}"), parts)


def _in_words(bins: list[TimelineBucket], width: float) -> str:
    peak = max(bins, key=lambda one: one.accepted)
    sums = [sum(column) for column in zip(*map(_counts, bins), strict=True)]
    totals = ", ".join(f"{total:,} {kind}" for kind, total in zip(KINDS, sums, strict=True))
    lasted = formatting.duration_text(width * len(bins))
    most = formatting.rate_text(peak.accepted / width)
    return f"{totals} over {lasted}; at most {most} accepted, at {_clock(peak.at)} UTC."


def _briefly(bins: list[TimelineBucket], width: float) -> str:
    sums = [sum(column) for column in zip(*map(_counts, bins), strict=True)]
    said = ", ".join(f"{total:,} {kind}" for kind, total in zip(KINDS, sums, strict=True) if total) or "nothing"
    return f"{said} within {formatting.duration_text(width * len(bins))}, from {_clock(bins[0].at)} UTC."


def _legend(bins: list[TimelineBucket]) -> Html:
    sums = [sum(column) for column in zip(*map(_counts, bins), strict=True)]
    shown = [kind for kind, total in zip(KINDS, sums, strict=True) if total]
    return tag("p", (join([tag("i", cls=f"dot {kind}"), tag("span", kind)]) for kind in shown), cls="legend")


def latencies(facts: RunFacts) -> Html:
    """p50, p90, p99 and the longest, as bars relative to the longest; for a few letters only the longest, in words."""
    letters = sum(facts.latency_buckets.values())
    if 0 < letters < FEW_LETTERS and "max" in facts.latency:
        which = "The answer came" if letters == 1 else "The longest came"
        return tag("p", f"{which} after {formatting.latency(facts.latency['max'])}.")
    names = {"p50": "half within", "p90": "90 % within", "p99": "99 % within", "max": "the longest"}
    known = [(name, facts.latency[name]) for name in names if name in facts.latency]
    longest = max((seconds for _, seconds in known), default=0.0) or 1.0
    rows = (
        tag(
            "li",
            tag("span", names[name], cls="name"),
            tag("span", tag("i", style=f"width:{max(0.5, 100 * seconds / longest):.1f}%"), cls="track"),
            tag("span", formatting.latency(seconds), cls="value"),
        )
        for name, seconds in known
    )
    return tag("ul", rows, cls="latency")


def _counts(one: TimelineBucket) -> tuple[int, int, int]:
    return one.accepted, one.deferred, one.rejected


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _beside(at: float, zone: str) -> Html | None:
    local = formatting.local_time(at, zone)
    return tag("small", local.strftime("%H:%M")) if local else None


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _nice(highest: float) -> float:
    """The next round number: 1, 2, 3, 4, 5, 6, 8 or 10 times a power of ten."""
    power = 0.001
    while True:
        for step in (1, 2, 3, 4, 5, 6, 8):
            if step * power >= highest:
                return step * power
        power *= 10
