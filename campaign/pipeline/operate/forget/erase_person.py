"""Erasing one person from a ledger's directory, or from copies of runs: the steps, and what is told of them.

Events come first (suppression becomes one by a hash), then in each run the withdrawal of letters that still wait and
the replies in the journal, then all other files, and last the plans, by which the person is found. A plan's line keeps
its number and keyed digests of its key, so books balance, others keep their numbers, and the edition does not serve
the person again.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from campaign.audience.plan.forgotten_rows import PlanErasure, kept_digests, write_forgetful
from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.addresses import address_key
from campaign.errors import DamageError
from campaign.exit_codes import ExitCode
from campaign.ledger import run_folder
from campaign.ledger.forget_recipient import mask_journal, replace_plan
from campaign.ledger.postgres.runs.copy_mark import is_copy
from campaign.ledger.recovery import read_history
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.forget.forgotten_events import erase_events
from campaign.pipeline.operate.forget.known_person import KnownPerson, PlannedLine
from campaign.pipeline.operate.forget.run_files import erase_from_files
from campaign.pipeline.operate.forget.run_secrets import RunSecrets

Withdraw = Callable[[Path, list[int]], None]


class ForgetResult(msgspec.Struct):
    """What was or, if ``dry_run``, would be erased.

    ``counts`` is by kind of thing, ``stored`` the same of a store, if there is one. ``suppressed``: a hash of the
    address goes on suppressing it. ``in_doubt``: letters that stay in doubt. ``listed``: places (file, line) of the
    campaign's own list. ``left``: files below the ledger's directory that still name the person, and why. ``notes``
    are sentences.
    """

    address: str
    dry_run: bool
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    stored: Counter[str] | None = None
    suppressed: bool = False
    in_doubt: int = 0
    listed: list[str] = msgspec.field(default_factory=list)
    left: dict[str, str] = msgspec.field(default_factory=dict)
    notes: list[str] = msgspec.field(default_factory=list)

    @property
    def code(self) -> ExitCode:
        """UNFINISHED if something is left that the same command may erase another time."""
        return ExitCode.UNFINISHED if self.left and not self.dry_run else ExitCode.DONE


class PersonErasure:
    """The steps, and what they found. ``waiting`` are plans with lines of others that must stay as they are.

    ``withdraw`` settles letters that wait; ``withdrawn`` are the runs in which it did. In copies of a store's runs
    nothing is withdrawn: their store says who waits.
    """

    def __init__(self, job: Job, person: KnownPerson, result: ForgetResult, withdraw: Withdraw | None = None) -> None:
        self.result, self.waiting, self.withdrawn = result, set[Path](), list[Path]()
        self._job, self._person, self._dry_run = job, person, result.dry_run
        self._mask, self._withdraw = person.mask, withdraw
        self._secrets = RunSecrets(job, result.notes)
        self._histories: dict[Path, RunState] = {}

    def refuse_damage(self) -> None:
        """Raise DamageError for a damaged journal before anything changes."""
        for run in self._person.lines:
            self._history(run)

    def from_everything(self, runs: Sequence[Path], *, suppressed: bool = False, leave: Collection[Path] = ()) -> None:
        """Erase the person from events, runs and other files below the ledger's directory, in this order.

        ``suppressed``: they stay so, whatever is known here. ``leave`` are runs of which nothing is touched.
        """
        kept = self._all_kept()
        self.result.counts["events"], self.result.suppressed = erase_events(
            self._job.directory, self._job.settings, self._person, suppressed=suppressed, dry_run=self._dry_run
        )
        self._erase(runs, kept, leave)

    def from_runs(self, runs: Sequence[Path]) -> None:
        """Erase the person from runs alone, which are all that lies below the directory."""
        self._erase(runs, self._all_kept(), ())

    def _erase(self, runs: Sequence[Path], kept: Mapping[Path, dict[int, str]], leave: Collection[Path]) -> None:
        counts, directory = self.result.counts, self._job.directory
        for run in runs:
            if run_folder.has_journal(run):
                self._journal(run)
        counts.update(erase_from_files(directory, self._person, dry_run=self._dry_run, leave=leave))
        for run in runs:
            if (run / run_folder.PLAN).exists():
                self._plan(run, kept.get(run, {}))

    def _all_kept(self) -> dict[Path, dict[int, str]]:
        return {run: self._kept(run, lines) for run, lines in self._person.lines.items()}

    def _history(self, run: Path) -> RunState | None:
        if not run_folder.has_journal(run):
            return None
        if run not in self._histories:
            try:
                self._histories[run] = read_history(run)
            except DamageError:
                if not is_copy(run):
                    raise
                return None
        return self._histories[run]

    def _kept(self, run: Path, lines: list[PlannedLine]) -> dict[int, str]:
        """What stands in place of each line's key: how a later row of the person is recognised, and a doubt named."""
        history = self._history(run)
        secret = self._secrets.of(history.opened if history else None)
        kept = {}
        for line in lines:
            doubtful = history is not None and line.number in _doubtful(history)
            name = self._secrets.message_id(history.opened, line.key) if history and doubtful else ""
            kept[line.number] = kept_digests(secret, _keys(line), name)
            self.result.in_doubt += doubtful and not is_copy(run)
        return kept

    def _journal(self, run: Path) -> None:
        numbers = [line.number for line in self._person.lines.get(run, ())]
        history = self._history(run) if numbers and not is_copy(run) else None
        waiting = [number for number in numbers if history is not None and history.is_open(number)]
        self.result.counts["letters withdrawn"] += len(waiting)
        if waiting and not self._dry_run and self._withdraw:
            self._withdraw(run, waiting)
            self._histories.pop(run)
            self.withdrawn.append(run)
        self.result.counts["journal records"] += mask_journal(
            run, self._mask.masked_line, self._mask.masked_reply, numbers, dry_run=self._dry_run
        )

    def _plan(self, run: Path, kept: dict[int, str]) -> None:
        plan = Plan.open(run / run_folder.PLAN)
        done = PlanErasure()
        if kept or _names_them(plan.path, self._person):
            write = partial(self._write_plan, run, plan, kept, done)
            write(_Nowhere())
            if (done.forgotten or done.masked) and not self._dry_run:
                replace_plan(run, write)
        self.result.counts["planned letters"] += done.forgotten
        self.result.counts["values of others"] += done.masked
        if done.left:
            self.waiting.add(plan.path)

    def _write_plan(self, run: Path, plan: Plan, kept: dict[int, str], done: PlanErasure, target: BinaryIO) -> None:
        found = write_forgetful(plan, target, kept, self._mask.masked, partial(self._may_change, run))
        done.forgotten, done.masked, done.left = found.forgotten, found.masked, found.left

    def _may_change(self, run: Path, number: int) -> bool:
        """Whether this letter of somebody else will not be rendered again."""
        history = self._history(run)
        if history is None or history.abandoned:
            return True
        return not (history.is_open(number) or number in _doubtful(history))


def _doubtful(history: RunState) -> set[int]:
    """Recipients who may have a letter that is not recorded as accepted."""
    return {*history.digests, *history.pending, *history.numbers(Verdict.IN_DOUBT)}


def _keys(line: PlannedLine) -> Iterator[str]:
    """The line's key, and the keys that it would have under other settings of the audience."""
    by_address = address_key(line.address)
    yield from (line.key, by_address, address_key(line.address, provider_rules=True))
    yield line.key.removesuffix(f" {by_address}")


def _names_them(path: Path, person: KnownPerson) -> bool:
    mask = person.mask
    with path.open("rb") as file:
        return any(map(mask.found, file))


class _Nowhere(io.BytesIO):
    """A file that keeps nothing of what is written to it."""

    def write(self, data: object) -> int:
        return len(data) if isinstance(data, bytes) else 0
