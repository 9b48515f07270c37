"""Holds what the sender wrote against what the oracle saw, and counts: lost, extra, extra that no doubt foretold.

The invariants of `docs/guarantee.md`, each with a sentence for when it does not hold. Pure reading; nothing is
started here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from torture import books
from torture.books import Oracular, Run
from torture.scene import Scene

#: Verdicts with which a recipient may end without having got a letter.
NO_LETTER = frozenset({"rejected", "unrenderable", "withdrawn", "cancelled", "expired"})


@dataclass
class Tally:
    """One case in numbers, and what did not hold."""

    scenario: str
    number: int = 0
    kills: int = 0
    open_kills: int = 0
    letters: int = 0
    lost: int = 0
    extra: int = 0
    unpredicted: int = 0
    doubts: int = 0
    broken: list[str] = field(default_factory=list)
    evidence: str = ""
    seconds: float = 0.0
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Sum up."""
        for name in ("number", "kills", "open_kills", "letters", "lost", "extra", "unpredicted", "doubts", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.broken += other.broken
        for note, count in other.notes.items():
            # A note that begins with "most" is a maximum, all others are counts.
            self.notes[note] = max(self.notes[note], count) if note.startswith("most") else self.notes[note] + count

    def must(self, holds: bool, sentence: str) -> None:
        """Note a sentence where something does not hold."""
        if not holds:
            self.broken.append(sentence)


@dataclass
class People:
    """What is known of each address, over all runs of the edition."""

    verdict: dict[str, str] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    doubts: Counter[str] = field(default_factory=Counter)
    intents: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: list[Run]) -> People:
        """The last word on everybody; runs come oldest first."""
        people = cls()
        for run in runs:
            for number, address in run.planned.items():
                people.verdict[address] = run.verdicts[number]
                people.doubts[address] += run.doubts.get(number, 0)
                people.intents.setdefault(address, []).extend(run.intents.get(number, []))
                if run.verdicts[number] == "accepted":
                    people.accepted.add(address)
        return people


def midway(tally: Tally, scene: Scene, *, intents_kept: bool = True) -> None:
    """What must hold at any moment, also right after a kill: whoever has a letter is accepted or in doubt."""
    people = People.of(books.read_runs(scene.runs))
    _seen_letters(tally, people, books.read_oracle(scene.folder / "oracle.log"), intents_kept=intents_kept)


def closing(
    tally: Tally,
    scene: Scene,
    *,
    resent: bool = False,
    unserved: int = 0,
    intents_kept: bool = True,
    doubts_stay: bool = False,
) -> None:
    """What must hold when the sender says that it is done.

    ``resent``: doubts were sent again. ``unserved``: how many may end without a letter. ``intents_kept``: no power
    was lost under ``durability = "process"``, which may take unsynced intents with it, and no journal was damaged.
    ``doubts_stay``: not all could be sent again.
    """
    runs, oracle = books.read_runs(scene.runs), books.read_oracle(scene.folder / "oracle.log")
    people = People.of(runs)
    _seen_letters(tally, people, oracle, intents_kept=intents_kept)
    _everybody(tally, people, oracle, unserved)
    _copies(tally, people, oracle, resent)
    left = [address for address, verdict in people.verdict.items() if verdict == "in_doubt"]
    tally.must(
        doubts_stay or not (resent and left),
        f"{len(left)} were to be sent again with the same bytes and are still in doubt",
    )
    if runs:
        _reports(tally, runs[-1])
        left = [path.name for path in runs[-1].folder.glob("shards/*")]
        tally.must(not left, f"the run is over, and shards/ holds {left[:3]}")
    tally.letters += oracle.copies


def _seen_letters(tally: Tally, people: People, oracle: Oracular, *, intents_kept: bool = True) -> None:
    for address, copies in oracle.taken.items():
        verdict, doubts = people.verdict.get(address), people.doubts[address]
        if verdict is None:
            tally.must(False, f"{address} was never planned and has {len(copies)} letters")
            continue
        known = address in people.accepted or verdict == "in_doubt" or doubts > 0
        tally.must(known, f"{address} has a letter, and the journal says {verdict} without a doubt")
        intents = people.intents[address]
        if intents_kept:
            tally.must(len(copies) <= len(intents), f"{address} has {len(copies)} letters of {len(intents)} intents")
            tally.must({sha for _, sha, _ in copies} <= set(intents), f"{address} has bytes that no intent names")
        tally.must(all(size > 50 for _, _, size in copies), f"{address} has an empty letter")
        tally.must(len({(one, sha) for one, sha, _ in copies}) == 1, f"{address} has copies that differ: {copies}")


def _everybody(tally: Tally, people: People, oracle: Oracular, unserved: int) -> None:
    without = 0
    for address, verdict in people.verdict.items():
        served = address in oracle.taken
        if (address in people.accepted and not served) or (verdict in {"waiting", "deferred"}):
            tally.lost += 1
            tally.broken.append(f"{address} is lost: the journal says {verdict}, the oracle has {served * 1} letters")
        without += verdict in NO_LETTER
        tally.doubts += verdict == "in_doubt" or people.doubts[address] > 0
    tally.must(without <= unserved, f"{without} people ended without a letter, {unserved} may have")
    identities = Counter(copies[0][0] for copies in oracle.taken.values())
    shared = [one for one, count in identities.items() if count > 1]
    tally.must(not shared, f"Message-IDs shared by several people: {shared[:3]}")


def _copies(tally: Tally, people: People, oracle: Oracular, resent: bool) -> None:
    for address, copies in oracle.taken.items():
        extra = len(copies) - 1
        foretold = people.doubts[address] if resent else 0
        tally.extra += extra
        if extra > foretold:
            tally.unpredicted += extra - foretold
            tally.broken.append(f"{address} got {extra} extra copies, {foretold} were foretold by doubts")


def _reports(tally: Tally, run: Run) -> None:
    try:
        told = books.summary(run.folder)
    except (OSError, ValueError) as error:
        tally.broken.append(f"summary.json cannot be read: {error}")
        return
    reported = {verdict: count for verdict, count in told["verdicts"].items() if count}
    tally.must(reported == run.tally(), f"summary.json says {reported}, the journal {run.tally()}")
    tally.must(bool(told["balanced"]), f"the books do not balance: {told['complaints']}")
    listed = sorted(books.listed_doubts(run.folder))
    doubtful = sorted(run.planned[number] for number, verdict in run.verdicts.items() if verdict == "in_doubt")
    tally.must(listed == doubtful, f"in-doubt.csv lists {len(listed)}, the journal has {len(doubtful)} in doubt")


def no_traceback(tally: Tally, words: str, where: Path) -> None:
    """Whatever happens is told in a sentence."""
    tally.must("Traceback (most recent call last)" not in words, f"a traceback in {where}")


def expected_code(verdicts: dict[str, int], policy: str) -> int:
    """The exit code that a finished run's verdicts ask for (contract: 4 before 3 before 0)."""
    failed = any(verdicts.get(verdict) for verdict in ("rejected", "unrenderable", "cancelled", "expired"))
    if verdicts.get("in_doubt") and policy != "skip":
        return 4
    return 3 if failed or verdicts.get("in_doubt") else 0
