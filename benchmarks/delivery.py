"""What a letter costs between composer and relay: our delivery with the real journal, and aiosmtplib's ``sendmail``.

    python -m benchmarks.delivery [--letters 20000] [--connections 20] [--rtt 0 20] [--repeats 3] [--json]

Ready-made letters of 6.4 kB go to Postfix's smtp-sink, on loopback or behind a proxy that adds a round trip. Every
measurement is a process of its own; CPU is that of the process during the pass, connections and warm-up included,
start of Python and imports not. ``ideal`` is connections / round trip, the most that one flight a letter can give.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import measure, sink

BODY = b"From: news@example.com\r\nTo: u@example.com\r\nSubject: hello\r\n\r\n" + (b"x" * 76 + b"\r\n") * 82
SENDERS = ("ours", "ours without journal", "aiosmtplib")


async def ours(port: int, letters: int, connections: int, *, journal: bool) -> None:
    from campaign.config.delivery import DeliverySection
    from campaign.delivery.relays.relay import open_relays
    from campaign.delivery.send.dispatcher import Dispatcher
    from campaign.model import Letter, Recipient

    settings = DeliverySection(relay=(f"smtp://127.0.0.1:{port}",), connections=connections)
    digest = hashlib.sha256(BODY).digest()
    with recording(letters) if journal else contextlib.nullcontext(Nobody()) as recorder:
        dispatcher = Dispatcher(settings, await open_relays(settings, Path(), {}), recorder)
        people = [Recipient(n, f"u{n}@example.com", f"u{n}@example.com", "", n, {}) for n in range(letters)]
        ready = [Letter(one.number, f"<{one.number}@x>", "n@example.com", one.address, BODY, digest) for one in people]
        with clocked():
            await dispatcher.serve_pass(iter(people), lambda one: ready[one.number])


async def theirs(port: int, letters: int, connections: int) -> None:
    import aiosmtplib

    waiting = list(range(letters))

    async def deliver() -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, local_hostname="here.example")
        await client.connect()
        while waiting:
            await client.sendmail("n@example.com", [f"u{waiting.pop()}@example.com"], BODY)
        await client.quit()

    with clocked():
        await asyncio.gather(*(deliver() for _ in range(connections)))


class Nobody:
    """A recorder that keeps nothing: what the journal adds can be told."""

    def intent(self, letter: Any, relay: str) -> None:
        pass

    def verdict(self, outcome: Any) -> None:
        pass


@contextlib.contextmanager
def recording(letters: int) -> Iterator[Any]:
    """The journal of a run as the pipeline keeps it: one write for an intent, one for a verdict."""
    from campaign.ledger.checkpoint import Checkpoint, create
    from campaign.ledger.journal.journal_records import Opened

    with tempfile.TemporaryDirectory() as folder:
        opened = Opened("bench", "", "run", 1, letters, "0" * 64, {}, "shape", time.time(), "trace")
        create(Path(folder), opened)
        checkpoint = Checkpoint(Path(folder))
        checkpoint.begin_pass()
        yield checkpoint
        assert checkpoint.history.tally()["accepted"] == letters
        checkpoint.close()


@contextlib.contextmanager
def clocked() -> Iterator[None]:
    began, cpu = time.perf_counter(), time.process_time()
    yield
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}))


def measured(sender: str, port: int, letters: int, connections: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.delivery", "--sender", sender, "--port", str(port)]
    command += ["--letters", str(letters), "--connections", str(connections)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=sink.ROOT)
    spent = json.loads(done.stdout.splitlines()[-1])
    return {"rate": letters / spent["seconds"], "cpu": spent["cpu"] / letters * 1e6}


def compared(rtt: float, letters: int, connections: int, repeats: int) -> dict[str, Any]:
    """Medians over interleaved runs, so that a busy moment of the machine hits every sender alike."""
    runs: dict[str, list[dict[str, float]]] = {sender: [] for sender in SENDERS}
    with sink.smtp_sink() as server, contextlib.ExitStack() as stack:
        port = stack.enter_context(sink.far_away(server.port, rtt)) if rtt else server.port
        trip = sink.round_trip(port)
        for _ in range(repeats):
            for sender in SENDERS:
                runs[sender].append(measured(sender, port, letters, connections))
    found = {
        sender: {key: statistics.median(run[key] for run in many) for key in ("rate", "cpu")}
        for sender, many in runs.items()
    }
    return {"rtt": rtt, "round_trip": trip, "ideal": connections / trip, "senders": found}


def show(result: dict[str, Any], hashing: float) -> None:
    base = result["senders"]["aiosmtplib"]["rate"]
    print(f"\nround trip {result['round_trip'] * 1000:.1f} ms")
    for sender, figures in result["senders"].items():
        scaled = figures["cpu"] * measure.STANDARD / hashing
        line = f"  {sender:22} {figures['rate']:8,.0f} letters/s  {figures['rate'] / base:5.2f} x"
        print(f"{line}  {figures['cpu']:6.1f} us CPU a letter ({scaled:.1f} on the standard core)")
    if result["rtt"]:
        share = result["senders"]["ours"]["rate"] / result["ideal"]
        print(f"  {share:.0%} of connections / round trip = {result['ideal']:,.0f} letters/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--letters", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--rtt", type=float, nargs="*", default=[0.0, 20.0], help="milliseconds")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sender", choices=SENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.sender == "aiosmtplib":
        asyncio.run(theirs(given.port, given.letters, given.connections))
    elif given.sender:
        asyncio.run(ours(given.port, given.letters, given.connections, journal=given.sender == "ours"))
    else:
        hashing = measure.hash_microseconds()
        results = [compared(rtt, given.letters, given.connections, given.repeats) for rtt in given.rtt]
        if given.json:
            print(json.dumps({"hash_microseconds": hashing, "machine": measure.machine(), "results": results}))
            return
        print(f"SHA-256 of 100 kB takes {hashing:.1f} us here, {measure.STANDARD:.0f} on the standard core")
        for result in results:
            show(result, hashing)


if __name__ == "__main__":
    main()
