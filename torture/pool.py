"""Cases at the same time: a few worker processes, each with a bench of its own."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from torture import case, family
from torture.audit import Tally
from torture.bench import Bench
from torture.case import Case


def run_all(cases: Sequence[Case], seed: int, workers: int, scratch: Path, evidence: Path) -> Iterator[Tally]:
    """Run the cases in a pool, the longest first; a line whenever one does not hold, and a count now and then."""
    context = multiprocessing.get_context("spawn")
    ordered = sorted(cases, key=lambda one: -one.cost)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_settle_in, initargs=(scratch,)) as pool:
        futures: dict[Future[Tally], Case] = {pool.submit(_work, one, seed, evidence): one for one in ordered}
        for done, future in enumerate(as_completed(futures), 1):
            tally = future.result()
            if tally.broken:
                print(f"DOES NOT HOLD: {tally.broken[0][:500]}\n  evidence: {tally.evidence}", flush=True)
            if done % 20 == 0:
                print(f"{done} of {len(futures)} cases", flush=True)
            yield tally
        for _ in range(workers):
            pool.submit(_leave)


_bench: list[Bench] = []


def _settle_in(scratch: Path) -> None:
    _bench.append(Bench(scratch))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """Whoever ends the torture ends its workers, and all that these have started."""
    while os.getppid() == parent:
        time.sleep(1.0)
    for one in _bench:
        started = family.living_below(one.scratch)
        one.close()
        family.kill(started)
    os._exit(1)


def _work(one: Case, seed: int, evidence: Path) -> Tally:
    return case.run(one, _bench[0], seed, evidence)


def _leave() -> None:
    """Each worker takes one of these at the end; a worker that takes two has nothing left to close."""
    while _bench:
        _bench.pop().close()
    time.sleep(0.2)
