"""Runs on files and runs in a store, side by side: CPU a letter of the sender and of PostgreSQL, and a second worker.

    python -m benchmarks.workers [--rows 20000] [--rounds 3] [--connections 20]

Each round sends the reference message to the light sink with ``durability`` process, then power, then in a store by
one worker, and by two workers that share a run. The CPU is that of the whole command, the rate that of sending alone:
of the letters between the first tenth and the last. PostgreSQL comes from the distribution's packages, on the disk of
the temporary folder, with fsync on. Its CPU is that of all its processes, as the kernel counts them, without what it
takes to make the schema, once for each store.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import sink
from benchmarks.measure import run, usual_environment
from benchmarks.ours import CAMPAIGN, Setup
from campaign.ledger import run_folder
from campaign.ledger.journal.journal_records import VerdictRecord
from campaign.ledger.postgres.schema import ensure_schema
from campaign.ledger.recovery import read_run
from campaign.system.postgres import connect, store_address
from tests.support.servers.store_server import StoreServer, store_server

TICK = os.sysconf("SC_CLK_TCK")
FILES = {"files, process": '"process"', "files, power": '"power"'}


def server_cpu(server: StoreServer) -> float:
    """CPU seconds of the server and all its processes so far."""
    pid = int((server.data / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(_own, children)) + _own(pid) + _ended(pid)


def _times(pid: object) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))


def _own(pid: object) -> float:
    try:
        return sum(_times(pid)[:2]) / TICK
    except FileNotFoundError:
        return 0.0


def _ended(pid: int) -> float:
    return sum(_times(pid)[2:]) / TICK


def on_files(port: int, rows: int, durability: str, delivery: dict[str, str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Setup(delivery=delivery, ledger={"durability": durability}).lay_out(Path(folder), port, rows)
        used = run([*CAMPAIGN, "send", file])
        assert used.code == 0, used.talk
        return {"cpu": used.cpu / rows * 1e6, "rate": sending_rate(file.parent)}


def in_store(port: int, rows: int, workers: int, server: StoreServer, delivery: dict[str, str]) -> dict[str, float]:
    """Workers in folders of their own; the CPU is of all of them together."""
    url = server.database()
    with connect(store_address(url)) as connection:
        ensure_schema(connection)
    before = server_cpu(server)
    with tempfile.TemporaryDirectory() as folder:
        files = [
            Setup(delivery=delivery, ledger={"store": f'"{url}"'}).lay_out(Path(folder) / str(number), port, rows)
            for number in range(workers)
        ]
        commands = [
            subprocess.Popen(
                [*CAMPAIGN, "send", file], env=usual_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for file in files
        ]
        cpu = 0.0
        for command in commands:
            _, status, used = os.wait4(command.pid, 0)
            command.returncode = os.waitstatus_to_exitcode(status)
            assert command.returncode == 0
            cpu += used.ru_utime + used.ru_stime
        rate = sending_rate(*(file.parent for file in files))
    store = server_cpu(server) - before
    return {"cpu": cpu / rows * 1e6, "rate": rate, "store": store / rows * 1e6}


def sending_rate(*folders: Path) -> float:
    """Letters a second of the only run below campaigns' folders, between the first tenth and the last.

    Only the worker that closed the run has all of it.
    """
    runs = [run for folder in folders for run in run_folder.runs(folder / "runs" / "reference")]
    times = max(
        (sorted(record.at for record in read_run(run) if isinstance(record, VerdictRecord)) for run in runs), key=len
    )
    first, last = len(times) // 10, len(times) * 9 // 10
    return (last - first) / (times[last] - times[first])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=20)
    told = parser.parse_args()
    delivery = {"connections": str(told.connections)}
    found: dict[str, list[dict[str, Any]]] = {}
    with sink.light_sink() as target, store_server(below=None) as server:
        for _ in range(told.rounds):
            for title, durability in FILES.items():
                found.setdefault(title, []).append(on_files(target.port, told.rows, durability, delivery))
            for workers in (1, 2):
                one = in_store(target.port, told.rows, workers, server, delivery)
                found.setdefault(f"store, workers: {workers}", []).append(one)
    base = {title: statistics.median(one["cpu"] for one in runs) for title, runs in found.items()}
    print(f"{told.rows:,} rows, {told.rounds} interleaved rounds, {told.connections} connections a worker; medians\n")
    print(f"{'':20}{'CPU of senders':>16}{'of PostgreSQL':>16}{'messages/s':>12}{'CPU to process':>16}{'to power':>10}")
    for title, runs in found.items():
        store = statistics.median(one.get("store", 0.0) for one in runs)
        rate = statistics.median(one["rate"] for one in runs)
        cells = [f"{base[title]:.0f} us", f"{store:.0f} us" if store else "", f"{rate:,.0f}"]
        against = [base[title] / base[one] for one in FILES]
        print(f"{title:20}{cells[0]:>16}{cells[1]:>16}{cells[2]:>12}{against[0]:>15.2f}x{against[1]:>9.2f}x")


if __name__ == "__main__":
    main()
