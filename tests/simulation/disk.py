"""The simulated disk: real files, every call on which is counted, may fail, and may be undone by a loss of power.

The calls are seen through `torture.calls`, and maps of memory through a class of their own. Until a file is synced,
each of its writes may be kept, dropped, torn or overtaken when power is lost; a rename whose folder was not synced may
be undone.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.simulation.member import CURRENT, is_ghost, watch_descriptors
from torture import calls
from torture.calls import SHORT, Calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.member import Member
    from tests.simulation.world import World

JOURNAL = "checkpoint.journal"
_OF_A_SHARD = re.compile(r"\d+-\d+-\d+\.journal")
PAGE = 4096
#: Files that are refused when an earlier write is lost and a later one is not: they lose their end only.
ORDERED = frozenset({"feedback.jsonl"})
#: What each errno can befall.
BEFALLS = {
    "ENOSPC": {"write", "fallocate"}, "EIO": {"write"}, "EIO on sync": {"sync"}, "short": {"write"},
}  # fmt: skip


@dataclass
class Loose:
    """What is not on disk yet: writes by path (offset, octets), renames (target, what it replaced), removed files.

    Of a removed file, its octets are kept and what of them was not synced.
    """

    writes: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    renames: list[tuple[str, bytes | None]] = field(default_factory=list)
    removed: list[tuple[str, bytes, list[tuple[int, bytes]]]] = field(default_factory=list)


class Disk:
    """The disk of one process. ``die(power)`` ends the process."""

    def __init__(self, world: World, die: Any) -> None:
        self.world, self._die = world, die
        self.loose: Loose = world.loose
        self.failing: dict[str, Any] | None = None
        self.death: tuple[str, bool] | None = None
        #: A member that dies at its next call: who, when, and what kills it.
        self.victim: tuple[Member, str, Callable[[Member], None]] | None = None
        self.operator = False
        self._shadows = world.folder / "shadows"
        self._shadows.mkdir(exist_ok=True)
        self._home, self._runs = str(world.folder), str(world.folder / "runs")

    def install(self) -> None:
        """See every call of this process on files of the ledger, for the rest of its life."""
        calls.die = lambda: self._die(power=self._powerless)
        Calls(str(self.world.folder.parent), self.judge).install()
        watch_descriptors()
        self._see_removals()
        _map(self)

    _powerless = False

    def judge(self, kind: str, path: str, data: bytes) -> str:
        """What becomes of a call: see `torture.calls`."""
        world, name = self.world, os.path.basename(path)
        if kind == "open" or not (path == self._home or path.startswith(self._runs)):
            return ""
        if not self.operator and is_ghost():
            return "EIO"
        if not self.operator:
            world.note(kind, "home" if path == self._home else _steady(name))
            world.passed("disk")
            record = _record(data) if kind == "write" and is_journal(name) else ""
            if record:
                world.passed(f"write {record}")
            elif kind in {"sync", "rename", "remove"}:
                world.passed(kind)
            if (found := self._befallen(kind)) != "":
                if found == "short":
                    self._track(kind, path, data[: max(len(data) // 2, 1)])
                return found
        if self.death is not None:
            return self._last(kind, path, data)
        if self.victim is not None and not self.operator and self.victim[0] is CURRENT.get():
            return self._last_of_member(kind, path, data)
        self._track(kind, path, data)
        return ""

    def _befallen(self, kind: str) -> str:
        failing = self.failing
        if failing is None:
            return ""
        if self.world.clock.true > failing["until"] or failing["left"] <= 0:
            self.failing = None
            return ""
        if kind not in BEFALLS[failing["errno"]]:
            return ""
        failing["left"] -= 1
        self.world.disk_failed = True
        self.world.tell(f"the disk fails: {failing['errno']} at {kind}")
        errno = failing["errno"].partition(" ")[0]
        return "" if errno == "short" and kind != "write" else errno

    def _last(self, kind: str, path: str, data: bytes) -> str:
        """The process dies at this call: before it, half-way, or right after it."""
        when, self._powerless = self.death or ("before", False)
        self.death = None
        if when == "before":
            return calls.DIE
        if when == "torn" and kind == "write":
            self._track(kind, path, data[: len(data) // 2])
            return calls.TEAR
        self._track(kind, path, data)
        if kind == "write":  # at whatever comes next
            self.death = ("before", self._powerless)
            after = self.world.counters.get("step", 0) + 1
            self.world.add("step", after, "death", when="now", power=self._powerless)
            return ""
        return calls.TEAR if kind in {"sync", "rename", "remove"} else ""

    def _last_of_member(self, kind: str, path: str, data: bytes) -> str:
        """A sender, or the run's own process, dies at this call while others live on."""
        assert self.victim is not None
        (member, when, kill), self.victim = self.victim, None
        kill(member)
        if when == "before" or (when == "torn" and kind != "write"):
            return "EIO"
        self._track(kind, path, data[: len(data) // 2] if when == "torn" else data)
        return SHORT if when == "torn" else ""

    def _see_removals(self) -> None:
        """See the removal of journals of shards: until their folder is synced, a loss of power may undo it."""
        unlink = os.unlink

        def seen(path: Any, *args: Any, **more: Any) -> None:
            verdict = ""
            if _OF_A_SHARD.fullmatch(os.path.basename(path)) and os.path.exists(path):
                verdict = self.judge("remove", os.fspath(path), b"")
            if verdict == calls.DIE:
                calls.die()
            if verdict == "EIO":
                raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))
            unlink(path, *args, **more)
            if verdict == calls.TEAR:
                calls.die()

        os.unlink = seen

    def _track(self, kind: str, path: str, data: bytes) -> None:
        loose, witness = self.loose, self.world.witness
        if kind == "write":
            size = _size(path)
            if is_journal(os.path.basename(path)):
                witness.appended(path, data, size)
            loose.writes.setdefault(path, []).append((size, data))
        elif kind == "sync":
            loose.writes.pop(path, None)
            if is_journal(os.path.basename(path)):
                witness.synced(path)
            loose.renames = [one for one in loose.renames if os.path.dirname(one[0]) != path]
            loose.removed = [one for one in loose.removed if os.path.dirname(one[0]) != path]
        elif kind == "rename":
            self._renamed(path)
        elif kind == "remove":
            loose.removed.append((path, Path(path).read_bytes(), loose.writes.pop(path, [])))
        elif kind == "truncate" and is_journal(os.path.basename(path)):
            size = int(data)
            witness.cut(path, size)
            loose.writes[path] = [one for one in loose.writes.get(path, []) if one[0] + len(one[1]) <= size]

    def _renamed(self, target: str) -> None:
        found = Path(target)
        before = found.read_bytes() if found.is_file() else None
        self.loose.renames.append((target, before))
        folder, name = os.path.split(target)
        for path in [one for one in self.loose.writes if one.startswith(f"{folder}/.{name}.")]:
            writes = self.loose.writes.pop(path)
            if os.path.exists(path):  # others are what a killed process left, and are gone
                self.loose.writes[target] = writes
        if target.endswith(".times"):
            self._shadow(target).unlink(missing_ok=True)

    def synced_map(self, path: str, content: bytes) -> None:
        """A map of memory was flushed."""
        self._shadow(path).write_bytes(content)

    def has_shadow(self, path: str) -> bool:
        """Whether it is known what of this map is on disk."""
        return self._shadow(path).exists()

    def _shadow(self, path: str) -> Path:
        folder, name = os.path.split(path)
        return self._shadows / f"{os.path.basename(folder)}+{name}"


def _map(disk: Disk) -> None:
    """Let the pacing files be maps whose flushes are seen."""
    from campaign.delivery.pacing import pacing_file

    class Map(mmap.mmap):
        path = ""

        def __new__(cls, handle: int, size: int) -> Self:
            made = super().__new__(cls, handle, size)
            made.path = os.readlink(f"/proc/self/fd/{handle}")
            if not disk.has_shadow(made.path):
                disk.synced_map(made.path, made[:])
            return made

        def flush(self, *_: int) -> None:
            if not disk.operator:
                disk.world.passed("disk")
            super().flush()
            if disk.world.scenario.power_losses:
                disk.synced_map(self.path, self[:])

    class Module:
        mmap = Map

    pacing_file.mmap = Module  # type: ignore[assignment]


def lose_power(world: World) -> None:
    """Shape the files as a disk might hold them: called when no process is left."""
    dice, loose = world.dice("disk"), world.loose
    for path, content, writes in loose.removed[dice.randint(0, len(loose.removed)) :] if loose.removed else ():
        world.tell(f"the removal of {os.path.basename(path)} is lost")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(content)
        loose.writes[path] = writes
    kept = dice.randint(0, len(loose.renames)) if loose.renames else 0
    for target, before in reversed(loose.renames[kept:]):
        world.tell(f"the rename of {os.path.basename(target)} is lost")
        if os.path.isdir(target):
            shutil.rmtree(target)
        elif before is None:
            Path(target).unlink(missing_ok=True)
        else:
            Path(target).write_bytes(before)
    for path, writes in loose.writes.items():
        if os.path.exists(path) and writes:
            _shape(world, Path(path), writes, dice)
    for shadow in sorted((world.folder / "shadows").iterdir()):
        _lose_pages(world, shadow, dice)
    loose.writes.clear()
    loose.renames.clear()
    loose.removed.clear()
    world.witness.power_lost()


def _shape(world: World, path: Path, writes: list[tuple[int, bytes]], dice: Any) -> None:
    disk = path.read_bytes()
    survivor = bytearray(disk[: writes[0][0]])
    manner = dice.choice(("all", "none", "prefix", "any", "any", "sectors"))
    if path.name in ORDERED:
        manner = "prefix"
    kept = dice.randint(0, len(writes))
    for order, (offset, data) in enumerate(writes):
        stays = {"all": True, "none": False, "prefix": order < kept}.get(manner, dice.random() < 0.6)
        if stays:
            part = data[: dice.randint(1, len(data))] if data and (manner == "sectors" or order == kept) else data
            survivor += bytes(max(offset - len(survivor), 0))
            survivor[offset : offset + len(part)] = part
    if is_journal(path.name):
        world.tell(
            f"of {len(disk) - writes[0][0]} octets not synced, {len(survivor) - writes[0][0]} of {path.name} are left"
        )
    path.write_bytes(bytes(survivor))


def _lose_pages(world: World, shadow: Path, dice: Any) -> None:
    """Each page of a map may be as it was when it was last flushed."""
    folder, _, name = shadow.name.partition("+")
    path = world.folder / "runs" / "pacing" / folder / name
    if path.exists():
        now, then = path.read_bytes(), shadow.read_bytes()
        if len(now) != len(then):
            return
        back = dice.random()
        pages = [then if dice.random() < back else now for _ in range(0, len(now), PAGE)]
        path.write_bytes(b"".join(pages[at // PAGE][at : at + PAGE] for at in range(0, len(now), PAGE)))


def is_journal(name: str) -> bool:
    """Whether this is the name of a journal: of a run, or of a shard."""
    return name == JOURNAL or _OF_A_SHARD.fullmatch(name) is not None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _record(data: bytes) -> str:
    """The kind of the record in a line of the journal."""
    _, found, rest = data.partition(b'"is":"')
    return rest.partition(b'"')[0].decode() if found else ""


def _steady(name: str) -> str:
    """A file's name without what chance put into it."""
    return name.split(".")[1] if name.startswith(".") and name.endswith(".new") else name
