"""An auditor's own reading of what a sender left behind: journals, plans, summaries and the oracle's log.

Reads the files as docs describe them, with none of the product's code, so that an error in its replay cannot hide
itself.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Run:
    """One run folder: numbers to addresses, what the journal says last of each, intents, and who was ever in doubt."""

    folder: Path
    planned: dict[int, str] = field(default_factory=dict)
    verdicts: dict[int, str] = field(default_factory=dict)
    intents: dict[int, list[str]] = field(default_factory=dict)
    doubts: dict[int, int] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    torn: bool = False
    finished: bool = False
    rehearsal: bool = False
    left: list[Path] = field(default_factory=list)  # journals of shards that were not merged and removed

    def tally(self) -> dict[str, int]:
        """Verdict -> how many."""
        counts: dict[str, int] = {}
        for verdict in self.verdicts.values():
            counts[verdict] = counts.get(verdict, 0) + 1
        return counts


@dataclass(slots=True)
class Oracular:
    """What the oracle wrote: letters taken per address (Message-ID, hash, size), answers, and broken envelopes."""

    taken: dict[str, list[tuple[str, str, int]]] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    lost: list[dict[str, Any]] = field(default_factory=list)
    broke: list[dict[str, Any]] = field(default_factory=list)

    @property
    def copies(self) -> int:
        """All letters taken."""
        return sum(map(len, self.taken.values()))


def read_oracle(log: Path) -> Oracular:
    """The oracle's log, from its beginning."""
    found = Oracular()
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        event = json.loads(line)
        match event["is"]:
            case "took":
                for address in event["to"] or [""]:
                    found.taken.setdefault(address, []).append((event["id"], event["sha"], event["size"]))
            case "answered":
                for address in event["to"]:
                    found.answered[address] = found.answered.get(address, 0) + event["reply"].startswith("2")
            case "lost":
                found.lost.append(event)
            case "broke":
                found.broke.append(event)
    return found


def read_runs(edition: Path, *, rehearsals: bool = False) -> list[Run]:
    """All runs of an edition that have a journal, in the order they were opened; or all rehearsals, which serve nobody.

    A rehearsal is one by its first line, and only as long as no later line says otherwise.
    """
    found = [read_run(journal.parent) for journal in edition.glob("*/checkpoint.journal")]
    runs = [run for run in found if run.rehearsal == rehearsals]
    return sorted(runs, key=lambda run: (run.records[0]["at"] if run.records else 0.0, run.folder.name))


def read_run(folder: Path) -> Run:
    """One run folder, replayed."""
    run = Run(folder)
    for line in (folder / "plan.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if isinstance(entry, list):
            run.planned[entry[0]] = entry[2]
            run.verdicts[entry[0]] = "waiting"
    pending: dict[int, str] = {}
    merges = Merges()
    for record in _records(folder / "checkpoint.journal", run):
        run.records.append(record)
        merges.take(record)
        _replay(run, record, pending)
    for record in _of_shards(run, merges):
        run.records.append(record)
        _replay(run, record, pending)
    for number in pending:
        _doubt(run, number)
    return run


@dataclass(slots=True)
class Merges:
    """How many lines of each shard's journal are in the run's own by now, and which shards are whole in it."""

    seen: dict[int, int] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)
    _shard: int = 0
    _due: int = 0
    _closed: bool = False

    def take(self, record: dict[str, Any]) -> None:
        """One more record of the run's own journal; a merge that was torn has fewer lines than it announces."""
        if record["is"] == "merged":
            self._shard, self._due, self._closed = record["shard"], record["lines"], record.get("closed", False)
        elif self._due and record["is"] in {"intent", "verdict"}:
            self._due -= 1
            self.seen[self._shard] = self.seen.get(self._shard, 0) + 1
        if self._closed and not self._due:
            self.whole.add(self._shard)


def _of_shards(run: Run, merges: Merges) -> Iterator[dict[str, Any]]:
    """What killed senders wrote and nobody merged yet: a torn last line of theirs is none, and no damage."""
    journals = {int(path.name.split("-")[0]): path for path in (run.folder / "shards").glob("*.journal")}
    for shard, path in sorted(journals.items()):
        run.left.append(path)
        if shard in merges.whole:
            continue
        told = [one for one in _records(path, Run(run.folder)) if one["is"] in {"intent", "verdict"}]
        yield from told[merges.seen.get(shard, 0) :]


def _replay(run: Run, record: dict[str, Any], pending: dict[int, str]) -> None:
    number: int = record.get("number", -1)
    match record["is"]:
        case "intent":
            pending[number] = record["sha256"]
            run.intents.setdefault(number, []).append(record["sha256"])
        case "verdict":
            interrupted = pending.pop(number, None)
            if record["verdict"] == "in_doubt" and (interrupted or run.verdicts[number] != "in_doubt"):
                _doubt(run, number)
            run.verdicts[number] = record["verdict"]
        case "opened":
            run.rehearsal = "rehearsal" in record["fingerprints"]
        case "changed":
            run.rehearsal = run.rehearsal and "rehearsal" in record["fingerprints"]
        case "ended":
            run.finished = True
        case "started":
            run.finished = False


def _doubt(run: Run, number: int) -> None:
    run.doubts[number] = run.doubts.get(number, 0) + 1
    run.verdicts[number] = "in_doubt"


def _records(path: Path, run: Run) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        if len(line) < 10 or line[:8] != f"{zlib.crc32(line[9:]):08x}".encode():
            run.torn = True
            return
        yield json.loads(line[9:])


def called_dead(edition: Path) -> set[str]:
    """The addresses that the journals of all runs call dead; those of rehearsals are no word of any relay."""
    return {
        run.planned[record["number"]]
        for run in read_runs(edition)
        for record in run.records
        if record["is"] == "verdict" and record.get("dead")
    }


def suppressed(runs: Path) -> list[str]:
    """The addresses in suppressed.csv, in order."""
    path = runs / "suppressed.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row["address"] for row in csv.DictReader(file)]


def listed_doubts(run: Path) -> list[str]:
    """The addresses in in-doubt.csv."""
    path = run / "in-doubt.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [next((cell for name, cell in row.items() if "address" in name), "") for row in csv.DictReader(file)]


def summary(run: Path) -> dict[str, Any]:
    """summary.json."""
    return dict(json.loads((run / "summary.json").read_text(encoding="utf-8")))
