"""Runs ``campaign`` with orders to die, to be refused by the disk, or to record; once, or again and again by forking.

    python -m torture.launch '{"point": "dot after", "nth": 3}' send campaign.toml
    python -m torture.launch --nursery

The senders that such a command starts get their orders from the environment, as the command has no other word to them.

The nursery imports everything first and then forks a process for each JSON object on its stdin, so that a start costs
milliseconds; it answers ``{"pid": …}`` at each birth and ``{"pid": …, "code": …, "seconds": …, "queued": …}`` at
each end.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

from campaign.pipeline.serve.senders import sender_link

from torture import points

#: Imported before anybody is born. Whatever the product imports late is listed here only to save time.
FIRST = (
    "campaign.cli.main", "campaign.cli.send", "campaign.cli.retry", "campaign.cli.resolve", "campaign.cli.status",
    "campaign.pipeline.workers.send_together", "psycopg",
    "campaign.pipeline.send", "campaign.pipeline.operate.manage", "campaign.audience.plan.plan_writer",
    "pandas", "jinja2", "lxml.html",
    "premailer", "cssutils", "email_validator", "aiosmtplib", "email.message", "structlog", "tqdm",
    "cryptography.fernet",
)  # fmt: skip

#: The variable that holds the orders of senders, and the line of their program that obeys them.
SENDERS = "TORTURE_SENDERS"
ORDERED = "from torture.launch import settle_sender; settle_sender()"


def run(orders: dict[str, Any], arguments: list[str]) -> None:
    """Patch as ordered, then be the command line. Leaves by SystemExit."""
    points.settle(orders)
    if SENDERS in os.environ:
        sender_link.PROGRAM = sender_link.PROGRAM.replace("from campaign", f"{ORDERED}\nfrom campaign", 1)
    sys.argv = ["campaign", *arguments]
    from campaign.cli.main import main

    main()


def settle_sender() -> None:
    """Patch a sender as the environment orders, before it does anything."""
    points.settle(json.loads(os.environ[SENDERS]))


def nursery() -> None:
    """Fork on demand until stdin ends."""
    for name in FIRST:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    gc.freeze()
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    born: dict[int, float] = {}
    print(json.dumps({"ready": True}), flush=True)
    rest = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _bury(born)
        if 0 in ready:
            told = os.read(0, 1 << 16)
            if not told:
                return
            *lines, rest = (rest + told).split(b"\n")
            for line in lines:
                _bear(json.loads(line), born, woken, wakes)


def _bury(born: dict[int, float]) -> None:
    while born:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return
        pid, queued = found.si_pid, _queued(found.si_pid)
        _, status = os.waitpid(pid, 0)
        seconds = time.monotonic() - born.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"pid": pid, "code": code, "seconds": seconds, "queued": queued}), flush=True)


def _queued(pid: int) -> float:
    """Seconds that a process, dead and not yet buried, was ready to run and had no core."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _bear(wish: dict[str, Any], born: dict[int, float], *pipes: int) -> None:
    began = time.monotonic()
    pid = os.fork()
    if pid:
        born[pid] = began
        print(json.dumps({"pid": pid}), flush=True)
        return
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for pipe in pipes:
        os.close(pipe)
    os.chdir(wish["folder"])
    os.environ.update(wish.get("environment", {}))
    said = os.open(wish["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    run(wish["orders"], wish["arguments"])


if __name__ == "__main__":
    if sys.argv[1] == "--nursery":
        nursery()
    else:
        run(json.loads(sys.argv[1]), sys.argv[2:])
