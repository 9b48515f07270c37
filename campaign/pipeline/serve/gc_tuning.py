"""The garbage collector, asked to look less often: a run makes hundreds of objects a letter and hardly a cycle.

At Python's own settings it walked everything that stands, again and again, for 4 % of a run's CPU (396 us a letter
against 381, six interleaved rounds of `benchmarks`).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Objects made, net of those freed, before the young are looked through; and how often their elders are. A chunk of a
#: list, which lives for a moment, has fewer.
THRESHOLDS = 100_000, 20, 100


@contextmanager
def seldom() -> Iterator[None]:
    """What stands when the block begins is left alone while it lasts, and what it makes is looked at seldom."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
