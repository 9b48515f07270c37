"""The k-th write, sync, rename or open on the run's files fails, for every k of a small run, and then space is back."""

from __future__ import annotations

from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.scenarios.points import resume
from torture.scene import Scene

PEOPLE = 6
#: Each kind of call, and how it fails.
FAILURES = {
    "write": ("ENOSPC", "EIO", "EDQUOT", "EROFS", "short"), "sync": ("ENOSPC", "EIO", "EDQUOT", "EROFS"),
    "rename": ("ENOSPC", "EIO", "EDQUOT", "EROFS"), "open": ("ENOSPC", "EIO", "EDQUOT", "EROFS"),
}  # fmt: skip
MOST = 400
#: In the short form each call fails in this many of the ways, drawn by the seed; in the long form in all.
WAYS = 2
BLOCK = 12


def cases(kills: int) -> list[Case]:
    """Blocks of consecutive calls of each kind; a block past the last call has nothing to do."""
    ways = WAYS if kills < 1000 else len(FAILURES["write"])
    lengths = {"write": 8, "sync": 4, "rename": 3, "open": 6}
    full = [
        Case(
            "the disk is full until the ballast is given back", f"disk full {at}", full_disk, {"nth": 12 + 7 * at}, 1.5
        )
        for at in range(6)
    ]
    return full + [_block(kind, at, lengths[kind], ways) for kind in FAILURES for at in range(lengths[kind])]


def _block(kind: str, at: int, length: int, ways: int) -> Case:
    last = (at + 1) * BLOCK if at < length - 1 else MOST
    settings = {"kind": kind, "first": at * BLOCK + 1, "last": last, "ways": ways}
    return Case("the k-th write, sync, rename, open fails", f"disk {kind} {at}", failing, settings, BLOCK * ways * 0.5)


def failing(
    bench: Bench, folder: Path, seed: int, tally: Tally, *, kind: str, first: int, last: int, ways: int
) -> None:
    """Every k from ``first`` until no call is left to fail."""
    for nth in range(first, last + 1):
        ways_now = dice(seed, kind, nth).sample(FAILURES[kind], min(ways, len(FAILURES[kind])))
        reached = [_fail(bench, folder / f"{nth}-{how}", tally, kind, nth, how, seed) for how in ways_now]
        if not any(reached):
            return


def _fail(bench: Bench, folder: Path, tally: Tally, kind: str, nth: int, how: str, seed: int) -> bool:
    """One run whose ``nth`` call fails; False when it has fewer calls."""
    chance = dice(seed, kind, nth, how)
    scene = Scene(
        folder, bench.port, range(PEOPLE), connections=2, durability=chance.choice(("process", "power"))
    ).write()
    bench.scene(folder)
    told, stays = folder / "refused.txt", how in {"ENOSPC", "EDQUOT", "EROFS"} and chance.random() < 0.7
    refusal = {
        "under": str(folder / "runs"), "kind": kind, "nth": nth, "how": how, "stays": stays, "told": str(told),
    }  # fmt: skip
    sender = bench.bear(folder, "send", str(scene.file), refuse=refusal)
    code = sender.wait()
    bench.settled()
    what = told.read_text(encoding="utf-8").strip() if told.exists() else ""
    if not what:
        return False
    tally.number += 1
    tally.notes[f"exit {code} after {kind} {how}"] += 1
    words, where = sender.words(), f"{how} at {kind} {nth} ({what}, {'for good' if stays else 'once'})"
    audit.no_traceback(tally, words, sender.said)
    tally.must(code in ({0} if how == "short" else {0, 4, 73, 75}), f"{where}: exit {code}: {words[-400:]}")
    tally.must(
        code != 73 or "cannot be" in words or "could not be" in words, f"{where}: 73 without a sentence: {words[-300:]}"
    )
    audit.midway(tally, scene)
    _no_dot_after(tally, scene, where, what)
    if code in {73, 75}:
        resume(bench, scene, tally, scene.in_doubt)
    else:
        audit.closing(tally, scene)
    return True


def _no_dot_after(tally: Tally, scene: Scene, where: str, what: str) -> None:
    """Where the journal could not be written, no letter beyond those in flight (one a connection) has left."""
    doubts = sum(len(run.doubts) for run in books.read_runs(scene.runs))
    tally.must(doubts <= scene.connections, f"{where}: {doubts} in doubt with {scene.connections} connections")
    if doubts and "checkpoint.journal" not in what:
        tally.broken.append(f"{where}: {doubts} in doubt, although the journal could be written")


def full_disk(bench: Bench, folder: Path, seed: int, tally: Tally, *, nth: int) -> None:
    """From the ``nth`` write to the journal on there is no space, but that of the ballast once it is given back."""
    scene = Scene(folder, bench.port, range(80), connections=10).write()
    bench.scene(folder, delay=(0.03, 0.06), seed=seed)
    refusal = {
        "under": str(folder / "runs"), "kind": "octets", "nth": nth, "how": "ENOSPC", "stays": True,
        "path_ends": "checkpoint.journal", "told": str(folder / "refused.txt"),
    }  # fmt: skip
    sender = bench.bear(folder, "send", str(scene.file), refuse=refusal)
    code = sender.wait()
    bench.settled()
    tally.number += 1
    audit.no_traceback(tally, sender.words(), sender.said)
    tally.must(code == 73, f"exit {code}, not 73: {sender.words()[-300:]}")
    audit.midway(tally, scene)
    doubts = sum(len(run.doubts) for run in books.read_runs(scene.runs))
    tally.must(not doubts, f"{doubts} in doubt, although there was room for the replies in flight")
    bench.faults()
    resume(bench, scene, tally, scene.in_doubt)
