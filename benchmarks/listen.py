"""One-click posts a second that `campaign listen` stores durably before each 200: python -m benchmarks.listen

The service has one core, and the client another; the posts come over kept-alive connections, as from a web server.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


async def client(port: int, posts: int, number: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body, good = b"List-Unsubscribe=One-Click", 0
    for n in range(posts):
        head = f"POST /u/{number:030d}{n:030d} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        good += answer.startswith(b"HTTP/1.1 200")
    writer.close()
    return good


async def measure(port: int, posts: int, connections: int) -> float:
    began = time.perf_counter()
    good = await asyncio.gather(*(client(port, posts // connections, n) for n in range(connections)))
    seconds = time.perf_counter() - began
    assert sum(good) == posts // connections * connections
    return sum(good) / seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--posts", type=int, default=10_000)
    options.add_argument("--connections", type=int, default=100)
    options.add_argument("--folder", type=Path, help="where events are stored (default: a temporary folder)")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        (folder / "listen.toml").write_text("[listen]\nport = 0\n")
        process = subprocess.Popen(
            [sys.executable, "-m", "campaign", "listen", str(folder / "listen.toml"), "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        if len(cores := sorted(os.sched_getaffinity(0))) > 1:
            os.sched_setaffinity(process.pid, cores[:1])
            os.sched_setaffinity(0, cores[1:])
        assert process.stdout is not None
        port = int(process.stdout.readline().partition('"port": ')[2].partition(",")[0])
        rate = asyncio.run(measure(port, chosen.posts, chosen.connections))
        used = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        process.send_signal(signal.SIGTERM)
        process.wait()
        stored = sum(file.read_bytes().count(b"\n") for file in (folder / "events").iterdir())
    busy = used / os.sysconf("SC_CLK_TCK")
    print(f"{rate:,.0f} posts a second, {stored:,} stored, {chosen.posts / busy:,.0f} a second of its core's time")


if __name__ == "__main__":
    main()
