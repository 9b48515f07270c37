"""How long a worker that joins a running campaign takes to its first letter, and others to the shard of a killed one.

    python -m benchmarks.takeover [--rounds 10]

In each round a worker serves a campaign from a store, 60 letters a second. Another one is started, and once it has sent
its first letter it is killed. The first serves everybody else meanwhile, and then has only the dead one's shard left.
The lease of a shard is that of the product. PostgreSQL comes from the distribution's packages, on the disk of the
temporary folder, with fsync on; each worker has a relay of its own, so that it is known who has sent.

On a machine that does other work, too, a worker waits for a core; those seconds are shown, and do not count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from benchmarks.measure import usual_environment
from benchmarks.ours import CAMPAIGN, Setup
from benchmarks.sink import Witness
from tests.support.servers.store_server import store_server

ROWS, RATE, CONNECTIONS = 1500, "60/s", 4
#: The most that either may take, in seconds.
JOINED, TAKEN = 3.0, 35.0
LOOK_SECONDS, LONGEST = 0.05, 120.0


class Joined(NamedTuple):
    """Seconds from the start of a worker to its first letter, and for how many of them it had no core."""

    seconds: float
    queued: float

    @property
    def own(self) -> float:
        return self.seconds - self.queued


class Worker:
    """A command in a folder of its own, and its relay."""

    def __init__(self, folder: Path, url: str, relay: Witness) -> None:
        self._relay, self.began = relay, time.monotonic()
        delivery = {"connections": str(CONNECTIONS), "rate": f'"{RATE}"'}
        file = Setup(delivery=delivery, ledger={"store": f'"{url}"'}).lay_out(folder, relay.port, ROWS)
        self.process = subprocess.Popen(
            [*CAMPAIGN, "send", file], env=usual_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def join(self) -> Joined:
        """Wait for its first letter."""
        assert self._relay.wait_for(1, LONGEST)
        queued = int(Path(f"/proc/{self.process.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return Joined(self._relay.deliveries[0].at - self.began, queued)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def campaign(url: str) -> Iterator[tuple[Worker, Worker]]:
    """A worker that sends, and one that has just been started."""
    with tempfile.TemporaryDirectory() as folder, Witness() as near, Witness() as far:
        first = Worker(Path(folder) / "first", url, near)
        first.join()
        second = Worker(Path(folder) / "second", url, far)
        try:
            yield first, second
        finally:
            first.kill()
            second.kill()


def one_round(url: str, joined: Future[Joined]) -> float:
    """Sets the seconds until the second worker has joined; returns those until its shard has another holder."""
    with campaign(url) as (first, second), psycopg.connect(url, autocommit=True) as connection:
        joined.set_result(second.join())
        second.kill()
        killed = time.monotonic()
        tokens = _shards_of(connection, second.process.pid)
        assert tokens
        while _held(connection, tokens) and time.monotonic() < killed + LONGEST:
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - killed
        assert first.process.wait(LONGEST) in {0, 4}
        return seconds


def _shards_of(connection: psycopg.Connection[tuple[object, ...]], process: int) -> list[object]:
    rows = connection.execute("SELECT token FROM campaign.shard WHERE holder LIKE %s", (f"%:{process}:%",))
    return [token for (token,) in rows]


def _held(connection: psycopg.Connection[tuple[object, ...]], tokens: Sequence[object]) -> bool:
    return connection.execute("SELECT FROM campaign.shard WHERE token = ANY(%s)", (tokens,)).fetchone() is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    joins: list[Joined] = []
    with store_server(below=None) as server, ThreadPoolExecutor(rounds) as pool:
        waiting = []
        for _ in range(rounds):  # while one round waits for a lease, the next begins
            joined: Future[Joined] = Future()
            waiting.append(pool.submit(one_round, server.database(), joined))
            joins.append(_first(joined, waiting[-1]))
        takes = [one.result() for one in waiting]
    print(f"{rounds} rounds on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end; seconds\n")
    print(f"{'':46}{'median':>8}{'worst':>8}{'at most':>9}")
    _row("from the start of a worker to its first letter", [one.seconds for one in joins])
    _row("  without what it waited for a core", [one.own for one in joins], JOINED)
    _row("until a killed worker's shard is taken over", takes, TAKEN)
    raise SystemExit(max(one.own for one in joins) > JOINED or max(takes) > TAKEN)


def _row(title: str, found: Sequence[float], most: float | None = None) -> None:
    limit = "" if most is None else f"{most:.1f}"
    print(f"{title:46}{statistics.median(found):>8.1f}{max(found):>8.1f}{limit:>9}")


def _first(joined: Future[Joined], done: Future[float]) -> Joined:
    """The result of a round's first half. Raises the error that ended it before."""
    told = threading.Event()
    joined.add_done_callback(lambda _: told.set())
    done.add_done_callback(lambda _: told.set())
    told.wait()
    if not joined.done():
        done.result()  # raises
    return joined.result(0)


if __name__ == "__main__":
    main()
