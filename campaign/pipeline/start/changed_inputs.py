"""Inputs that changed since a run began: refused, unless the operator accepts them, which is recorded."""

from __future__ import annotations

from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.start.choose_run import (
    ChosenRun,
    refuse_changes,
)
from campaign.pipeline.start.past_runs import fingerprints, refuse_changed_plan


def refuse_changed_inputs(job: Job, options: Options, chosen: ChosenRun) -> None:
    """Refuse to resume with changed inputs unless ``--accept-changes`` is given. Raises ConfigError naming them.

    Called before the journal is opened: a run that has ended would otherwise count as resumed.
    """
    if chosen.history is None:
        return
    refuse_changed_plan(chosen.folder, chosen.history, chosen.plan)
    if not options.accept_changes:
        refuse_changes(chosen.history, fingerprints(job, chosen.composer), job.command("send"), chosen.folder)


def accept_changed_inputs(run: OpenRun, options: Options) -> None:
    """Record the inputs of the remaining letters if the operator accepted changes."""
    current = fingerprints(run.job, run.chosen.composer)
    if options.accept_changes and current != run.history.fingerprints:
        run.checkpoint.accept_changes(current, run.job.domain)
