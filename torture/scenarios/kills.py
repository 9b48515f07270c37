"""SIGKILL at random times, resumed until done: 1, 10 and 50 connections, one process of rendering or two."""

from __future__ import annotations

import random
import time
from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench, Sender, dice
from torture.case import Case
from torture.scenarios.points import ended_well
from torture.scene import Scene

PEOPLE = 2000
BATCH = 25
#: How a share of the kills is spread: connections, processes of rendering, durability, what is done about doubts, and
#: whether the server breaks at random as well.
Mix = tuple[int, int, str, str, bool]
MIXES: tuple[Mix, ...] = (
    (1, 1, "process", "hold", False), (10, 1, "process", "hold", False), (50, 1, "process", "hold", False),
    (10, 2, "process", "hold", False), (10, 1, "process", "resend", True), (50, 1, "power", "skip", True),
    (1, 1, "process", "resend", False), (10, 2, "power", "resend", False), (20, 1, "process", "hold", True),
)  # fmt: skip
#: Of five hundred occasions at each of these stages, one goes wrong where the server breaks as well.
CHAOS = [
    {"stage": stage, "kind": kind, "chance": 0.002 / 4}
    for stage in ("ehlo", "mail", "rcpt", "data", "354", "dot", "reply", "between")
    for kind in ("fin", "rst", "421", "garbage")
]  # fmt: skip
#: The share of kills aimed at any time after the start, not only while letters are on their way.
ANY_TIME = 0.12


def cases(kills: int) -> list[Case]:
    """About ``kills`` kills in batches, each batch one campaign of 2,000 recipients."""
    batches = max(round(kills / BATCH), 1)
    each = max(kills // batches, 1)
    return [
        Case("SIGKILL at random times", f"kills {at}", until_done,
             {"kills": each, "mix": MIXES[at % len(MIXES)], "people": PEOPLE}, cost=each * 1.6 + 10)
        for at in range(batches)
    ]  # fmt: skip


def until_done(bench: Bench, folder: Path, seed: int, tally: Tally, *, kills: int, mix: Mix, people: int) -> None:
    """Kill ``kills`` times, audit after each, let the last one finish, settle all doubts, audit again."""
    connections, processes, durability, policy, chaos = mix
    chance = dice(seed, folder.name)
    scene = Scene(folder, bench.port, range(people), connections=connections, durability=durability, in_doubt=policy)
    scene.settings["compose"] = {"processes": str(processes)}
    scene.write()
    bench.scene(folder, delay=(0.0, 0.004), seed=seed, misdeeds=CHAOS if chaos else [])
    share = people * 0.9 / (kills + 1)
    for _ in range(kills):
        if not _one_kill(bench, scene, tally, chance, share) and not chaos:
            break
    _finish(bench, scene, tally, policy)


def _one_kill(bench: Bench, scene: Scene, tally: Tally, chance: random.Random, share: float) -> bool:
    """One life; False when the sender finished before it could be killed."""
    log = scene.folder / "oracle.log"
    sender, taken, before = bench.start(scene.folder, "send", str(scene.file)), bench.counters()[2], log.stat().st_size
    if chance.random() < ANY_TIME:
        _sleep_alive(sender, chance.uniform(0.0, 1.5))
    else:
        _aim(bench, sender, taken + chance.randrange(1, max(int(share * 1.6), 2)), chance.uniform(0.0, 0.006))
    finished = not sender.alive()
    sender.kill()
    code = sender.wait()
    bench.settled()
    audit.no_traceback(tally, sender.words(), sender.said)
    audit.midway(tally, scene)
    if finished or code != -9:
        # Where the server breaks as well, a sender may have had enough of it.
        tally.must(code in {0, 3, 4, 69, 75}, f"a sender that was not killed exited {code}: {sender.words()[-300:]}")
        return False
    tally.kills += 1
    tally.number += 1
    with log.open("rb") as file:
        file.seek(before)
        tally.open_kills += b'"is": "lost"' in file.read()
    return True


def _aim(bench: Bench, sender: Sender, letters: int, late: float) -> None:
    """Wait until the oracle has that many letters, and then a little more."""
    end = time.monotonic() + 60.0
    while bench.counters()[2] < letters and time.monotonic() < end and sender.alive():
        time.sleep(0.0005)
    time.sleep(late)


def _sleep_alive(sender: Sender, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and sender.alive():
        time.sleep(0.005)


def _finish(bench: Bench, scene: Scene, tally: Tally, policy: str) -> None:
    """Let it finish; then settle what is in doubt: by the oracle's log, or by sending again."""
    bench.faults()
    _to_the_end(bench, scene, tally, policy, "send", str(scene.file))
    audit.closing(tally, scene, resent=policy == "resend")
    if policy == "hold":
        settle_by_log(bench, scene, tally)


def _to_the_end(bench: Bench, scene: Scene, tally: Tally, policy: str, *arguments: str) -> None:
    sender = bench.start(scene.folder, *arguments)
    code = sender.wait()
    audit.no_traceback(tally, sender.words(), sender.said)
    ended_well(tally, scene, policy, code, sender.words())


def settle_by_log(bench: Bench, scene: Scene, tally: Tally) -> None:
    """`campaign resolve` with the Message-IDs that the oracle has, then `retry --in-doubt`: everybody exactly once."""
    oracle, runs = books.read_oracle(scene.folder / "oracle.log"), books.read_runs(scene.runs)
    run, listing = runs[-1], scene.folder / "relay.log"
    doubtful = [run.planned[number] for number, verdict in run.verdicts.items() if verdict == "in_doubt"]
    if not doubtful:
        return
    ids = [copies[0][0] for copies in oracle.taken.values()]
    listing.write_text("\n".join(f"relay: message-id={one} accepted" for one in ids) + "\n", encoding="utf-8")
    undelivered = [one for one in doubtful if one not in oracle.taken]
    resolved = bench.start(scene.folder, "resolve", str(run.folder), "--accepted", str(listing))
    code = resolved.wait()
    tally.must(code == (4 if undelivered else 0), f"resolve exited {code} with {len(undelivered)} left in doubt")
    sender = bench.start(scene.folder, "retry", str(scene.file), "--in-doubt")
    tally.must(sender.wait() == 0, f"retry --in-doubt exited {sender.code}: {sender.words()[-300:]}")
    after = books.read_oracle(scene.folder / "oracle.log")
    twice = [address for address, copies in after.taken.items() if len(copies) > 1]
    tally.must(not twice, f"after the doubts were settled by the relay's log {len(twice)} have two copies")
    tally.must(
        len(after.taken) == len(scene.people), f"{len(scene.people) - len(after.taken)} have no letter at the end"
    )
    tally.notes["doubts settled by the relay's log, then everybody has exactly one letter"] += 1
