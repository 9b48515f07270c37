"""Runs on files and runs in a store, side by side: CPU a letter of the sender and of PostgreSQL, and a second worker.

    python -m benchmarks.workers [--rows 20000] [--rounds 3] [--connections 20] [--only two]

Each round sends the reference message to the light sink with ``durability`` process, then power, then in a store by
one worker, and by two workers that share a run. The CPU is that of the whole command, the rate that of sending alone:
of the letters between the first tenth and the last. PostgreSQL comes from the distribution's packages, on the disk of
the temporary folder, with fsync on. Its CPU is that of all its processes, as the kernel counts them, without what it
takes to make the schema, once for each store. The seconds tell how long the plan is made and uploaded, how much later
the first letter has its answer, how long letters are sent, and how long the run is then closed and reported.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import sink
from benchmarks.measure import LIMIT, run, usual_environment
from benchmarks.ours import CAMPAIGN, Setup
from campaign.ledger import run_folder
from campaign.ledger.journal.journal_records import Leased, VerdictRecord
from campaign.ledger.postgres.schema import ensure_schema
from campaign.ledger.recovery import read_run
from campaign.system.postgres import connect, store_address
from tests.support.servers.store_server import StoreServer, store_server

TICK = os.sysconf("SC_CLK_TCK")
#: Letters a second at which a run would be given up.
SLOWEST = 500


class Course(NamedTuple):
    """Times of a run in seconds since 1970: the command's start, the first lease if any, the answers, and the end."""

    began: float
    leased: float | None
    answers: Sequence[float]
    ended: float

    @property
    def rate(self) -> float:
        """Letters a second between the first tenth and the last."""
        first, last = len(self.answers) // 10, len(self.answers) * 9 // 10
        return (last - first) / (self.answers[last] - self.answers[first])

    @property
    def stages(self) -> tuple[float, ...]:
        """Seconds: plan, first letter, sending, end and report."""
        planned = self.leased or self.began
        first, last = self.answers[0], self.answers[-1]
        return planned - self.began, first - planned, last - first, self.ended - last


class Found(NamedTuple):
    """CPU of the senders and of the store in microseconds a letter; the largest sender's peak memory in MB."""

    course: Course
    senders: float
    memory: float
    store: float = 0.0


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


def on_files(port: int, rows: int, durability: str, delivery: dict[str, str]) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        file = Setup(delivery=delivery, ledger={"durability": f'"{durability}"'}).lay_out(Path(folder), port, rows)
        began = time.time()
        used = run([*CAMPAIGN, "send", file], limit=max(LIMIT, rows / SLOWEST))
        assert used.code == 0, used.talk
        return Found(_course(began, time.time(), file), used.cpu / rows * 1e6, used.memory)


def in_store(port: int, rows: int, workers: int, server: StoreServer, delivery: dict[str, str]) -> Found:
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
        began = time.time()
        commands = [
            subprocess.Popen(
                [*CAMPAIGN, "send", file], env=usual_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for file in files
        ]
        cpu, memory = 0.0, 0.0
        for command in commands:
            _, status, used = os.wait4(command.pid, 0)
            command.returncode = os.waitstatus_to_exitcode(status)
            assert command.returncode == 0
            cpu += used.ru_utime + used.ru_stime
            memory = max(memory, used.ru_maxrss / 1024)
        course = _course(began, time.time(), *files)
    return Found(course, cpu / rows * 1e6, memory, (server_cpu(server) - before) / rows * 1e6)


def _course(began: float, ended: float, *files: Path) -> Course:
    """The only run of these campaigns. Only the worker that closed it has all of it."""
    courses = []
    for made in (made for file in files for made in run_folder.runs(file.parent / "runs" / "reference")):
        leased, answers = None, array("d")
        for record in read_run(made):
            if isinstance(record, VerdictRecord):
                answers.append(record.at)
            elif isinstance(record, Leased):
                leased = min(record.at, leased or record.at)
        courses.append(Course(began, leased, array("d", sorted(answers)), ended))
    return max(courses, key=lambda course: len(course.answers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--only", help="the kinds of run whose title has this in it, as `store` or `two`")
    told = parser.parse_args()
    delivery = {"connections": str(told.connections)}
    with sink.light_sink() as target, store_server(below=None) as server:
        kinds: dict[str, Callable[[], Found]] = {
            "files, process": lambda: on_files(target.port, told.rows, "process", delivery),
            "files, power": lambda: on_files(target.port, told.rows, "power", delivery),
            "store, one worker": lambda: in_store(target.port, told.rows, 1, server, delivery),
            "store, two workers": lambda: in_store(target.port, told.rows, 2, server, delivery),
        }
        kinds = {title: one for title, one in kinds.items() if (told.only or "") in title}
        found: dict[str, list[Found]] = {title: [] for title in kinds}
        for _ in range(told.rounds):
            for title, one in kinds.items():
                found[title].append(one())
    print(f"{told.rows:,} rows, {told.rounds} interleaved rounds, {told.connections} connections a worker; medians\n")
    columns = ("us a letter", "PostgreSQL", "messages/s", "memory", "plan", "first letter", "sending", "end")
    print(f"{'':20}" + "".join(f"{column:>13}" for column in columns))
    for title, runs in found.items():
        stages = zip(*(one.course.stages for one in runs), strict=True)
        cells = [
            f"{statistics.median(one.senders for one in runs):.0f}",
            f"{statistics.median(one.store for one in runs):.0f}",
            f"{statistics.median(one.course.rate for one in runs):,.0f}",
            f"{max(one.memory for one in runs):.0f} MB",
            *(f"{statistics.median(seconds):.2f} s" for seconds in stages),
        ]
        print(f"{title:20}" + "".join(f"{cell:>13}" for cell in cells))
    _print_ratios(found)


def _print_ratios(found: dict[str, list[Found]]) -> None:
    """Medians, least and greatest of what the runs of one round give together."""
    pairs: list[tuple[str, str, str, Callable[[Found, Found], float]]] = [
        ("CPU in a store to files, process", "store, one worker", "files, process", lambda a, b: a.senders / b.senders),
        ("CPU in a store to files, power", "store, one worker", "files, power", lambda a, b: a.senders / b.senders),
        ("two workers to twice the rate of one", "store, two workers", "store, one worker", _linear),
    ]
    print()
    for title, one, other, ratio in pairs:
        if one in found and other in found:
            ratios = [ratio(a, b) for a, b in zip(found[one], found[other], strict=True)]
            print(f"{title:40}{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _linear(two: Found, one: Found) -> float:
    return two.course.rate / (2 * one.course.rate)


if __name__ == "__main__":
    main()
