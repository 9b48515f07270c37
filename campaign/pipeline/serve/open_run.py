"""A run that this process holds: the campaign, the run's folder and plan, and its checkpoint, open for writing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from campaign.audience.plan.plan_reader import Plan
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.state.run_state import RunState
from campaign.pipeline.command_context import Job
from campaign.pipeline.start.choose_run import ChosenRun
from campaign.system.own_files import refuse_foreign


class OpenRun(msgspec.Struct, frozen=True):
    """What everything that serves or closes a run starts from."""

    job: Job
    chosen: ChosenRun
    checkpoint: Checkpoint

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.chosen.folder

    @property
    def plan(self) -> Plan:
        """Its frozen list of recipients."""
        return self.chosen.plan

    @property
    def history(self) -> RunState:
        """Where each recipient stands; kept up to date by the checkpoint."""
        return self.checkpoint.history


@contextlib.contextmanager
def open_run(job: Job, chosen: ChosenRun) -> Iterator[OpenRun]:
    """The run with its checkpoint, locked while the block runs. Raises DamageError, StorageError, UnfinishedError."""
    refuse_foreign(job.directory, chosen.folder)
    checkpoint = Checkpoint(chosen.folder, durability=job.settings.ledger.durability, history=chosen.history)
    try:
        yield OpenRun(job, chosen, checkpoint)
    finally:
        checkpoint.close()
