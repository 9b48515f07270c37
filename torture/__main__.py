"""``python -m torture``: every scenario, one table; exit 1 when anything did not hold, with the evidence kept.

python -m torture                      the full form: about 200 kills of each kind
python -m torture --short              the form for CI: some of every scenario, and all points of a shard
python -m torture --kills 1000         the long form
python -m torture --seed 7 --only "SIGKILL at each named point"
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from torture import table
from torture.audit import Tally
from torture.bench import ROOT, dice
from torture.case import Case
from torture.pool import run_all
from torture.scenarios import (
    changes,
    clocks,
    dead_addresses,
    disks,
    editions,
    gateways,
    journals,
    kills,
    late_relay,
    operators,
    points,
    power,
    processes,
    races,
    rehearsals,
    servers,
    shards,
    signals,
    sites,
    workers,
)

SCENARIOS = (
    kills, processes, points, shards, gateways, dead_addresses, rehearsals,
    signals, servers, late_relay, disks, power, clocks, journals, races, changes, editions, operators,
    workers, sites,
)  # fmt: skip
#: The short form: so many kills, this share of the cases of a scenario, and all cases of these.
SHORT_KILLS, SHORT_SHARE = 30, 0.2
WHOLE = frozenset({kills.SCENARIO, processes.SCENARIO, shards.NAMED})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, say whether everything held."""
    told = _parser().parse_args(arguments)
    print(f"seed {told.seed}", flush=True)
    evidence = told.evidence or ROOT / "build" / "torture" / str(told.seed)
    if told.short:
        told.kills, told.share = SHORT_KILLS, SHORT_SHARE
    chosen = choose(told.kills, told.seed, told.only, told.share, WHOLE if told.short else frozenset())
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
        tallies = gather(chosen, list(run_all(chosen, told.seed, told.workers, Path(scratch), evidence)))
    _aimed_well(tallies)
    print()
    print(table.markdown(tallies))
    for note in table.notes(tallies):
        print(f"  {note}")
    print("seconds: " + ", ".join(f"{one.scenario} {one.seconds:.0f}" for one in tallies))
    broken = [sentence for one in tallies for sentence in one.broken]
    form = "--short" if told.short else f"--kills {told.kills}"
    command = f"python -m torture {form} --seed {told.seed}"
    print(f"\n{len(chosen)} cases in {time.monotonic() - began:.0f} s; the same again: {command}")
    if told.docs and not broken:
        table.into_docs(ROOT / "docs" / "guarantee.md", table.markdown(tallies), command)
    return _judge(broken, evidence)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m torture", description="Kill the sender until it breaks its promise."
    )
    parser.add_argument("--kills", type=int, default=200, help="about how many random kills; the rest grows with it")
    parser.add_argument("--short", action="store_true", help="some minutes of everything, as CI runs it")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="repeats a run")
    parser.add_argument("--only", default="", help="scenarios or cases whose name holds this text")
    parser.add_argument(
        "--share", type=float, default=1.0, help="only this share of each scenario's cases, drawn by the seed"
    )
    parser.add_argument("--workers", type=int, default=3, help="cases at the same time; most of their time is waiting")
    parser.add_argument("--evidence", type=Path, help="where folders of broken cases are kept")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/guarantee.md when all holds")
    return parser


def choose(kills_wanted: int, seed: int, only: str, share: float, whole: frozenset[str] = frozenset()) -> list[Case]:
    """The cases to run, in the order of the table; of scenarios in ``whole`` all."""
    found = [one for scenario in SCENARIOS for one in scenario.cases(kills_wanted)]
    named = [one for one in found if only in one.scenario or only in one.name]
    if share >= 1.0:
        return named
    chance, kept = dice(seed, "share"), set()
    for scenario in dict.fromkeys(one.scenario for one in named):
        names = [one.name for one in named if one.scenario == scenario]
        kept.update(chance.sample(names, len(names) if scenario in whole else max(round(len(names) * share), 1)))
    return [one for one in named if one.name in kept]


def gather(cases: Sequence[Case], found: Sequence[Tally]) -> list[Tally]:
    """One tally a scenario, in the order of the table."""
    sums = {one.scenario: Tally(one.scenario) for one in cases}
    for tally in found:
        sums[tally.scenario].add(tally)
    return list(sums.values())


def _aimed_well(tallies: Sequence[Tally]) -> None:
    for one in tallies:
        if one.scenario in {kills.SCENARIO, processes.SCENARIO}:
            one.must(
                one.open_kills * 2 >= one.kills, f"only {one.open_kills} of {one.kills} kills met an open envelope"
            )


def _judge(broken: Sequence[str], evidence: Path) -> int:
    if not broken:
        print("Everything held.")
        shutil.rmtree(evidence, ignore_errors=True)
        return 0
    print(f"\n{len(broken)} things did not hold; the evidence is in {evidence}")
    for sentence in broken[:40]:
        print(f"- {sentence[:600]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
