"""Erasing a person from all that a ledger's directory holds; letters of runs on files that still wait are withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from campaign.errors import ConfigError
from campaign.exit_codes import ExitCode, first_of
from campaign.ledger.shards.shard_reader import shard_journals
from campaign.model import Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.finish.close_run import verdict_codes
from campaign.pipeline.operate.forget.erase_person import ForgetResult, PersonErasure
from campaign.pipeline.operate.forget.known_person import KnownPerson
from campaign.pipeline.operate.manage import checkpoint_of, report

REASON = "erased by campaign forget"


def erase_ledger(
    job: Job, person: KnownPerson, runs: Sequence[Path], result: ForgetResult, *, suppressed: bool = False
) -> set[Path]:
    """Erase the person; returns the plans with lines of others that have to wait. The caller holds the ledger."""
    PersonErasure(job, person, ForgetResult(person.address, dry_run=True)).refuse_damage()
    for run in runs:
        if shard_journals(run) and not result.dry_run:
            with checkpoint_of(run):  # merges what killed senders left, so that one journal holds all
                pass
    erasure = PersonErasure(job, person, result, withdraw)
    erasure.from_everything(runs, suppressed=suppressed)
    for run in erasure.withdrawn:
        with suppress(ConfigError):  # the campaign file is gone; status tells the same from the journal
            report(run)
    return erasure.waiting


def withdraw(run: Path, numbers: list[int]) -> None:
    """Settle recipients that still wait as withdrawn; one who may have a letter already stays in doubt."""
    with checkpoint_of(run) as checkpoint:
        history = checkpoint.history
        ended = history.ended
        for number in numbers:
            if history.is_open(number):
                checkpoint.settle(number, Verdict.WITHDRAWN, REASON)
        codes = verdict_codes(history, "hold")
        if ended and ended.exit_code == ExitCode.HELD and not history.finished:
            codes.add(ExitCode.HELD)
        checkpoint.end(int(first_of(codes)), abandoned=history.abandoned)
