"""The command line of the simulation: which seeds, in how many processes, and what is printed about them."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
from collections.abc import Iterator

from tests.simulation import process, scenario
from tests.simulation.planted import PLANTED, planted
from tests.simulation.shrink import shrink
from tests.simulation.simulate import Result, simulate

#: Seconds of CPU from which a seed is worth a look.
SLOW = 8.0
#: Worlds that are lived through first; between them they use every command.
WARM = (-7, -2, 0)


def main() -> int:
    """Simulate, print, and return 1 if anything did not hold, or a planted fault was not found."""
    asked = _arguments()
    prepare()
    if asked.planted is not None:
        return _all_planted(asked.planted, asked.first, asked.seeds, asked.processes)
    if asked.seed is not None:
        return _one(asked.seed, trace=asked.trace)
    return _many(range(asked.first, asked.first + asked.seeds), asked.processes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone, with its story")
    parser.add_argument("--processes", type=int, default=2, help="how many at once")
    parser.add_argument("--planted", nargs="?", const="", metavar="WORDS", help="find the planted faults (named so)")
    parser.add_argument("--trace", action="store_true", help="with --seed: every event")
    return parser.parse_args()


def prepare() -> None:
    """Live through some worlds in this very process, so that no fork of it imports, parses or compiles that anew."""
    for seed in WARM:
        _, faults = scenario.draw(seed)
        simulate(seed, [one.number for one in faults if one.kind == "death"], serve=process.run_here)
    gc.collect()
    gc.freeze()


def _one(seed: int, *, trace: bool) -> int:
    result = simulate(seed, trace=trace)
    for line in result.trace if trace else []:
        print(line)
    if result.broken and not trace:
        result = shrink(result)
        print("shrunk to the fewest faults with which the same does not hold:")
    tell(result)
    return 1 if result.broken else 0


def tell(result: Result) -> None:
    """Print the story of one seed."""
    print(f"seed {result.seed}: {result.people} people, {len(result.faults)} faults, trace {result.digest}")
    for at, text in result.story:
        print(f"  {at:12,.3f} s  {text}")
    for sentence in result.broken:
        print(f"  MUST NOT BE: {sentence}")
    print(f"  {result.letters} letters, {result.copies} copies, {result.doubts} doubts, {result.seconds:.2f} s of CPU")


def _many(seeds: range, processes: int) -> int:
    began, failed, all_of_them = time.monotonic(), [], []
    for result in _results(seeds, processes):
        all_of_them.append(result)
        if result.broken:
            failed.append(result)
            print(f"seed {result.seed}: {result.broken[0][:1500]}", flush=True)
            print(f"  with its story: python -m tests.simulation --seed {result.seed}", flush=True)
        if result.seconds > SLOW:
            print(f"seed {result.seed} took {result.seconds:.1f} s of CPU", flush=True)
    took = time.monotonic() - began
    _totals(all_of_them, took)
    return 1 if failed else 0


def _all_planted(words: str, first: int, seeds: int, processes: int) -> int:
    tasks = [(name, range(first, first + seeds)) for name in PLANTED if words in name]
    missed, began = 0, time.monotonic()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for name, tried, sentence in pool.imap(_find, tasks):
            missed += not sentence
            print(f"| {name} | {tried if sentence else 'not found'} | {sentence} |", flush=True)
    print(f"{len(tasks)} planted, {missed} not found; {time.monotonic() - began:.0f} s")
    return 1 if missed else 0


def _find(task: tuple[str, range]) -> tuple[str, int, str]:
    """How many seeds were tried until one found the planted fault, and what it says; nothing if none did."""
    name, seeds = task
    with planted(name):
        for tried, seed in enumerate(seeds, 1):
            result = simulate(seed)
            if result.broken:
                said = result.broken[0].partition(" s: ")[2].splitlines()[0][:160]
                return name, tried, "" if said.startswith("a traceback") else said  # a patch that fits no more
    return name, len(seeds), ""


def _results(seeds: range, processes: int) -> Iterator[Result]:
    if processes <= 1:
        yield from map(simulate, seeds)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(simulate, seeds)


def _totals(results: list[Result], took: float) -> None:
    def total(name: str) -> float:
        return sum(getattr(one, name) for one in results)

    broken = sum(bool(one.broken) for one in results)
    print(
        f"{len(results)} seeds, {total('hours'):,.0f} simulated hours, {total('processes'):,.0f} processes, "
        f"{total('deaths'):,.0f} deaths ({total('losses'):,.0f} losses of power), {total('letters'):,.0f} letters, "
        f"{total('copies'):,.0f} copies, {total('doubts'):,.0f} doubts: "
        f"{broken} seeds in which something did not hold; {took:.0f} s, {total('seconds'):.0f} s of CPU"
    )
    sys.stdout.flush()
