"""An HTTP gateway in a process of its own, that writes each letter down before it answers, and breaks as chance has it.

It shares no code with the sender. Its log has the lines of the SMTP oracle's.

    python -m torture.gateway KIND LOG SEED CHANCE
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import re
import sys
import time

from tests.support.servers.gateway import FakeGateway, Taken

_MESSAGE_ID = re.compile(rb"(?im)^message-id:\s*(<[^>\r\n]+>)")
#: Where a request breaks; `silent` would only wait for a time limit.
BROKEN = ("head", "half", "whole", "answer")
PAGE = (502, {"Content-Type": "text/html"}, "<html>502 Bad Gateway</html>")


async def serve(kind: str, log: str, seed: str, share: float) -> None:
    """Listen on a free port, say which, and serve until stdin ends; from its first line on nothing breaks."""
    chance, breaks = random.Random(seed), True
    lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(event: str, letter: Taken, **facts: object) -> None:
        line = {"is": event, "t": time.time(), "to": [letter.recipient], **facts}
        os.write(lines, json.dumps(line).encode() + b"\n")

    def took(letter: Taken) -> None:
        found = _MESSAGE_ID.search(letter.content.partition(b"\r\n\r\n")[0])
        identity = found[1].decode("ascii", "replace") if found else ""
        sha = hashlib.sha256(letter.content).hexdigest()
        write("took", letter, id=identity, sha=sha, size=len(letter.content))

    def behave(_: int) -> object:
        if not breaks or chance.random() >= share:
            return None
        how = chance.choice((*BROKEN, PAGE))
        os.write(lines, json.dumps({"is": "broke", "t": time.time(), "stage": str(how)}).encode() + b"\n")
        return how

    gateway = FakeGateway(
        kind, behave, delay=0.002, on_taken=took, on_answered=lambda letter: write("answered", letter, reply="200")
    )
    async with gateway:
        print(json.dumps({"port": gateway.port}), flush=True)
        told = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
        while await told.readline():
            breaks = False
            print("{}", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
