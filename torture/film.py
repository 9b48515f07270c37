"""The recording of a run, call by call, and what a disk may hold of it when the power goes at one of these calls.

Of each journal everything synced is there; each later write is there, or is a hole, or is there in part. A name is on
the disk once its folder was synced; a rename or a removal after that has happened or not.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Growing:
    """A file as it was written, and the writes that were not synced, by offset."""

    data: bytearray = field(default_factory=bytearray)
    loose: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        """Append."""
        self.loose.append((len(self.data), data))
        self.data += data

    def verdicts(self) -> int:
        """How many verdicts were not synced."""
        return sum(data.count(b'"is":"verdict"') for _, data in self.loose)

    def after_loss(self, chance: random.Random) -> bytes:
        """Keep, drop or tear each write that was not synced; the file is as long as its last surviving octet."""
        survivor = bytearray(self.data[: self.loose[0][0]] if self.loose else self.data)
        manner = chance.choice(("all", "none", "prefix", "any", "any", "sectors"))
        kept = chance.randint(0, len(self.loose))
        for order, (offset, data) in enumerate(self.loose):
            stays = {"all": True, "none": False, "prefix": order < kept}.get(manner, chance.random() < 0.6)
            if not stays:
                continue
            part = data[: chance.randint(1, len(data))] if manner == "sectors" or order == kept else data
            survivor += bytes(max(offset - len(survivor), 0))
            survivor[offset : offset + len(part)] = part
        return bytes(survivor)


@dataclass
class Disk:
    """The journals of a run at one moment. ``unsure``: names whose making or removal was not synced yet."""

    files: dict[str, Growing] = field(default_factory=dict)
    gone: dict[str, Growing] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)

    def play(self, kind: str, path: str, data: bytes) -> None:
        """One more call."""
        name = Path(path)
        match kind:
            case "write":
                self.files.setdefault(path, Growing()).write(data)
            case "sync" if path in self.files:
                self.files[path].loose.clear()
            case "sync":
                self.unsure = {one for one in self.unsure if Path(one).parent != name}
                self.gone = {one: file for one, file in self.gone.items() if Path(one).parent != name}
            case "rename":
                made = [one for one in self.files if Path(one).name.startswith(f".{name.name}.")]
                for one in made[-1:]:
                    self.files[path] = self.files.pop(one)
                    self.unsure.add(path)
            case "unlink" if path in self.files:
                self.gone[path] = self.files.pop(path)
                self.unsure.discard(path)

    def after_loss(self, chance: random.Random) -> dict[str, bytes]:
        """The journals that are there when the power is back, by their paths."""
        there = {path: file for path, file in self.files.items() if path not in self.unsure or chance.random() < 0.5}
        there.update({path: file for path, file in self.gone.items() if chance.random() < 0.5})
        return {path: file.after_loss(chance) for path, file in there.items() if path.endswith(".journal")}


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

    @property
    def run(self) -> Path:
        """The run's folder."""
        return Path(self.journal).parent

    def begins(self) -> int:
        """The first event after which the journal has its name on the disk."""
        renamed = next(n for n, (kind, path, _) in enumerate(self.events) if kind == "rename" and path == self.journal)
        synced = (n for n, (kind, path, _) in enumerate(self.events) if kind == "sync" and path == str(self.run))
        return next(n for n in synced if n > renamed) + 1

    def disk_at(self, at: int) -> Disk:
        """The disk just before event ``at``, as the processes see it."""
        disk = Disk()
        for event in self.events[:at]:
            disk.play(*event)
        return disk

    def dotted(self, at: int) -> set[int]:
        """The recipients whose dot had left before event ``at``."""
        return {int(path) for kind, path, _ in self.events[:at] if kind == "dot"}

    def reserved(self, at: int) -> set[int]:
        """The recipients who may have been taken before event ``at``, by the frontiers of all journals."""
        found: set[int] = set()
        for kind, path, data in self.events[:at]:
            if kind == "write" and b'"is":"frontier"' in data:
                until = json.loads(data[9:])["until"]
                _, first, beyond = _span(Path(path).stem, until)
                found.update(range(first, min(until, beyond)))
        return found


def _span(stem: str, until: int) -> tuple[int, int, int]:
    """Shard, first recipient and the one beyond the last, from a journal's name; the run's own has all."""
    parts = stem.split("-")
    return (int(parts[0]), int(parts[1]), int(parts[2])) if len(parts) == 3 else (0, 0, until)


def put(run: Path, journals: dict[str, bytes]) -> None:
    """Replace the journals in the folder of a run by these."""
    for old in run.glob("shards/*"):
        old.unlink()
    for path, data in journals.items():
        Path(path).parent.mkdir(exist_ok=True, mode=0o700)
        Path(path).write_bytes(data)
