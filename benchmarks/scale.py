"""``python -m benchmarks.scale``: how long a very large mailing would take on many workers. A model, not a measurement.

    python -m benchmarks.scale [--letters 100000000] [--workers 5 10 20 50] [--connections 100] [--relay-ms 50]
                               [--store-ms 0.5] [--rate 20000] [--json]

It adds up costs that were measured one by one (`MEASURED`), and prints them beside the table with what was assumed. A
connection carries a letter per round trip to the relay, and waits before the final dot until the store has the intent.
Appends of one worker follow each other, and each takes the letters that came up meanwhile; so the more often letters
come up, the more of them share an append.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cost:
    """One figure, its unit, and where it comes from."""

    value: float
    unit: str
    source: str


MEASURED = {
    "sender": Cost(377e-6, "s CPU a letter", "399 us with 20 letters an append, without what the append costs there"),
    "append_client": Cost(325e-6, "s CPU an append, worker", "22 us a letter at 20 an append, 9 us at 100"),
    "append_client_letter": Cost(5.75e-6, "s CPU a letter, worker", "the same two figures"),
    "append_server": Cost(150e-6, "s CPU an append, PostgreSQL", "10 us a letter at 20 an append, 4 us at 100"),
    "append_server_letter": Cost(2.5e-6, "s CPU a letter, PostgreSQL", "the same two figures"),
    "append": Cost(2.4e-3, "s an append", "1.2 to 2.5 ms at 20 letters, fdatasync 1 to 3 ms"),
    "appends": Cost(9_232, "appends/s", "50 clients, 20 letters each, on 2 shared cores: the most there was"),
    "gather": Cost(2e-3, "s", "letters wait so long for others before an append"),
    "take": Cost(1 / 1_526, "s a take of turns", "50 clients on one row, 1,526 takes/s"),
    "takes": Cost(5, "takes/s a worker", "turns are asked for 0.3 s ahead"),
    "connections_used": Cost(0.90, "of connections / round trip", "20 connections behind 20 ms, with files"),
    "linear": Cost(0.94, "of linear", "from one worker to two"),
    "load": Cost(
        18.7e-6, "s a recipient, one worker", "the list becomes the plan (16.4 us), the plan is hashed (2.3 us)"
    ),
    "upload": Cost(7.5e-6, "s a recipient", "200,000 rows in 1.5 s"),
    "report": Cost(7.9e-6, "s a recipient, last worker", "summary, page and exports of a run on files"),
    "replay": Cost(4e-6, "s a recipient, last worker", "3.6 s for a run of 1,000,000 with 900,000 settled"),
    "plan_octets": Cost(103, "octets a recipient in the store", "compressed rows of 588 octets"),
    "plan_file": Cost(588, "octets a recipient in each worker's folder", "the same rows as they are"),
    "letter_octets": Cost(79, "octets a letter in the store", "20 letters an append, compressed"),
    "segment_octets": Cost(300, "octets an append in the store", "175 a letter in all at 4.3 letters an append"),
}
ASSUMED = (
    "each worker has a core of its own, and PostgreSQL as many as it needs; a slower core takes longer in proportion",
    "the relay takes everything, and answers each letter within the round trip: real ones answer later",
    "all letters are tried once; nothing is deferred, and no worker dies",
    "one worker makes the plan, and the last one writes the report; the others wait meanwhile",
    "the time in which each worker fetches the plan from the store is not counted",
    "more than 3 workers, and more than 1,000,000 recipients, were never measured: the figures there are extrapolated",
)


@dataclass(frozen=True)
class Mailing:
    """What is planned. ``relay`` and ``store`` are round trips in seconds; ``rate`` is a limit for all, or 0."""

    letters: int
    workers: int
    connections: int
    relay: float
    store: float
    rate: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """What it takes. ``bound`` names what sets the speed."""

    workers: int
    letters_a_second: float
    bound: str
    letters_an_append: float
    plan_hours: float
    send_hours: float
    report_hours: float
    relay_connections: int
    store_connections: int
    store_gigabytes: float
    folder_gigabytes: float
    worker_cores: float
    store_cores: float

    @property
    def hours(self) -> float:
        """From the command to the report."""
        return self.plan_hours + self.send_hours + self.report_hours


def cost(name: str) -> float:
    return MEASURED[name].value


def append_seconds(mailing: Mailing) -> float:
    """How long one append of a worker takes, when all workers append one after the other."""
    alone = cost("append") + mailing.store
    return max(alone, mailing.workers / cost("appends"))


def speed(mailing: Mailing) -> tuple[float, float, str]:
    """Letters a second of one worker, letters an append, and what sets the speed."""
    cycle = append_seconds(mailing) + cost("gather")
    wait = cost("gather") + 1.5 * append_seconds(mailing)  # on average half of one that is under way, then one's own
    by_connections = cost("connections_used") * mailing.connections / (mailing.relay + wait)
    found = min((by_connections, "connections"), (mailing.rate / mailing.workers or float("inf"), "rate"))
    share = cost("linear") if mailing.workers > 1 else 1.0
    most = share / sender_cpu(float(mailing.connections))  # all of them in one append
    letters, bound = min(found, (most, "processor"))
    together = min(float(mailing.connections), max(1.0, letters * cycle))
    if letters * sender_cpu(together) > share:
        letters, bound = min((share / sender_cpu(together), "processor"), found)
    return letters, together, bound


def sender_cpu(together: float) -> float:
    """Processor seconds of a worker for one letter."""
    return cost("sender") + cost("append_client_letter") + cost("append_client") / together


def forecast(mailing: Mailing) -> Forecast:
    """Time, connections, size and processors of a mailing."""
    letters, together, bound = speed(mailing)
    total = letters * mailing.workers
    paced = cost("takes") * cost("take") * mailing.workers if mailing.rate else 0.0
    octets = cost("plan_octets") + cost("letter_octets") + cost("segment_octets") / together
    return Forecast(
        mailing.workers,
        total,
        bound,
        together,
        mailing.letters * (cost("load") + cost("upload")) / 3600,
        mailing.letters / total / 3600,
        mailing.letters * (cost("replay") + cost("report")) / 3600,
        mailing.workers * mailing.connections,
        mailing.workers * (4 if mailing.rate else 3) + 2,
        mailing.letters * octets / 1e9,
        mailing.letters * cost("plan_file") / 1e9,
        total * sender_cpu(together),
        total * (cost("append_server_letter") + cost("append_server") / together) + paced,
    )


def table(found: Sequence[Forecast]) -> str:
    """The forecasts as a table in Markdown."""
    titles = (
        *("workers", "letters/s", "set by", "plan", "send", "report", "in all", "connections to relay / store"),
        *("store", "disk of a worker", "cores: workers / PostgreSQL"),
    )
    rows = [titles, ["---:" if title != "set by" else "---" for title in titles], *map(cells, found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cells(one: Forecast) -> Sequence[str]:
    """One row of the table."""
    hours = (one.plan_hours, one.send_hours, one.report_hours, one.hours)
    return (
        str(one.workers),
        f"{one.letters_a_second:,.0f}",
        one.bound,
        *(f"{each:.1f} h" for each in hours),
        f"{one.relay_connections:,} / {one.store_connections}",
        f"{one.store_gigabytes:.0f} GB",
        f"{one.folder_gigabytes:.0f} GB",
        f"{one.worker_cores:.1f} / {one.store_cores:.1f}",
    )


def assumptions() -> str:
    """Every cost and assumption, in lines."""
    costs = [f"  {name:<21} {one.value:<12.6g} {one.unit:<42} {one.source}" for name, one in MEASURED.items()]
    return "\n".join(["Measured:", *costs, "Assumed:", *(f"  {line}" for line in ASSUMED)])


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.split("\n")[0])
    parser.add_argument("--letters", type=int, default=100_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--connections", type=int, default=100, help="of each worker, to the relay")
    parser.add_argument("--relay-ms", type=float, default=50.0, help="round trip to the relay")
    parser.add_argument("--store-ms", type=float, default=0.5, help="round trip to PostgreSQL")
    parser.add_argument("--rate", type=float, default=0.0, help="a limit in letters a second over all workers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    if min(options.letters, options.connections, *options.workers) < 1 or options.rate < 0:
        parser.error("letters, workers and connections are numbers from 1, and the rate from 0")
    relay, store = options.relay_ms / 1000, options.store_ms / 1000
    found = [
        forecast(Mailing(options.letters, workers, options.connections, relay, store, options.rate))
        for workers in options.workers
    ]
    if options.json:
        costs = {name: asdict(one) for name, one in MEASURED.items()}
        print(
            json.dumps({"forecasts": [asdict(one) for one in found], "measured": costs, "assumed": ASSUMED}, indent=1)
        )
        return
    print(f"{options.letters:,} letters, {options.connections} connections a worker, ", end="")
    print(
        f"the relay {options.relay_ms:g} ms and PostgreSQL {options.store_ms:g} ms away. A model, not a measurement.\n"
    )
    print(table(found))
    print(f"\n{assumptions()}")


if __name__ == "__main__":
    main()
