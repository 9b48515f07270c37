# noqa: INP001 - a folder of data with scripts in it, not a package
# ruff: noqa: T201 - it talks to the person who runs it, and runs this very program
"""Several workers, one of them killed half-way: ``make demo-workers``.

Each worker is the real command in a folder of its own, as on a machine of its own. They share a store in PostgreSQL: a
server that is started for the demonstration, or the one that ``--store`` names. A mail server of our own counts the
letters that arrive for each person. At the end its counts are compared with the verdicts of the run.
Everything lies in the folder that is named, or in ``runs/workers-demo`` beside this file, which is emptied first.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from throwaway_store import ServerMissingError, throwaway_store

from campaign.config import load
from campaign.errors import CampaignError
from campaign.pipeline.workers.campaign_store import store_of
from campaign.system.postgres import connect

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 5
#: Seconds between two lines about the progress, and between two looks.
TELL_SECONDS, LOOK_SECONDS = 5.0, 0.05
#: Seconds without a new letter and without an end: something is wrong. A dead worker's lease lasts 30.
PATIENCE_SECONDS = 180.0
CAMPAIGN = """
[campaign]
name = "workers-demo"
edition = "{edition}"
from = "Ada's Gazette <news@example.com>"

[audience]
source = "people.csv"
address = "email"

[compose]
subject = "{{{{ name }}}}, the news"
text = "letter.txt"

[delivery]
relay = "smtp://127.0.0.1:{port}"
connections = {connections}

[ledger]
store = "{store}"
"""


class Relay:
    """Counts the letters of each person."""

    def __init__(self) -> None:
        self.letters: Counter[str] = Counter()
        self.arrived = 0  # for the other thread, while letters still arrive

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        """Called by aiosmtpd for each letter, before it answers."""
        self.letters.update(envelope.rcpt_tos)
        self.arrived += len(envelope.rcpt_tos)
        return "250 2.0.0 taken"


@dataclass
class Worker:
    """One command in a folder of its own."""

    number: int
    folder: Path
    process: subprocess.Popen[bytes]
    killed: bool = False

    def run_folder(self) -> Path | None:
        """Its copy of the run, if it wrote the report."""
        found = next(self.folder.glob("runs/*/*/*/summary.json"), None)
        return found.parent if found else None


@dataclass(frozen=True)
class Balance:
    """Arrivals held against verdicts. ``lost``, ``extra`` and ``faults`` must be empty."""

    planned: int
    verdicts: dict[str, int]
    doubts: set[str]
    arrived: int
    lost: Sequence[str]
    extra: int
    faults: Sequence[str] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether the promise held."""
        return not self.lost and not self.extra and not self.faults


def balance(
    people: Sequence[str], letters: Counter[str], verdicts: dict[str, int], doubts: set[str], most: int
) -> Balance:
    """Compare who got how many letters with the verdicts; ``most`` doubts are allowed."""
    lost = [one for one in people if not letters[one] and one not in doubts]
    extra = sum(count - 1 for count in letters.values() if count > 1) + sum(
        letters[one] for one in letters.keys() - set(people)
    )
    faults = []
    if sum(verdicts.values()) != len(people):
        faults.append(f"the verdicts add up to {sum(verdicts.values()):,}, not to {len(people):,}")
    if verdicts.get("accepted", 0) + len(doubts) != len(people):
        faults.append(f"{verdicts.get('accepted', 0):,} accepted and {len(doubts):,} listed in doubt are not everybody")
    if len(doubts) > most:
        faults.append(f"{len(doubts)} letters in doubt; the worker that was killed had {most} connections")
    return Balance(len(people), verdicts, doubts, letters.total(), lost, extra, faults)


def main(words: Sequence[str] | None = None) -> int:
    """The demonstration; 0 only if the promise held."""
    parser = argparse.ArgumentParser(description="Workers that share a store; one is killed half-way.")
    parser.add_argument("--letters", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--store", default="", help="the URL of a database for the store; default: a server of its own")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "runs" / "workers-demo")
    options = parser.parse_args(words)
    if options.workers < 2 or options.letters < 100:
        parser.error("it takes at least 2 workers and 100 letters")
    try:
        return _demonstrate(options)
    except (ServerMissingError, CampaignError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the workers have ended, and the store of the demonstration is gone.", file=sys.stderr)
        return 130


def _demonstrate(options: argparse.Namespace) -> int:
    folder = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    people = _write_list(folder, options.letters)
    relay = Relay()
    with ExitStack() as stack:
        store = options.store or stack.enter_context(throwaway_store())
        print("The store: yours" if options.store else "The store: a PostgreSQL server for this demonstration")
        server = Controller(relay, hostname="127.0.0.1", port=_free_port(), ready_timeout=30)
        server.start()
        stack.callback(server.stop)
        edition = time.strftime("%Y%m%dT%H%M%S")
        text = CAMPAIGN.format(edition=edition, port=server.port, connections=CONNECTIONS, store=store)
        (folder / "demo.toml").write_text(text, encoding="utf-8")
        if options.store:
            connect(store_of(load(folder / "demo.toml"))).close()  # or say why it cannot be used
            stack.callback(_forget_run, folder / "demo.toml", edition)
        began = time.monotonic()
        workers = [_start(folder, number) for number in range(1, options.workers + 1)]
        try:
            in_time = _watch(workers, relay, options.letters)
        finally:
            _end(workers)
        return _tell(workers, relay, people, time.monotonic() - began, in_time=in_time)


def _write_list(folder: Path, letters: int) -> list[str]:
    folder.mkdir(parents=True)
    people = [f"reader{number}@example.com" for number in range(letters)]
    lines = [f"{address},Reader {number}" for number, address in enumerate(people)]
    (folder / "people.csv").write_text("email,name\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (folder / "letter.txt").write_text("Dear {{ name }},\nthe news is good.\n", encoding="utf-8")
    (folder / "campaign.secret").write_text("of this demonstration alone, and for nothing else\n", encoding="utf-8")
    (folder / "campaign.secret").chmod(0o600)
    return people


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _start(folder: Path, number: int) -> Worker:
    place = folder / f"machine-{number}"
    place.mkdir()
    environment = {**os.environ, "CAMPAIGN__LEDGER__DIRECTORY": str(place / "runs"), "PYTHONPATH": str(ROOT)}
    with (place / "talk").open("wb") as talk:
        process = subprocess.Popen(
            [sys.executable, "-m", "campaign", "send", "demo.toml"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=talk,
            stderr=talk,
            start_new_session=True,  # Ctrl-C is for this program, which ends them
        )
    print(f"Worker {number}: campaign send demo.toml, process {process.pid}", flush=True)
    return Worker(number, place, process)


def _watch(workers: Sequence[Worker], relay: Relay, letters: int) -> bool:
    """Kill one worker half-way, and wait for the others. False if nothing happens any more."""
    told = moved = time.monotonic()
    seen = 0
    while any(worker.process.poll() is None for worker in workers):
        now, arrived = time.monotonic(), relay.arrived
        if arrived != seen:
            seen, moved = arrived, now
        if now - moved > PATIENCE_SECONDS:
            return False
        if arrived >= letters // 2 and not any(worker.killed for worker in workers):
            _kill_one(workers, arrived)
        if now - told >= TELL_SECONDS:
            told = now
            print(f"{arrived:,} of {letters:,} letters have arrived{_why_quiet(workers, now - moved)}", flush=True)
        time.sleep(LOOK_SECONDS)
    return True


def _why_quiet(workers: Sequence[Worker], silent: float) -> str:
    killed = any(worker.killed for worker in workers)
    return "; the others wait until the lease of the dead worker has run out (30 s)" if killed and silent > 2 else ""


def _kill_one(workers: Sequence[Worker], arrived: int) -> None:
    worker = next((one for one in workers if one.process.poll() is None), None)
    if worker:
        worker.process.kill()
        worker.process.wait()
        worker.killed = True
        print(f"{arrived:,} letters have arrived: worker {worker.number} is killed (kill -9)", flush=True)


def _end(workers: Sequence[Worker]) -> None:
    """End those who still run: after Ctrl-C, or if they did not end by themselves."""
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.send_signal(signal.SIGTERM)
    for worker in workers:
        try:
            worker.process.wait(60)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


def _tell(workers: Sequence[Worker], relay: Relay, people: list[str], seconds: float, *, in_time: bool) -> int:
    closed = [run for worker in workers if (run := worker.run_folder())]
    faults = [] if in_time else [f"no letter and no end for {PATIENCE_SECONDS:.0f} s"]
    if len(closed) != 1:
        faults.append(f"{len(closed)} workers have written the report, not 1")
    faults += _wrong_codes(workers)
    verdicts = json.loads((closed[0] / "summary.json").read_text())["verdicts"] if closed else {}
    found = balance(people, relay.letters, verdicts, _doubts(closed[0]) if closed else set(), CONNECTIONS)
    print(f"\nIn {seconds:.0f} s, by {len(workers)} workers of which one was killed:")
    print(f"  planned           {found.planned:>8,}")
    print(f"  accepted          {verdicts.get('accepted', 0):>8,}")
    reached = sum(1 for one in found.doubts if relay.letters[one])
    print(f"  in doubt          {len(found.doubts):>8,}   (listed in in-doubt.csv; {reached} of them have arrived)")
    print(f"  letters arrived   {found.arrived:>8,}")
    print(f"  lost              {len(found.lost):>8,}")
    print(f"  unlisted extra    {found.extra:>8,}")
    for fault in (*faults, *found.faults):
        print(f"  WRONG: {fault}")
    if closed:
        print(f"The report: {closed[0] / 'report.html'}")
    if found.holds and not faults:
        print("It held: nobody was lost, nobody got it twice, and every doubt is listed.")
        return 0
    print(f"It did NOT hold. What the workers said: {workers[0].folder.parent}/machine-*/talk")
    return 1


def _wrong_codes(workers: Sequence[Worker]) -> list[str]:
    """Exit codes that are none of a finished run's."""
    return [
        f"worker {worker.number} ended with {worker.process.returncode}"
        for worker in workers
        if worker.process.returncode not in ((-signal.SIGKILL,) if worker.killed else (0, 4))
    ] + ([] if any(worker.killed for worker in workers) else ["no worker was killed: it was over too soon"])


def _doubts(run: Path) -> set[str]:
    """Who is listed in doubt."""
    if not (run / "in-doubt.csv").exists():
        return set()
    with (run / "in-doubt.csv").open(encoding="utf-8", newline="") as file:
        return {row["address"] for row in csv.DictReader(file)}


def _forget_run(file: Path, edition: str) -> None:
    """Take the run out of a store that is not ours alone."""
    with connect(store_of(load(file))) as connection:
        if connection.execute("SELECT to_regclass('campaign.edition')").fetchone() == (None,):
            return
        place = ("workers-demo", edition)
        connection.execute(
            "DELETE FROM campaign.run USING campaign.edition e "
            "WHERE run.edition = e.edition AND e.name = %s AND e.label = %s",
            place,
        )
        connection.execute("DELETE FROM campaign.edition WHERE name = %s AND label = %s", place)


if __name__ == "__main__":
    sys.exit(main())
