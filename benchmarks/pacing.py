"""Is a rate kept, exactly, over a real socket? Seen from both ends: when turns are taken, when letters arrive.

    python benchmarks/pacing.py [--rates 50 500 2000] [--seconds 10] [--connections 20] [--memory] [--priority] [--json]

A sink in a process of its own notes the time at which each final dot arrives (the clock is the machine's, one for
both). ``worst second`` is the largest number of letters in any sliding second; ``mean`` is over the time from the
first letter to the last. ``--memory`` paces without the shared state on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from campaign.config.delivery import DeliverySection
from campaign.delivery.pacing.shared_throttle import open_throttle
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.relays.relay import Relay, open_relays
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.model import Letter, Outcome, Recipient, Verdict

BODY = b"From: news@example.com\r\nSubject: pacing\r\n\r\n" + (b"x" * 76 + b"\r\n") * 40


class Sink(asyncio.Protocol):
    """An SMTP server with PIPELINING that takes everything and notes when each letter's dot came."""

    arrivals = array("d")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._rest, self._content = transport, b"", False
        transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._rest += data
        answers = b""
        while True:
            if self._content:
                _, end, tail = self._rest.partition(b"\r\n.\r\n")
                if not end:
                    break
                Sink.arrivals.append(time.monotonic())
                self._content, self._rest = False, tail
                answers += b"250 2.0.0 Ok\r\n"
                continue
            line, end, tail = self._rest.partition(b"\r\n")
            if not end:
                break
            self._rest = tail
            answers += self._answer(line[:4].upper())
        if answers:
            self._transport.write(answers)

    def _answer(self, verb: bytes) -> bytes:
        if verb == b"EHLO":
            return b"250-sink.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"
        if verb == b"DATA":
            self._content = True
            return b"354 Go ahead\r\n"
        return b"221 2.0.0 Bye\r\n" if verb == b"QUIT" else b"250 2.0.0 Ok\r\n"


def ahead_of_neighbours() -> None:
    """What else runs on this machine should not show in the figures; needs the right to ask for it."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def serve(pipe: Connection, priority: bool) -> None:
    if priority:
        ahead_of_neighbours()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Sink, "127.0.0.1", 0, backlog=1000)
        pipe.send(server.sockets[0].getsockname()[1])
        while True:
            await loop.run_in_executor(None, pipe.recv)
            pipe.send(Sink.arrivals.tolist())
            Sink.arrivals = array("d")

    with contextlib.suppress(EOFError, KeyboardInterrupt):
        asyncio.run(main())


class Tally:
    """A recorder that only counts."""

    def __init__(self) -> None:
        self.accepted = self.other = 0

    def intent(self, _letter: Letter, _relay: str) -> None:
        return None

    def verdict(self, outcome: Outcome) -> None:
        if outcome.verdict is Verdict.ACCEPTED:
            self.accepted += 1
        else:
            self.other += 1


def compose(recipient: Recipient) -> Letter:
    digest = hashlib.sha256(BODY).digest()
    return Letter(
        recipient.number, f"<{recipient.number}@example.com>", "news@example.com", recipient.address, BODY, digest
    )


async def run(port: int, rate: int, seconds: float, connections: int, memory: bool) -> tuple[list[float], float, Tally]:
    """Send for ``seconds``; when turns were taken, CPU seconds of this process, and what became of the letters."""
    settings = DeliverySection.model_validate(
        {"relay": f"smtp://127.0.0.1:{port}", "connections": connections, "rate": f"{rate}/s"}
    )
    taken: list[float] = []
    tally = Tally()
    count = int(rate * seconds)
    with tempfile.TemporaryDirectory() as folder:

        def throttle(relay: Relay) -> Throttle:
            one = Throttle(settings.rate) if memory else open_throttle(settings, Path(folder), relay.account, Path())
            real = one.take

            def take(domain: str, now: float) -> float:
                wait = real(domain, now)
                if not wait:
                    taken.append(now)
                return wait

            one.take = take  # type: ignore[method-assign]  # the record is the point of the exercise
            return one

        dispatcher = Dispatcher(settings, await open_relays(settings, Path(), {}, None), tally, throttles=throttle)
        began = time.process_time()
        await dispatcher.serve_pass(recipients(count), compose)
        return taken, time.process_time() - began, tally


def recipients(count: int) -> Iterator[Recipient]:
    for number in range(count):
        yield Recipient(number, f"u{number}@example.com", f"u{number}@example.com", "", number + 2, {})


def worst(times: Sequence[float], window: float) -> int:
    return max((bisect.bisect_left(times, when + window) - at for at, when in enumerate(times)), default=0)


def figures(times: list[float]) -> dict[str, float]:
    times.sort()
    return {
        "letters": len(times),
        "worst_second": worst(times, 1.0),
        "mean": round((len(times) - 1) / (times[-1] - times[0]), 2) if len(times) > 1 else 0.0,
        "worst_10ms": worst(times, 0.01),
        "first_100ms": sum(when < times[0] + 0.1 for when in times) if times else 0,
    }


def sound(sender: dict[str, float], server: dict[str, float], rate: int) -> bool:
    allowed = max(rate + 1, rate * 1.02)
    return (
        sender["worst_second"] <= rate
        and server["worst_second"] <= allowed
        and abs(server["mean"] / rate - 1) <= 0.01
        and sender["letters"] == server["letters"]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=int, nargs="+", default=[50, 500, 2000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--priority", action="store_true", help="real-time priority for both ends, where allowed")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, options.priority), daemon=True)
    process.start()
    if options.priority:
        ahead_of_neighbours()
    port, good, rows = ours.recv(), True, []
    for rate in options.rates:
        taken, cpu, tally = asyncio.run(run(port, rate, options.seconds, options.connections, options.memory))
        ours.send("and now?")
        row = {"rate": rate, "sender": figures(taken), "server": figures(ours.recv())}
        row |= {"cpu_us_per_letter": round(cpu / max(1, len(taken)) * 1e6, 1), "accepted": tally.accepted}
        row["sound"] = sound(row["sender"], row["server"], rate)
        good &= row["sound"]
        rows.append(row)
        if not options.json:
            print(f"{rate}/s, {options.connections} connections: {'sound' if row['sound'] else 'NOT SOUND'}")
            for end in ("sender", "server"):
                print(f"  {end}: " + ", ".join(f"{name} {value:g}" for name, value in row[end].items()))
            print(f"  {row['cpu_us_per_letter']} us CPU a letter in the sender, {tally.accepted} accepted")
    if options.json:
        print(json.dumps(rows, indent=2))
    process.terminate()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
