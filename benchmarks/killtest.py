"""What ten kills cost: the same recipients, SIGKILL at the same points of progress, then whatever its user would type.

A sender is killed when so many different people have their letter, started again the way its documentation says, and
so on until it ends by itself. The witness counts: *lost* got nothing and are named nowhere, *doubled* are letters
beyond a person's first, *listed* are those that the sender itself names as in doubt at the end. Where it has a command
that settles doubts, its operator types that too, and what the kills had left in doubt is told beside.
"""

from __future__ import annotations

import csv
import os
import random
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import ours, peers, rows
from benchmarks.sink import Witness

KILLS = 10
SEED = 20261124
_SENT = re.compile(r">>> message (\d+) sent")

Again = Callable[[list[str], str], tuple[list[str], str]]


@dataclass(frozen=True)
class Contestant:
    """``again`` makes, from the command and what the killed process had printed, the next command and the words typed.

    ``settle`` are the commands that settle doubts from the relay's log, with the words typed.
    """

    peer: peers.Peer
    title: str
    again: Again
    settle: Callable[[Path], list[tuple[list[str], str]]] | None = None


@dataclass
class Toll:
    """What the kills cost."""

    title: str
    people: int
    kills: int = 0
    lost: int = 0
    doubled: int = 0
    listed: int = 0
    doubts: int = 0
    typed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def _same(words: str) -> Again:
    return lambda command, _: (command, words)


def _mailmerge(command: list[str], said: str) -> tuple[list[str], str]:
    """Its documentation: ``--resume N``, where N is looked up in what it had printed."""
    sent = _SENT.findall(said)
    number = int(sent[-1]) + 1 if sent else _resumed(command)
    plain = command[: command.index("--resume")] if "--resume" in command else command
    return [*plain, "--resume", str(number)], f"mailmerge --no-dry-run --no-limit --resume {number}"


def _resumed(command: list[str]) -> int:
    return int(command[-1]) if "--resume" in command else 1


def _settle(folder: Path) -> list[tuple[list[str], str]]:
    run = next(folder.glob("runs/reference/2*")).relative_to(folder)
    return [
        (
            [*ours.CAMPAIGN, "resolve", str(run), "--accepted", "relay.log"],
            f"campaign resolve {run} --accepted relay.log",
        ),
        (
            [*ours.CAMPAIGN, "retry", "reference.toml", "--in-doubt", "--quiet"],
            "campaign retry reference.toml --in-doubt",
        ),
    ]


CONTESTANTS = (
    Contestant(peers.OURS, "campaign", _same("campaign send reference.toml"), _settle),
    Contestant(peers.MAILMERGE, "mailmerge --resume", _mailmerge),
    Contestant(peers.REMEMBERING, "plain Python with a file of the delivered", _same("python newsletter.py")),
    Contestant(peers.AIOSMTPLIB, "plain Python", _same("python newsletter.py")),
)


def toll(contestant: Contestant, people: int, kills: int = KILLS) -> Toll:
    """Kill ``contestant`` so often and count. Raises Missing."""
    found, dice = Toll(contestant.title, people), random.Random(SEED)
    with tempfile.TemporaryDirectory() as name, Witness(keep=contestant.settle is not None) as witness:
        folder = Path(name)
        command = contestant.peer.command(folder, witness.port, people)
        while found.kills < kills:
            served = len({one.recipient for one in witness.deliveries})
            threshold = next_kill(served, people, kills - found.kills)
            said = _run_until(command, folder, witness, threshold, dice, found)
            if said is None:
                break
            found.kills += 1
            command, words = contestant.again(command, said)
            found.typed.append(words)
        else:
            _run_until(command, folder, witness, None, dice, found)
        found.doubts = len(set(listed(folder)))
        if contestant.settle and found.doubts:
            (folder / "relay.log").write_text("\n".join(witness.message_ids()), encoding="utf-8")
            for settling, words in contestant.settle(folder):
                found.typed.append(words)
                _run_until(settling, folder, witness, None, dice, found)
        count(found, [one.recipient for one in witness.deliveries], people, set(listed(folder)))
    return found


def next_kill(served: int, people: int, left: int) -> int:
    """After how many different people served the next kill comes, when ``left`` more are to be spread evenly."""
    return served + max(1, (people - served) // (left + 1))


def count(found: Toll, delivered: list[str], people: int, named: set[str]) -> None:
    """Fill in what the witness saw."""
    times = Counter(delivered)
    wanted = {rows.row(number)["email"] for number in range(people)}
    found.doubled = sum(times.values()) - len(times)
    found.lost = len(wanted - times.keys() - named)
    found.listed = len(named)


def listed(folder: Path) -> Iterator[str]:
    """The addresses that we ourselves name as in doubt after the last run."""
    for file in folder.glob("runs/reference/*/in-doubt.csv"):
        with file.open(encoding="utf-8", newline="") as lines:
            yield from (line["address"] for line in csv.DictReader(lines))


def _run_until(
    command: list[str], folder: Path, witness: Witness, threshold: int | None, dice: random.Random, found: Toll
) -> str | None:
    """What the process printed until it was killed; None when it came to its end first."""
    before, began, first = len(witness.deliveries), time.monotonic(), 0.0
    with tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(
            command, cwd=folder, stdout=talk, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
        )  # fmt: skip
        seen: set[str] = set()
        at = 0
        while process.poll() is None:
            new = witness.deliveries[at:]
            at += len(new)
            seen.update(one.recipient for one in new)
            if len(witness.deliveries) > before and not first:
                first = witness.deliveries[before].at - began
            if threshold is not None and len(seen) >= threshold:
                time.sleep(dice.random() * 0.02)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                found.seconds.append(round(first, 3))
                talk.seek(0)
                return talk.read().decode("utf-8", "replace")
            time.sleep(0.001)
        if found.kills:
            found.seconds.append(round(first, 3))
    return None


def report_line(found: Toll) -> str:
    kills = f"{found.title}, {found.kills} kills: {found.lost} lost, {found.doubled} doubled"
    return f"{kills}, {found.doubts} in doubt, {found.listed} of them unsettled; typed {len(found.typed)} commands"
