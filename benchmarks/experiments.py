"""The measurements, one function each. Rounds are interleaved: in each, every sender runs once, one after another.

Each returns plain data for `report.py`. How large they are is decided by `Scale`; nothing here prints tables.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import killtest, measure, messages, peers, profiling, resume, sink, verify
from benchmarks.ours import Setup, send_command
from benchmarks.peers import Missing, Peer

MILLISECONDS = 20.0
CONNECTIONS = 20


@dataclass(frozen=True)
class Scale:
    """How much is measured. ``rows`` by key of the peer; slow ones serve the first of the same rows.

    ``sizes`` and ``lengths`` have the rounds for each number of rows, of ours alone and of every sender; a slow one
    takes part up to the number of its ``rows``.

    Nodemailer serves as many as we do, so that starting and warming up weigh alike in its ratios, which are goals.
    """

    rounds: int
    rows: dict[str, int]
    far_rounds: int
    far_rows: dict[str, int]
    sizes: dict[int, int]
    lengths: dict[int, int]
    options_rows: int
    options_rounds: int
    processes_rows: int
    resume: int
    kill: int


QUICK = Scale(
    rounds=3,
    rows={
        "campaign": 20_000,
        "nodemailer": 20_000,
        "go": 20_000,
        "go_one": 20_000,
        "plain": 2_000,
        "smtplib": 800,
        "mailmerge": 800,
        "emails": 300,
    },
    far_rounds=2,
    far_rows={"campaign": 6_000, "ready": 1_500, "nodemailer": 2_000},
    sizes={1_000: 3, 10_000: 3, 100_000: 1},
    lengths={10: 3, 100: 3, 1_000: 3},
    options_rows=3_000,
    options_rounds=3,
    processes_rows=60_000,
    resume=100_000,
    kill=400,
)
FULL = Scale(
    rounds=3,
    rows={
        "campaign": 20_000,
        "nodemailer": 20_000,
        "go": 20_000,
        "go_one": 20_000,
        "plain": 5_000,
        "smtplib": 2_000,
        "mailmerge": 2_000,
        "emails": 1_000,
    },
    far_rounds=3,
    far_rows={"campaign": 20_000, "ready": 3_000, "nodemailer": 4_000, "plain": 1_500},
    sizes={1_000: 7, 10_000: 5, 100_000: 2, 1_000_000: 1},
    lengths={10: 5, 100: 5, 1_000: 5, 10_000: 3},
    options_rows=5_000,
    options_rounds=3,
    processes_rows=200_000,
    resume=1_000_000,
    kill=2_000,
)
TINY = Scale(
    rounds=2,
    rows={
        "campaign": 500,
        "nodemailer": 200,
        "go": 500,
        "go_one": 500,
        "plain": 60,
        "smtplib": 60,
        "mailmerge": 60,
        "emails": 40,
    },
    far_rounds=1,
    far_rows={"campaign": 300, "ready": 100, "nodemailer": 100},
    sizes={200: 1, 1_000: 1},
    lengths={10: 1, 100: 1},
    options_rows=200,
    options_rounds=1,
    processes_rows=2_000,
    resume=2_000,
    kill=100,
)


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


#: Two commands that share nothing but the machine: what its two cores give at best.
APART = "two runs"


class Field:
    """A folder per sender that lasts over the rounds, so that its list is written once."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def folder(self, key: str) -> Path:
        folder = self.place / key
        folder.mkdir(exist_ok=True)
        return folder

    def one_run(self, key: str, command: Sequence[str], server: sink.Sink, count: int) -> dict[str, Any]:
        """Run once and see that all letters arrived."""
        folder = self.folder(key)
        core = measure.hash_microseconds()
        before, taken = server.messages(), server.cpu()
        usage = measure.run(command, cwd=folder)
        sending = _sending_seconds(folder)
        shutil.rmtree(folder / "runs", ignore_errors=True)
        arrived, taken = server.messages() - before, server.cpu() - taken
        if usage.code or arrived != count:
            raise SystemExit(f"{key}: exit code {usage.code}, {arrived} of {count} letters\n{usage.talk[-1000:]}")
        say(f"  {key}: {count / usage.wall:,.0f}/s, {usage.cpu / count * 1e6:,.0f} us CPU each")
        figures = {
            "rows": count,
            "wall": usage.wall,
            "cpu": usage.cpu,
            "memory": usage.memory,
            "hash": core,
            "sink": taken,
        }
        return {**figures, "sending": sending} if sending else figures


def _sending_seconds(folder: Path) -> float:
    """How long our own sender was at it, without start, list and report; 0.0 for another sender."""
    found = next(folder.glob("runs/*/*/summary.json"), None)
    return float(json.loads(found.read_text())["seconds"]) if found else 0.0


@contextmanager
def field() -> Iterator[Field]:
    with tempfile.TemporaryDirectory() as place:
        yield Field(Path(place))


def able(everybody: Sequence[Peer]) -> tuple[list[Peer], dict[str, str]]:
    """The peers whose letters are as they should be, and why the others are skipped."""
    skipped: dict[str, str] = {}
    for peer in everybody:
        try:
            found = verify.faults(peer)
        except Missing as reason:
            found = [str(reason)]
        if found:
            skipped[peer.key] = found[0]
            say(f"skipped {peer.title}: {found[0]}")
    return [peer for peer in everybody if peer.key not in skipped], skipped


def start_up(everybody: Sequence[Peer], rounds: int) -> dict[str, list[float]]:
    """Seconds from the command to the first letter at the server, for a list of one."""
    found: dict[str, list[float]] = {peer.key: [] for peer in everybody}
    for _ in range(rounds):
        for peer in everybody:
            with tempfile.TemporaryDirectory() as name, sink.Witness() as witness:
                command = peer.command(Path(name), witness.port, 1)
                found[peer.key].append(_first_letter(command, Path(name), witness))
    return found


def _first_letter(command: Sequence[str], folder: Path, witness: sink.Witness) -> float:
    began = time.monotonic()
    process = subprocess.Popen(list(command), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.wait()
    return witness.deliveries[0].at - began


def rounds_of(
    senders: Sequence[Peer], counts: dict[str, int], rounds: int, milliseconds: float = 0.0
) -> dict[str, Any]:
    """Each sender once in each round, on loopback or behind a distance; ``ceiling`` is smtp-source on loopback."""
    found: dict[str, Any] = {"runs": {peer.key: [] for peer in senders}, "ceiling": []}
    with field() as ground, sink.smtp_sink() as server, sink.distance(server.port, milliseconds) as port:
        found["round_trip"] = sink.round_trip(port)
        for at in range(rounds):
            say(f"{'behind ' + str(milliseconds) + ' ms' if milliseconds else 'loopback'}, round {at + 1} of {rounds}")
            for peer in senders:
                count = counts[peer.key]
                command = peer.command(ground.folder(peer.key), port, count)
                found["runs"][peer.key].append(ground.one_run(peer.key, command, server, count))
            if not milliseconds and sink.program("smtp-source"):
                command = sink.source_command(port, 20_000, 7_200)
                found["ceiling"].append(ground.one_run("smtp-source", command, server, 20_000))
    return found


def sizes(wanted: dict[int, int]) -> dict[int, list[dict[str, Any]]]:
    """Whole runs over lists of several lengths, the short ones more often, interleaved."""
    found: dict[int, list[dict[str, Any]]] = {count: [] for count in wanted}
    with field() as ground, sink.smtp_sink() as server:
        for at in range(max(wanted.values())):
            for count in [count for count, times in wanted.items() if at < times]:
                file = Setup().lay_out(ground.folder(f"{count} rows"), server.port, count)
                found[count].append(ground.one_run(f"{count} rows", send_command(file), server, count))
    return found


def lengths(senders: Sequence[Peer], scale: Scale) -> dict[int, dict[str, list[dict[str, Any]]]]:
    """Every sender over lists of several lengths, from start to end, interleaved."""
    found: dict[int, dict[str, list[dict[str, Any]]]] = {}
    with sink.smtp_sink() as server:
        for count, rounds in scale.lengths.items():
            able = [peer for peer in senders if count <= scale.rows[peer.key]]
            found[count] = {peer.key: [] for peer in able}
            with field() as ground:
                for _ in range(rounds):
                    for peer in able:
                        command = peer.command(ground.folder(peer.key), server.port, count)
                        found[count][peer.key].append(ground.one_run(peer.key, command, server, count))
    return found


def variants(chosen: Sequence[messages.Variant], count: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Our own settings or messages beside each other, interleaved; ``octets`` is the size of a letter."""
    found: dict[str, list[dict[str, Any]]] = {one.title: [] for one in chosen}
    with field() as ground, sink.smtp_sink() as server:
        for _ in range(rounds):
            for one in chosen:
                folder = ground.folder(one.title.replace(" ", "-").replace('"', ""))
                file = one.setup.lay_out(folder, server.port, count)
                if not found[one.title]:
                    one.furnish(folder)
                found[one.title].append(ground.one_run(folder.name, send_command(file), server, count))
    return found


def processes(count: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """One process, two that share a run, and two senders of half the list each that share nothing; interleaved."""
    found: dict[str, list[dict[str, Any]]] = {"1": [], "2": [], APART: []}
    with field() as ground, sink.light_sink() as server:
        for _ in range(rounds):
            for title in ("1", "2"):
                file = Setup(delivery={"processes": title}).lay_out(ground.folder(title), server.port, count)
                found[title].append(ground.one_run(title, send_command(file), server, count))
            found[APART].append(_apart(ground, server, count))
    return found


def _apart(ground: Field, server: sink.Sink, count: int) -> dict[str, Any]:
    folders = [ground.folder(f"apart-{name}") for name in "ab"]
    files = [Setup().lay_out(folder, server.port, count // 2) for folder in folders]
    before, began = server.cpu(), time.perf_counter()
    with ThreadPoolExecutor() as threads:
        used = list(threads.map(lambda file: measure.run(send_command(file), cwd=file.parent), files))
    wall, sending = time.perf_counter() - began, max(map(_sending_seconds, folders))
    for folder, one in zip(folders, used, strict=True):
        shutil.rmtree(folder / "runs", ignore_errors=True)
        if one.code:
            raise SystemExit(f"{folder.name}: exit code {one.code}\n{one.talk[-1000:]}")
    cpu, memory = sum(one.cpu for one in used), max(one.memory for one in used)
    say(f"  {APART}: {count / wall:,.0f}/s, {cpu / count * 1e6:,.0f} us CPU each")
    return {
        "rows": count,
        "wall": wall,
        "cpu": cpu,
        "memory": memory,
        "sending": sending,
        "sink": server.cpu() - before,
    }


def letter_octets(chosen: Sequence[messages.Variant]) -> dict[str, int]:
    """How large one letter of each variant is on the wire."""
    found = {}
    for one in chosen:
        with tempfile.TemporaryDirectory() as name, sink.Witness(keep=True) as witness:
            file = one.setup.lay_out(Path(name), witness.port, 1)
            one.furnish(Path(name))
            measure.run(send_command(file), cwd=Path(name))
            found[one.title] = len(witness.deliveries[0].content)
    return found


def kills(people: int) -> dict[str, Any]:
    """What ten kills cost each contestant."""
    found: dict[str, Any] = {"people": people, "tolls": []}
    for contestant in killtest.CONTESTANTS:
        try:
            one = killtest.toll(contestant, people)
        except Missing as reason:
            say(f"kills: {contestant.title} skipped: {reason}")
            continue
        say("kills: " + killtest.report_line(one))
        found["tolls"].append(one.plain())
    return found


def stages(count: int) -> dict[str, Any]:
    """CPU by stage of one run, as `make profile` has it."""
    with sink.smtp_sink() as server, tempfile.TemporaryDirectory() as folder:
        file = Setup().lay_out(Path(folder), server.port, count)
        core = measure.STANDARD / measure.hash_microseconds()
        return {"rows": count, "core": core, **profiling.by_stage(file)}


def everything(scale: Scale, chosen: Sequence[str]) -> dict[str, Any]:
    """All that was asked for, in plain data."""
    found: dict[str, Any] = {"machine": measure.machine()}
    senders, found["skipped"] = able((peers.OURS, *peers.PEERS))
    found["titles"] = {peer.key: [peer.title, peer.lacks] for peer in (peers.OURS, *peers.PEERS, peers.READY)}
    found["versions"] = peers.versions()
    found["hash_before"] = measure.hash_microseconds()
    far = [peer for peer in (peers.OURS, peers.NODEMAILER, peers.READY, peers.AIOSMTPLIB) if peer.key in scale.far_rows]
    steps = {
        "loopback": lambda: rounds_of(senders, scale.rows, scale.rounds),
        "start_up": lambda: start_up(senders, scale.rounds),
        "far": lambda: rounds_of(
            [peer for peer in far if peer.key not in found["skipped"]], scale.far_rows, scale.far_rounds, MILLISECONDS
        ),
        "stages": lambda: stages(scale.rows["campaign"]),
        "options": lambda: variants(messages.OPTIONS, scale.options_rows, scale.options_rounds),
        "messages": lambda: {
            "octets": letter_octets(messages.MESSAGES),
            "runs": variants(messages.MESSAGES, scale.options_rows, scale.options_rounds),
        },
        "kills": lambda: kills(scale.kill),
        "resume": lambda: resume.seconds_to_first_letter(scale.resume),
        "sizes": lambda: sizes(scale.sizes),
        "lengths": lambda: lengths(senders, scale),
        "processes": lambda: processes(scale.processes_rows, scale.options_rounds),
    }
    for name, step in steps.items():
        if not chosen or name in chosen:
            say(f"== {name}")
            found[name] = step()
    found["hash_after"] = measure.hash_microseconds()
    return found
