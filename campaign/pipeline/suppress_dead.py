"""Addresses that a relay called dead: from the journal, which is told first, into ``suppressed.csv``.

A process may end between the two, and a full disk or a loss of power may take lines of the list. So it is completed
from the journal whenever a run is opened or closed; where nothing is missing, nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.suppression_list import Suppression
from campaign.ledger import dead_addresses, run_folder
from campaign.ledger.journal.journal_records import VerdictRecord
from campaign.ledger.run_state import RunState
from campaign.pipeline.command_context import Job


def suppress(job: Job, plan: Plan, verdicts: Iterable[VerdictRecord], *, sync: bool = False) -> None:
    """Add the addresses of these verdicts; with ``sync`` the whole list is on disk afterwards. Raises StorageError."""
    name = job.settings.campaign.name
    dead = [
        dead_addresses.DeadAddress(
            plan.recipient(one.number).address, one.reason, one.enhanced or str(one.code), one.at, name
        )
        for one in verdicts
    ]
    dead_addresses.add(job.directory, dead, sync=sync)


def suppress_missing(job: Job, run: Path, history: RunState) -> None:
    """Add what the run's journal tells of and the list lacks, durably. Raises StorageError.

    A rehearsal tells nothing about any address.
    """
    if not history.dead or history.rehearsal:
        return
    plan, listed = Plan.open(run / run_folder.PLAN), _listed(job)
    missing = [one for one in history.dead.values() if not listed.covers(plan.recipient(one.number).address)]
    suppress(job, plan, missing, sync=True)


def _listed(job: Job) -> Suppression:
    """The addresses in ``suppressed.csv``, without the campaign's own lists: other campaigns do not read those."""
    audience = job.settings.audience.model_copy(update={"suppress": []})
    return Suppression.load(audience, job.settings.base, extra_files=(job.directory / dead_addresses.NAME,))
