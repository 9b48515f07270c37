"""SIGKILL at random times, resumed until done: 1, 10 and 50 connections, one sending process, two or four."""

from __future__ import annotations

from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.lives import ANY_TIME, Life, ends
from torture.scenarios.points import ended_well
from torture.scene import Scene

SCENARIO = "SIGKILL at random times"
PEOPLE = 2000
BATCH = 25
#: How a share of the kills is spread: connections, sending processes, durability, what is done about doubts, and
#: whether the server breaks at random as well.
Mix = tuple[int, int, str, str, bool]
MIXES: tuple[Mix, ...] = (
    (10, 2, "process", "hold", False), (10, 1, "process", "hold", False), (50, 4, "power", "resend", True),
    (1, 1, "process", "hold", False), (10, 2, "process", "resend", True), (50, 1, "power", "skip", True),
    (1, 2, "process", "resend", False), (50, 4, "process", "hold", False), (20, 1, "process", "hold", True),
)  # fmt: skip
#: Of five hundred occasions at each of these stages, one goes wrong where the server breaks as well.
CHAOS = [
    {"stage": stage, "kind": kind, "chance": 0.002 / 4}
    for stage in ("ehlo", "mail", "rcpt", "data", "354", "dot", "reply", "between")
    for kind in ("fin", "rst", "421", "garbage")
]  # fmt: skip


def cases(kills: int) -> list[Case]:
    """About ``kills`` kills in batches, each batch one campaign of 2,000 recipients."""
    batches = max(round(kills / BATCH), 1)
    each = max(kills // batches, 1)
    return [
        Case(SCENARIO, f"kills {at}", until_done,
             {"kills": each, "mix": MIXES[at % len(MIXES)], "people": PEOPLE}, cost=each * 1.6 + 10)
        for at in range(batches)
    ]  # fmt: skip


def until_done(bench: Bench, folder: Path, seed: int, tally: Tally, *, kills: int, mix: Mix, people: int) -> None:
    """Kill ``kills`` times, audit after each, let the last one finish, settle all doubts, audit again."""
    connections, processes, durability, policy, chaos = mix
    chance = dice(seed, folder.name)
    scene = Scene(folder, bench.port, range(people), connections=connections, durability=durability, in_doubt=policy)
    scene.change("delivery", "processes", str(processes))
    bench.scene(folder, delay=(0.0, 0.004), seed=seed, misdeeds=CHAOS if chaos else [])
    share = people * 0.9 / (kills + 1)
    while tally.kills < kills:
        life = Life(bench, scene, tally, chance, processes)
        if not one_life(life, share) and (not chaos or "Nobody is left" in life.sender.words()):
            break
    finish(bench, scene, tally, policy)


def one_life(life: Life, letters: float, deaths: int = 0) -> bool:
    """One command, in which so many senders die before it does; False if it finished before it could be ended."""
    chance = life.chance
    life.begin()
    for _ in range(deaths):
        life.aim(chance.randrange(1, max(int(letters * 1.6), 2)))
        life.kill_a_sender()
    if chance.random() < ANY_TIME:
        life.some_time()
    else:
        life.aim(chance.randrange(1, max(int(letters * 1.6), 2)))
    ended = life.end(chance.choice(ends(life.processes)))
    life.audit()
    return ended


def finish(bench: Bench, scene: Scene, tally: Tally, policy: str) -> None:
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
