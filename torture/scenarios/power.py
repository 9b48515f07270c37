"""A loss of power, played with the recording of a run: what was not synced is dropped, reordered or torn.

A run is recorded call by call, together with the moment each dot left. Then, for each seed, the power goes at a call
of its choice: everything synced is on the disk, each later write of the journal is there, or is a hole, or is there
in part. The machine comes up with another boot identity and the journal is opened. A letter whose dot had left by
then counts as delivered.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.scenarios.points import ended_well
from torture.scene import Scene

PEOPLE = 300
SEEDS = 200
RESUMED = 3
SECTOR = 512


def cases(kills: int) -> list[Case]:
    """200 losses of power for each durability, some of them followed by a run to the end."""
    seeds = max(SEEDS * kills // 200, 50)
    return [
        Case(f"power loss, durability = {durability}", f"power {durability} {connections}", losing,
             {"durability": durability, "connections": connections, "seeds": seeds // 2}, cost=12.0)
        for durability in ("power", "process") for connections in (1, 20)
    ]  # fmt: skip


@dataclass
class Film:
    """A recorded run: events in order, and the journal's path."""

    events: list[tuple[str, str, bytes]] = field(default_factory=list)
    journal: str = ""

    @classmethod
    def develop(cls, recording: Path) -> Film:
        """Read a recording."""
        film = cls()
        for line in recording.read_text(encoding="utf-8").splitlines():
            kind, path, data = line.split("\t")
            film.events.append((kind, path, bytes.fromhex(data)))
            if kind == "rename" and path.endswith("checkpoint.journal"):
                film.journal = path
        return film

    def opened_at(self) -> int:
        """The event after which the journal exists under its name."""
        return next(at for at, (kind, path, _) in enumerate(self.events) if kind == "rename" and path == self.journal)

    def first_line(self) -> bytes:
        """What the rename put in place."""
        return b"".join(
            data for kind, path, data in self.events[: self.opened_at()]
            if kind == "write" and Path(path).name.startswith(".checkpoint.journal")
        )  # fmt: skip


def losing(
    bench: Bench, folder: Path, seed: int, tally: Tally, *, durability: str, connections: int, seeds: int
) -> None:
    """Record one run; lose power ``seeds`` times; for a few of them go on to the end and audit."""
    scene = Scene(folder / "scene", bench.port, range(PEOPLE), connections=connections, durability=durability).write()
    bench.scene(scene.folder, delay=(0.0, 0.003), seed=seed)
    recording = folder / "recording"
    record = {"under": str(scene.folder / "runs"), "into": str(recording)}
    sender = bench.bear(scene.folder, "send", str(scene.file), record=record)
    tally.must(sender.wait() == 0, f"the recorded run exited {sender.code}: {sender.words()[-300:]}")
    film = Film.develop(recording)
    _in_place_before_the_first_dot(tally, film)
    run = Path(film.journal).parent
    for turn in range(seeds):
        chance = dice(seed, durability, connections, turn)
        at = chance.randrange(film.opened_at() + 1, len(film.events))
        (run / "checkpoint.journal").write_bytes(_disk_after(film, at, chance))
        tally.number += 1
        _judge(tally, film, run, at, durability, connections, f"power lost at event {at}, seed {turn}")
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


def _disk_after(film: Film, at: int, chance: random.Random) -> bytes:
    """The journal as a disk might hold it when the power went just before event ``at``."""
    disk = bytearray(film.first_line())
    loose: list[tuple[int, bytes]] = []
    for kind, path, data in film.events[film.opened_at() + 1 : at]:
        if path != film.journal:
            continue
        if kind == "write":
            loose.append((len(disk), data))
            disk += data
        elif kind == "sync":
            loose.clear()
    return _lose(disk, loose, chance)


def _lose(disk: bytearray, loose: list[tuple[int, bytes]], chance: random.Random) -> bytes:
    """Keep, drop or tear each write that was not synced; the file is as long as its last surviving octet."""
    solid = loose[0][0] if loose else len(disk)
    survivor = bytearray(disk[:solid])
    manner = chance.choice(("all", "none", "prefix", "any", "any", "sectors"))
    kept = chance.randint(0, len(loose))
    for order, (offset, data) in enumerate(loose):
        stays = {"all": True, "none": False, "prefix": order < kept}.get(manner, chance.random() < 0.6)
        if not stays:
            continue
        part = data[: chance.randint(1, len(data))] if manner == "sectors" or order == kept else data
        survivor += bytes(max(offset - len(survivor), 0))
        survivor[offset : offset + len(part)] = part
    return bytes(survivor)


def _judge(tally: Tally, film: Film, run: Path, at: int, durability: str, connections: int, where: str) -> None:
    """Nobody is lost, nobody delivered would be sent to again unless listed in doubt, and doubts are bounded."""
    from campaign.errors import CampaignError
    from campaign.ledger.checkpoint import Checkpoint
    from campaign.model import Verdict

    dotted = {int(path) for kind, path, _ in film.events[:at] if kind == "dot"}
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
    unsynced = _unsynced(film, at)
    reach = connections + unsynced if durability == "power" else connections + unsynced + _drawn_ahead(film, at, dotted)
    tally.must(len(doubts) <= reach, f"{where}: {len(doubts)} in doubt, {reach} can be explained")
    tally.notes["most in doubt at once"] = max(tally.notes["most in doubt at once"], len(doubts))


def _unsynced(film: Film, at: int) -> int:
    """Letters whose records were written after the last sync."""
    loose = 0
    for kind, path, data in film.events[:at]:
        if path == film.journal and kind == "sync":
            loose = 0
        elif path == film.journal and kind == "write" and b'"is":"verdict"' in data:
            loose += 1
    return loose


def _drawn_ahead(film: Film, at: int, dotted: set[int]) -> int:
    """Under ``process`` all that were reserved may have been sent: the block of numbers up to the frontier."""
    import json

    reach = 0
    for kind, path, data in film.events[:at]:
        if path == film.journal and kind == "write" and b'"is":"frontier"' in data:
            reach = json.loads(data[9:])["until"]
    return max(min(reach, PEOPLE) - len(dotted), 0)


def _go_on(bench: Bench, scene: Scene, tally: Tally, film: Film, chance: random.Random, durability: str) -> None:
    """Lose power, then let a real sender finish with the oracle's log of that moment, and audit the whole."""
    run, log = Path(film.journal).parent, scene.folder / "oracle.log"
    at = chance.randrange(film.opened_at() + 1, len(film.events))
    dotted = {int(path) for kind, path, _ in film.events[:at] if kind == "dot"}
    (run / "checkpoint.journal").write_bytes(_disk_after(film, at, chance))
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
    import json

    event = json.loads(line)
    return event["is"] in {"took", "answered"} and bool(set(event["to"]) & then)
