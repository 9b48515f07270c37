"""Two senders, and the moments that matter for shards: a journal is made, merged, removed, torn, damaged, locked."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

from torture import audit, books, family, points
from torture.audit import Tally
from torture.bench import Bench, Sender, dice
from torture.case import Case
from torture.launch import SENDERS
from torture.scenarios.points import resume
from torture.scene import Scene

NAMED = "a kill at each named point of a shard"
FULL = "the disk fails while senders write and shards are merged"
LEFT = "shards that are damaged, or held by a sender that was stopped"
PEOPLE = 40
#: Recipients of a shard at least, so that a small run has many.
SMALLEST = 4
REPEATS = 2
#: Where the parent dies, and where a sender does.
PARENT = (*points.MERGING, "pass after", "sync after", "report before", "ended before", "ended after")
SENDER = (*points.IN_DOUBT, "content before", "content after", "intent before", "intent torn", "verdict after",
          "frontier before", "frontier after", "sync after")  # fmt: skip
#: What fails, in whose hands, and how; the disk stays full until the ballast is given back.
FAILURES = tuple(
    (who, kind, how) for who in ("parent", "senders")
    for kind, how in (("octets", "ENOSPC"), ("octets", "EIO"), ("octets", "short"), ("sync", "EIO"))
)  # fmt: skip


def cases(kills: int) -> list[Case]:
    """Each point and each failure twice (more in the long form), damage and stopped senders four times."""
    repeats = max(REPEATS * kills // 200, 1)
    at = [("parent", point) for point in PARENT] + [("sender", point) for point in SENDER]
    return [
        *(Case(NAMED, f"shard {who} {point}", at_point, {"who": who, "point": point, "repeats": repeats}, 5.0 * repeats)
          for who, point in at),
        *(Case(FULL, f"shard disk {' '.join(one)}", failing, {"failure": one, "repeats": repeats}, 5.0 * repeats)
          for one in FAILURES),
        *(Case(LEFT, f"shard damaged {at}", damaged, {"at": at}, 8.0) for at in range(2 * repeats)),
        *(Case(LEFT, f"sender stopped {at}", stopped, {"at": at}, 18.0) for at in range(2 * repeats)),
    ]  # fmt: skip


def at_point(bench: Bench, folder: Path, seed: int, tally: Tally, *, who: str, point: str, repeats: int) -> None:
    """Die at ``point``. A parent that dies puts nobody in doubt, as its senders finish; a sender at most one letter."""
    for turn in range(repeats):
        chance, here = dice(seed, who, point, turn), folder / f"turn-{turn}"
        scene = _scene(bench, here, chance, "process" if point.startswith("sync") else "")
        few = point in points.ONCE or (point.split()[0] in {"frontier", "sync"} and who == "sender")
        orders = {"point": point, "nth": 1 if few else chance.randint(1, 4)}
        command = _begin(bench, scene, who, orders)
        code = command.wait()
        left = family.wait_for_end(here)
        tally.must(not left, f"{len(left)} senders still run after the {who}'s {point}")
        bench.settled()
        tally.number += 1
        died = code == -9 if who == "parent" else (here / "struck").exists()
        tally.must(died, f"{point} was not reached by the {who}, the {orders['nth']}. time: exit {code}")
        tally.kills += died
        tally.open_kills += bool(books.read_oracle(here / "oracle.log").lost)
        _judge(tally, scene, command, who, point)
        if who == "parent" and chance.random() < 0.5:
            _recovery(bench, scene, tally, chance)
        _go_on(bench, scene, tally, chance)


def _scene(bench: Bench, here: Path, chance: random.Random, durability: str = "", **more: Any) -> Scene:
    scene = Scene(here, bench.port, range(PEOPLE), connections=2)
    scene.in_doubt = chance.choice(("hold", "resend", "skip"))
    scene.durability = durability or chance.choice(("process", "power"))
    scene.change("delivery", "processes", "2")
    bench.scene(here, delay=(0.0, 0.01), seed=chance.randrange(1000), **more)
    return scene


def _begin(bench: Bench, scene: Scene, who: str, orders: dict[str, Any]) -> Sender:
    """The command, with orders for the parent, or for whichever sender comes there first."""
    told = json.dumps({**orders, "once": str(scene.folder / "struck")} if "point" in orders else orders)
    own, environment = (orders, None) if who == "parent" else ({}, {SENDERS: told})
    return bench.bear(scene.folder, "send", str(scene.file), environment=environment, smallest=SMALLEST, **own)


def _judge(tally: Tally, scene: Scene, command: Sender, who: str, point: str) -> None:
    audit.no_traceback(tally, command.words(), command.said)
    audit.midway(tally, scene)
    found = sum(len(run.doubts) for run in books.read_runs(scene.runs))
    wanted = int(who == "sender" and point in points.IN_DOUBT)
    tally.must(found == wanted, f"{found} in doubt after the {who}'s {point}, {wanted} expected")
    if who == "sender":
        verdicts = books.read_runs(scene.runs)[-1].tally()
        code = audit.expected_code(verdicts, scene.in_doubt)
        tally.must(command.code == code, f"a sender died at {point}, and the command exited {command.code}, not {code}")
        audit.closing(tally, scene, resent=False)


def _recovery(bench: Bench, scene: Scene, tally: Tally, chance: random.Random) -> None:
    """The next command dies while it merges what was left, if there is anything."""
    point = chance.choice(("merged before", "merged torn", "merged after", "unlink before", "unlink after"))
    sender = bench.bear(scene.folder, "send", str(scene.file), point=point, nth=chance.randint(1, 2))
    killed = sender.wait() == -9
    family.wait_for_end(scene.folder)
    bench.settled()
    tally.number += killed
    tally.kills += killed
    audit.midway(tally, scene)


def _go_on(bench: Bench, scene: Scene, tally: Tally, chance: random.Random, *, intents_kept: bool = True) -> None:
    before = tally.letters
    scene.change("delivery", "processes", str(chance.choice((1, 1, 2, 4))))
    resume(bench, scene, tally, scene.in_doubt, intents_kept=intents_kept)
    tally.letters = before + books.read_oracle(scene.folder / "oracle.log").copies


def failing(
    bench: Bench, folder: Path, seed: int, tally: Tally, *, failure: tuple[str, str, str], repeats: int
) -> None:
    """The command says so (73), nobody is in doubt if there was room for the replies, and then all is well."""
    who, kind, how = failure
    for turn in range(repeats):
        chance, here = dice(seed, *failure, turn), folder / f"turn-{turn}"
        scene, struck = _scene(bench, here, chance), here / "struck"
        refusal = {
            "under": str(here / "runs"), "kind": kind, "how": how, "stays": how == "ENOSPC", "told": str(struck),
            "path_ends": "checkpoint.journal" if who == "parent" else ".journal",
            "nth": chance.randint(2, 4) if kind == "sync" else chance.randint(6, 12),
        }  # fmt: skip
        command = _begin(bench, scene, who, {"refuse": refusal})
        code = command.wait()
        left = family.wait_for_end(here)
        tally.must(not left, f"{len(left)} senders still run after {failure}")
        bench.settled()
        if not struck.exists():
            tally.notes["failures that did not strike"] += 1
            continue
        tally.number += 1
        audit.no_traceback(tally, command.words(), command.said)
        tally.must(code == 73 or how == "short", f"exit {code} after {failure}: {command.words()[-300:]}")
        audit.midway(tally, scene)
        doubts = sum(len(run.doubts) for run in books.read_runs(scene.runs))
        most = scene.connections if who == "senders" and how == "EIO" else 0
        tally.must(doubts <= most, f"{doubts} in doubt after {failure}, {most} at most")
        _go_on(bench, scene, tally, chance)


def damaged(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """All die, one line of a shard's journal is changed, another's last is torn: refused, repaired, gone on with."""
    chance = dice(seed, "damaged", at)
    scene = _scene(bench, folder, chance)
    command = _begin(bench, scene, "parent", {"point": "merged before", "nth": chance.randint(3, 6)})
    _kill_all_at_once(command, scene)
    bench.settled()
    shards = [path for run in books.read_runs(scene.runs) for path in run.left if path.read_bytes().count(b"\n") > 2]
    tally.number += 1
    tally.kills += 1
    if not shards:
        tally.notes["deaths that left nothing to damage"] += 1
        return
    run, letters = shards[0].parent.parent, bench.counters()[2]
    for path in shards[1:]:
        path.write_bytes(path.read_bytes()[: -chance.randint(1, 20)])
    _change_a_line(chance.choice(shards[:1]), chance)
    refused = bench.bear(folder, "send", str(scene.file))
    tally.must(refused.wait() == 74, f"a damaged shard: exit {refused.code}: {refused.words()[-300:]}")
    tally.must("campaign repair" in refused.words(), f"a damaged shard: no repair is named: {refused.words()[-300:]}")
    audit.no_traceback(tally, refused.words(), refused.said)
    for options in (("--dry-run",), ()):
        repair = bench.bear(folder, "repair", str(run), *options)
        tally.must(repair.wait() == 0, f"repair {options} exited {repair.code}: {repair.words()[-300:]}")
        audit.no_traceback(tally, repair.words(), repair.said)
    tally.must(bench.counters()[2] == letters, "letters were sent before the journal was repaired")
    audit.midway(tally, scene, intents_kept=False)
    _go_on(bench, scene, tally, chance, intents_kept=False)


def _kill_all_at_once(command: Sender, scene: Scene) -> None:
    """Wait for the parent's death, and kill its senders in the same moment."""
    while command.alive():
        time.sleep(0.001)
    family.kill(family.senders(scene.folder))
    family.wait_for_end(scene.folder)


def _change_a_line(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    whole = data.rindex(b"\n")  # the end of the last whole line
    place = chance.choice([at for at in range(whole) if data[at] != 0x0A])
    data[place] ^= chance.choice((1, 2, 4))
    path.write_bytes(bytes(data))


def stopped(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """A sender that holds a shard is stopped (SIGSTOP) and its parent killed: nobody else sends until it goes on."""
    chance = dice(seed, "stopped", at)
    scene = Scene(folder, bench.port, range(120), connections=4)
    scene.change("delivery", "processes", "2")
    bench.scene(folder, delay=(0.04, 0.08), seed=seed)
    command = bench.bear(folder, "send", str(scene.file), smallest=SMALLEST)
    end = time.monotonic() + 60.0
    while bench.counters()[2] < chance.randint(5, 40) and time.monotonic() < end and command.alive():
        time.sleep(0.001)
    holders = _holders(family.senders(folder))
    tally.must(bool(holders), "no sender holds a lock, although letters are on their way")
    family.kill(holders[:1], signal.SIGSTOP)
    command.kill()
    command.wait()
    tally.number += 1
    tally.kills += 1
    while len(family.living_in(folder)) > 1 and time.monotonic() < end + 30.0:
        time.sleep(0.01)
    time.sleep(0.2)
    letters = bench.counters()[2]
    rival = bench.bear(folder, "send", str(scene.file))
    tally.must(rival.wait() == 75, f"a sender was stopped, and the next command exited {rival.code}")
    audit.no_traceback(tally, rival.words(), rival.said)
    tally.must(bench.counters()[2] == letters, "letters were sent beside a sender that holds a shard")
    family.kill(holders, signal.SIGCONT)
    left = family.wait_for_end(folder)
    tally.must(not left, f"{len(left)} senders still run long after they went on")
    bench.settled()
    audit.midway(tally, scene)
    doubts = sum(len(run.doubts) for run in books.read_runs(scene.runs))
    tally.must(not doubts, f"{doubts} in doubt, although every sender finished what was in flight")
    _go_on(bench, scene, tally, chance)


def _holders(pids: list[int]) -> list[int]:
    """Those of ``pids`` that hold a file lock."""
    locks = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    holding = {line[4] for line in locks if line[1] == "FLOCK" and line[3] == "WRITE"}
    return [pid for pid in pids if str(pid) in holding]
