"""The process ends, or the disk fails, between the verdict on a dead address and the list that later runs read."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from torture import audit, books, family, points
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.launch import SENDERS
from torture.scene import Scene, address

SCENARIO = "a kill between a dead address and its suppression"
PEOPLE, DEAD = 14, 5
REPEATS = 3
#: What fails on the store of feedback, and how; a rename is that of the list drawn from it.
FAILURES = (
    ("octets", "ENOSPC"), ("octets", "EIO"), ("octets", "short"), ("octets", "die"), ("octets", "tear"),
    ("open", "EROFS"), ("sync", "EIO"), ("rename", "EIO"), ("rename", "die"),
)  # fmt: skip
#: The command after it: the run goes on, or another one takes over.
NEXT = ((), ("--fresh",), ("--again",))


def cases(kills: int) -> list[Case]:
    """Each point and each failure some times."""
    repeats = max(REPEATS * kills // 200, 1)
    orders: list[tuple[str, dict[str, Any]]] = [(point, {"point": point}) for point in points.SUPPRESSED]
    orders += [(f"{kind} {how}", {"refuse": {"kind": kind, "how": how}}) for kind, how in FAILURES]
    return [
        Case(SCENARIO, f"dead {name}", ended_at, {"orders": order, "repeats": repeats}, cost=2.0 * repeats)
        for name, order in orders
    ]


def ended_at(bench: Bench, folder: Path, seed: int, tally: Tally, *, orders: dict[str, Any], repeats: int) -> None:
    """End there the ``nth`` time, give one of the next commands, then serve everybody once more."""
    for turn in range(repeats):
        chance, here = dice(seed, folder.name, turn), folder / f"turn-{turn}"
        dead = sorted(chance.sample(range(PEOPLE), DEAD))
        several = chance.random() < 0.4 and "rename" not in str(orders)  # the list is drawn up by the parent
        scene = Scene(here, bench.port, range(PEOPLE), connections=1 + several)
        scene.settings["delivery"] = {"stop_share": "1.0", "processes": str(1 + several)}
        scene.write()
        bench.scene(here, replies={"rcpt": {address(n): ["550 5.1.1 =no such user"] for n in dead}})
        told = _told(orders, here, chance)
        if several:
            code = _in_a_sender(bench, scene, tally, told)
        else:
            code = bench.bear(here, "send", str(scene.file), **told).wait()
        bench.settled()
        tally.number += 1
        tally.kills += code == -9
        tally.must(several or code in {-9, 73} or "short" in str(orders), f"{orders} did not strike: exit {code}")
        audit.midway(tally, scene)
        _go_on(bench, scene, tally, chance.choice(NEXT))
        _judge(tally, scene, {address(n) for n in dead})


def _in_a_sender(bench: Bench, scene: Scene, tally: Tally, orders: dict[str, Any]) -> int:
    """The same in whichever of two senders comes there first; the command goes on, or says what failed."""
    once = {"once": str(scene.folder / "struck")} if "point" in orders else {}
    told = {SENDERS: json.dumps({**orders, **once})}
    code = bench.bear(scene.folder, "send", str(scene.file), environment=told, smallest=2).wait()
    family.wait_for_end(scene.folder)
    tally.must(code in {3, 73}, f"{orders} in a sender: exit {code}")
    return code


def _told(orders: dict[str, Any], here: Path, chance: random.Random) -> dict[str, Any]:
    drawn_up = "rename" in str(orders)
    nth = 1 if drawn_up or "sync" in str(orders) else chance.randint(1, DEAD)
    if "refuse" not in orders:
        return {**orders, "nth": nth}
    under = here / "runs"
    under.mkdir()  # the store's own folder, which is there before a later run
    ends = "suppressed.csv" if drawn_up else "feedback.jsonl"
    return {"refuse": {**orders["refuse"], "under": str(under), "nth": nth, "path_ends": ends}}


def _go_on(bench: Bench, scene: Scene, tally: Tally, options: tuple[str, ...]) -> None:
    """The next command, and where that does not finish, the same once more; then a run that serves all again."""
    for more in (options, (), ("--again",)):
        sender = bench.bear(scene.folder, "send", str(scene.file), *more)
        code = sender.wait()
        audit.no_traceback(tally, sender.words(), sender.said)
        tally.must(code in {0, 3}, f"send {' '.join(more)} exited {code}: {sender.words()[-300:]}")


def _judge(tally: Tally, scene: Scene, dead: set[str]) -> None:
    told, listed = books.called_dead(scene.runs), books.suppressed(scene.folder / "runs")
    tally.must(told <= dead, f"the journals call {sorted(told - dead)} dead, whom no relay did")
    tally.must(told <= set(listed), f"{sorted(told - set(listed))} are dead by the journal and in no list")
    tally.must(sorted(set(listed)) == sorted(listed), f"suppressed.csv lists somebody twice: {listed}")
    tally.must(set(listed) <= dead, f"suppressed.csv lists {sorted(set(listed) - dead)}, who are alive")
    text = (scene.folder / "runs" / "suppressed.csv").read_text(encoding="utf-8")
    tally.must(",=" not in text, "a relay's words in suppressed.csv are a formula")
    oracle = books.read_oracle(scene.folder / "oracle.log")
    tally.must(not told & set(oracle.taken), f"{sorted(told & set(oracle.taken))} were called dead and got a letter")
    alive = {address(n) for n in scene.people} - dead
    tally.must(alive <= set(oracle.taken), f"{sorted(alive - set(oracle.taken))} have no letter")
    tally.letters += oracle.copies
