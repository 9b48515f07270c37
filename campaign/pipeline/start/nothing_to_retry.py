"""What `campaign retry` says when nobody of the edition is left to be tried again."""

from __future__ import annotations

from campaign.pipeline.command_context import Job
from campaign.pipeline.start.already_served import FAILED
from campaign.pipeline.start.past_runs import current_generation, served


def nothing_to_retry(job: Job, rows: str) -> str:
    """Whether nobody failed or nobody who failed is left, where the ``rows`` went, and the command for the others."""
    tallies = [history.tally() for history, _ in served(job, current_generation(job))]
    if not tallies:
        return f"Nobody is left to be served again: this edition has no run yet.\n  {rows}\nNext: {job.command('send')}"
    if not sum(tally[verdict] for tally in tallies for verdict in FAILED):
        text = "Nobody is left to be served again: nobody failed in this edition."
    else:
        text = "Nobody is left to be served again: whoever failed in this edition was served later, or is left out now."
    following = f"{job.command('send')} serves whoever is new in the list; with --again, everybody once more"
    return f"{text}\n  {rows}\nNext: {following}"
