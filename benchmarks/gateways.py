"""Letters a second to an HTTP gateway that is a round trip away: our delivery with the real journal.

    python -m benchmarks.gateways [--letters 12000] [--connections 20] [--rtt 50] [--gateway ses-api mailgun-api ...]

Ready-made letters of 6.4 kB go to a gateway of our own in a process of its own, behind a proxy that adds the trip.
The ideal is connections / round trip: one request a letter on a connection that is kept. First stands what octets of
that size make that are only sent back, behind the same proxy: what this machine gives at best.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import sink
from benchmarks.delivery import BODY, clocked, recording
from tests.support.servers.gateway import LETTERS, TOKEN, FakeGateway

#: Less than this with 20 connections at 50 ms is a regression.
WANTED = 380


async def serve(kind: str) -> None:
    async with FakeGateway(kind, checks=False) as gateway:
        print(json.dumps({"port": gateway.port}), flush=True)
        told = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
        await told.read()


@contextlib.contextmanager
def gateway(kind: str) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.gateways", "--serve", kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=sink.ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(json.loads(process.stdout.readline())["port"])
    finally:
        process.stdin.close()
        process.wait(10.0)
        process.stdout.close()


async def send(kind: str, port: int, letters: int, connections: int) -> None:
    from campaign.config.delivery import DeliverySection
    from campaign.delivery.http import gateway_transaction  # noqa: F401 - a start is not measured here
    from campaign.delivery.relays.relay import open_relays
    from campaign.delivery.send.dispatcher import Dispatcher
    from campaign.model import Letter, Recipient

    there = FakeGateway(kind, port=port)
    digest = hashlib.sha256(BODY).digest()
    with tempfile.TemporaryDirectory() as folder, recording(letters) as recorder:
        token = Path(folder) / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        keys = {"token_file": "token"} if kind in ("gmail-api", "graph-api") else {}
        settings = DeliverySection.model_validate(
            {"relay": there.url, "connections": connections, "rate": "100000/s", **keys}
        )
        dispatcher = Dispatcher(settings, await open_relays(settings, Path(folder), there.environment), recorder)
        people = [Recipient(n, f"u{n}@example.com", f"u{n}@example.com", "", n, {}) for n in range(letters)]
        addressed = kind in ("gmail-api", "graph-api")
        ready = [
            Letter(
                one.number, f"<{one.number}@x>", "n@example.com", one.address,
                BODY.replace(b"u@example.com", one.address.encode()) if addressed else BODY, digest,
            )
            for one in people
        ]  # fmt: skip
        with clocked():
            await dispatcher.serve_pass(iter(people), lambda one: ready[one.number])


async def echoes(rtt: float, trips: int, connections: int) -> float:
    """Round trips a second of octets as many as a letter has, which come back as they are."""

    async def back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                writer.write(await reader.readexactly(len(BODY)))

    async def there_and_back(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(trips // connections):
            writer.write(BODY)
            await reader.readexactly(len(BODY))
        writer.close()

    server = await asyncio.start_server(back, "127.0.0.1", 0)
    async with server:
        with sink.far_away(server.sockets[0].getsockname()[1], rtt) as port:
            began = time.perf_counter()
            await asyncio.gather(*(there_and_back(port) for _ in range(connections)))
            return trips / (time.perf_counter() - began)


def measured(kind: str, rtt: float, letters: int, connections: int) -> None:
    with gateway(kind) as port, contextlib.ExitStack() as stack:
        seen = stack.enter_context(sink.far_away(port, rtt)) if rtt else port
        command = [sys.executable, "-m", "benchmarks.gateways", "--send", kind, "--port", str(seen)]
        command += ["--letters", str(letters), "--connections", str(connections)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=sink.ROOT)
    spent = json.loads(done.stdout.splitlines()[-1])
    rate, cpu = letters / spent["seconds"], spent["cpu"] / letters * 1e6
    ideal = f", {rate * rtt / 1000 / connections:.0%} of {connections / rtt * 1000:,.0f}" if rtt else ""
    print(f"{kind:14} {rate:8,.0f} letters/s{ideal}, {cpu:6.1f} us CPU a letter", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--letters", type=int, default=12000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--rtt", type=float, default=50.0, help="milliseconds")
    parser.add_argument("--gateway", nargs="*", choices=sorted(LETTERS), default=["ses-api", "mailgun-api"])
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--send", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
    elif given.send:
        asyncio.run(send(given.send, given.port, given.letters, given.connections))
    else:
        if given.rtt:
            best = asyncio.run(echoes(given.rtt, given.letters, given.connections))
            print(f"{'sent back':14} {best:8,.0f} a second")
        for kind in given.gateway:
            measured(kind, given.rtt, given.letters, given.connections)
        print(f"wanted of 20 connections at 50 ms: {WANTED} letters/s")


if __name__ == "__main__":
    main()
