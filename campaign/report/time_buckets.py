"""Rebinning of a run's seconds into as many columns as can be shown, with empty ones filled in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from campaign.report.facts import TimelineBucket

#: Bucket widths that are easy to read, in seconds.
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


def rebinned(buckets: Sequence[TimelineBucket], bucket_seconds: float, most: int) -> tuple[float, list[TimelineBucket]]:
    """At most ``most`` buckets of one width (seconds), without gaps, with the same sums; and that width."""
    if not buckets:
        return bucket_seconds, []
    first, last = min(one.at for one in buckets), max(one.at for one in buckets)
    width = _width(last - first + bucket_seconds, bucket_seconds, most)
    sums = [[0, 0, 0] for _ in range(math.floor((last - first) / width) + 1)]
    for one in buckets:
        into = sums[math.floor((one.at - first) / width)]
        into[0] += one.accepted
        into[1] += one.deferred
        into[2] += one.rejected
    return width, [TimelineBucket(first + at * width, *counts) for at, counts in enumerate(sums)]


def _width(span: float, least: float, most: int) -> float:
    for width in WIDTHS:
        if width >= least and span / width <= most:
            return float(width)
    return max(least, math.ceil(span / most / WIDTHS[-1]) * float(WIDTHS[-1]))
