"""Garbage collection tuned for a run, which makes hundreds of objects a letter and hardly a cycle.

With Python's defaults the collector traversed all live objects again and again, for 4 % of a run's CPU (396 us a letter
against 381, six interleaved rounds of `benchmarks`).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Objects allocated, net of those freed, before the young generation is collected; and how often the older ones are. A
#: chunk of a list, which lives for a moment, has fewer.
THRESHOLDS = 100_000, 20, 100


@contextmanager
def seldom() -> Iterator[None]:
    """Freeze the objects that exist when the block begins, and collect new ones seldom while it lasts."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
