"""How fast, and in how much memory, a CSV list becomes a frozen plan; beside plain pandas chunks in the same run.

    python benchmarks/audience.py [ROWS]
    python benchmarks/audience.py keys [KEYS]

Each measurement runs in a process of its own on one core. Memory is the peak resident set of that process.
Asked for: 60,000 rows/s, at most 16 times pandas' time, at most 200 MB plus 16 bytes a row; of the keys alone that
20 million are taken in within a minute, and in that memory.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

COLUMNS = ("email", "name", "plan", "city", "since", "amount", "code", "note")


def write_list(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")
        for n in range(rows):
            cells = f"user{n}@example{n % 97}.com,Zoë Müller {n},pro,Zürich,2024-01-02,{n % 1000}.50,{n:07}"
            file.write(f'{cells},"a note, with a comma {n}"\n')


def freeze(path: Path) -> int:
    from campaign.audience.plan.plan_reader import freeze
    from campaign.audience.screening.screen_rows import Suppression
    from campaign.config.audience import AudienceSection

    settings = AudienceSection(source=path.name, display_name="name")
    return freeze(settings, path.parent, path.parent, suppression=Suppression()).size


def read_with_pandas(path: Path) -> int:
    import pandas as pd

    options: dict[str, object] = {"dtype": object, "keep_default_na": False, "na_filter": False}
    return sum(len(chunk) for chunk in pd.read_csv(path, chunksize=10_000, **options))


def measured(job: Callable[[Path], int], path: Path) -> tuple[int, float, float]:
    """(rows, seconds, peak MB) of ``job`` in a fresh process on one core; imports are part of it."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(job, path, sender))
    process.start()
    found = receiver.recv()
    process.join()
    return found


def _measure(job: Callable[[Path], int], path: Path, sender: object) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    began = time.perf_counter()
    rows = job(path)
    seconds = time.perf_counter() - began
    sender.send((rows, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def walk(path: Path) -> tuple[float, float]:
    """Seconds to step over every line of the plan unparsed, and to find one recipient by number."""
    from campaign.audience.plan.plan_reader import Plan

    plan = Plan.open(path)
    began = time.perf_counter()
    assert not list(plan.recipients(lambda _: False))
    stepped = time.perf_counter() - began
    began = time.perf_counter()
    for number in range(0, plan.size, max(1, plan.size // 1000)):
        plan.recipient(number)
    return stepped, (time.perf_counter() - began) / 1000


def fill(keys: int) -> None:
    """Seconds for each million of new keys in a set, and its memory; random bytes stand for digests."""
    from campaign.audience.screening.key_set import KeySet

    found, began, last = KeySet(), time.process_time(), 0.0
    for start in range(0, keys, 10_000):
        batch = os.urandom(160_000)
        found.add([batch[at : at + 16] for at in range(0, 160_000, 16)])
        if (start + 10_000) % 1_000_000 == 0:
            taken = time.process_time() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{len(found):12,} keys  {taken:7.1f} s  the last million {taken - last:5.2f} s  {peak:6.0f} MB")
            last = taken
    print(f"allowed: 60 s for 20,000,000; {200 + keys * 16 / 2**20:.0f} MB")


def main() -> None:
    if sys.argv[1:2] == ["keys"]:
        fill(int(sys.argv[2]) if len(sys.argv) > 2 else 20_000_000)
    else:
        freeze_rows(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)


def freeze_rows(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        write_list(path, rows)
        print(f"{rows:,} rows, {len(COLUMNS)} columns, {path.stat().st_size / 1e6:.0f} MB")
        _, plain, _ = measured(read_with_pandas, path)
        planned, seconds, peak = measured(freeze, path)
        assert planned == rows
        allowed = 200 + rows * 16 / 2**20
        print(f"pandas.read_csv in chunks  {plain:8.2f} s")
        print(
            f"frozen plan                {seconds:8.2f} s  {rows / seconds:,.0f} rows/s  {seconds / plain:.1f} x pandas"
        )
        print(f"peak memory                {peak:8.0f} MB of {allowed:.0f} MB allowed")
        stepped, found = walk(path.parent / "plan.jsonl")
        print(f"all lines stepped over     {stepped:8.2f} s; one recipient by number in {found * 1e6:.0f} us")


if __name__ == "__main__":
    main()
