"""A loss of power, played with the recording of a run: what was not synced is dropped, reordered or torn.

A run is recorded call by call, together with the moment each dot left; with two senders, the calls of all processes.
Then, for each seed, the power goes at a call of its choice. The machine comes up with another boot identity and the
journal is opened. A letter whose dot had left by then counts as delivered.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.film import Film, put
from torture.launch import SENDERS
from torture.scenarios.points import ended_well
from torture.scene import Scene

PEOPLE = 300
SEEDS = 200
RESUMED = 3
#: Recipients of a shard at least, so that there are many.
SMALLEST = 20


def cases(kills: int) -> list[Case]:
    """200 losses of power for each durability and one sender, and for two; some are followed by a run to the end."""
    seeds = max(SEEDS * kills // 200, 50)
    return [
        Case(f"power loss, {'two senders, ' * (processes > 1)}durability = {durability}",
             f"power {durability} {processes} {connections}", losing,
             {"durability": durability, "connections": connections, "processes": processes, "seeds": seeds // 2}, 12.0)
        for processes in (1, 2) for durability in ("power", "process") for connections in (processes, 20)
    ]  # fmt: skip


def losing(
    bench: Bench,
    folder: Path,
    seed: int,
    tally: Tally,
    *,
    durability: str,
    connections: int,
    processes: int,
    seeds: int,
) -> None:
    """Record one run; lose power ``seeds`` times; for a few of them go on to the end and audit."""
    scene = Scene(folder / "scene", bench.port, range(PEOPLE), connections=connections, durability=durability)
    scene.change("delivery", "processes", str(processes))
    bench.scene(scene.folder, delay=(0.0, 0.003), seed=seed)
    recording = folder / "recording"
    record = {"under": str(scene.folder / "runs"), "into": str(recording)}
    told = {SENDERS: json.dumps({"record": record})}
    sender = bench.bear(scene.folder, "send", str(scene.file), environment=told, record=record, smallest=SMALLEST)
    tally.must(sender.wait() == 0, f"the recorded run exited {sender.code}: {sender.words()[-300:]}")
    film = Film.develop(recording)
    _in_place_before_the_first_dot(tally, film)
    first = film.begins()
    for turn in range(seeds):
        chance = dice(seed, durability, connections, turn)
        at = chance.randrange(first, len(film.events))
        put(film.run, film.disk_at(at).after_loss(chance))
        tally.number += 1
        _judge(tally, film, at, durability, connections, f"power lost at event {at}, seed {turn}")
    for turn in range(RESUMED):
        _go_on(bench, scene, tally, film, dice(seed, "resumed", turn), durability)


def _in_place_before_the_first_dot(tally: Tally, film: Film) -> None:
    """Plan and journal are synced, renamed, and their folder synced, before the first dot leaves."""
    first = next(at for at, (kind, _, _) in enumerate(film.events) if kind == "dot")
    for name in ("plan.jsonl", "checkpoint.journal"):
        renamed = next(at for at, (kind, path, _) in enumerate(film.events) if kind == "rename" and path.endswith(name))
        written = [at for at, (kind, path, _) in enumerate(film.events[:renamed])
                   if kind == "write" and Path(path).name.startswith(f".{name}")]  # fmt: skip
        synced = [at for at, (kind, path, _) in enumerate(film.events[:renamed])
                  if kind == "sync" and Path(path).name.startswith(f".{name}")]  # fmt: skip
        folder = [at for at, (kind, path, _) in enumerate(film.events[:first])
                  if kind == "sync" and at > renamed and path == str(Path(film.journal).parent)]  # fmt: skip
        tally.must(bool(written and synced) and max(written) < max(synced), f"{name} was renamed before it was synced")
        tally.must(bool(folder), f"the folder was not synced between the rename of {name} and the first dot")


def _judge(tally: Tally, film: Film, at: int, durability: str, connections: int, where: str) -> None:
    """Nobody is lost, nobody delivered would be sent to again unless listed in doubt, and doubts are bounded."""
    from campaign.errors import CampaignError
    from campaign.ledger.checkpoint import Checkpoint
    from campaign.model import Verdict

    dotted, run = film.dotted(at), film.run
    try:
        book = Checkpoint(run, durability=durability, boot="another boot")
        book.close()
    except CampaignError as error:
        tally.broken.append(f"{where}: refused: {error}")
        return
    history = book.history
    again = dotted & set(history.numbers(Verdict.WAITING, Verdict.DEFERRED))
    claimed = set(history.numbers(Verdict.ACCEPTED)) - dotted
    doubts = set(history.numbers(Verdict.IN_DOUBT))
    tally.unpredicted += len(again)
    tally.must(not again, f"{where}: {sorted(again)[:5]} had their letter and would get another without a doubt")
    tally.lost += len(claimed)
    tally.must(not claimed, f"{where}: {sorted(claimed)[:5]} count as accepted and have no letter")
    tally.doubts += len(doubts)
    reach = connections + sum(file.verdicts() for file in film.disk_at(at).files.values())
    if durability == "process":
        # There is no sync a letter: all that were reserved may have been sent.
        reach += len({number for number in film.reserved(at) if number < PEOPLE} - dotted)
    tally.must(len(doubts) <= reach, f"{where}: {len(doubts)} in doubt, {reach} can be explained")
    tally.notes["most in doubt at once"] = max(tally.notes["most in doubt at once"], len(doubts))


def _go_on(bench: Bench, scene: Scene, tally: Tally, film: Film, chance: random.Random, durability: str) -> None:
    """Lose power, then let a real sender finish with the oracle's log of that moment, and audit the whole."""
    run, log = film.run, scene.folder / "oracle.log"
    at = chance.randrange(film.begins(), len(film.events))
    dotted = film.dotted(at)
    put(run, film.disk_at(at).after_loss(chance))
    (run / "summary.json").unlink(missing_ok=True)
    kept = log.read_text(encoding="utf-8")
    people = books.read_run(run).planned if dotted else {}
    then = {people[number] for number in dotted}
    lines = [line for line in kept.splitlines() if _before(line, then)]
    log.write_text("\n".join(dict.fromkeys(lines)) + "\n", encoding="utf-8")
    bench.scene(scene.folder)
    sender = bench.bear(scene.folder, "send", str(scene.file), boot=f"boot-{chance.random()}")
    ended_well(tally, scene, scene.in_doubt, sender.wait(), sender.words())
    audit.no_traceback(tally, sender.words(), sender.said)
    audit.closing(tally, scene, intents_kept=durability == "power")
    log.write_text(kept, encoding="utf-8")


def _before(line: str, then: set[str]) -> bool:
    event = json.loads(line)
    return event["is"] in {"took", "answered"} and bool(set(event["to"]) & then)
