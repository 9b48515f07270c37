"""Recipients already served by earlier runs of the edition: `check` leaves them out as `send` does.

It takes no lock and writes nothing: a run may be at work meanwhile.
"""

from __future__ import annotations

from campaign.audience.screening.screen_rows import KeySet
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.start.already_served import screens
from campaign.pipeline.start.choose_run import continues
from campaign.pipeline.start.past_runs import current_generation, newest
from campaign.report.formatting import counted
from campaign.report.live.console import path_text


def served_earlier(job: Job) -> KeySet:
    """The keys that `send` leaves out of a new run. Raises DamageError if a journal cannot be read."""
    return screens(job, max(current_generation(job), 1), retry=False)[0]


def unfinished(job: Job) -> tuple[str, ...]:
    """A sentence if `send` continues a run instead of making one."""
    run, history = newest(job)
    if run is None or history is None or not continues(Options(), history):
        return ()
    left = counted(history.tally()["waiting"] + history.tally()["deferred"], "recipient")
    newcomers = "whoever is new in the list gets a letter by the next send"
    return (f"send continues {path_text(run)}, with {left} to go; {newcomers}",)


def nobody_left_note() -> str:
    """The message when every recipient left in the list was served; their letters are checked nevertheless."""
    return "everybody in the list has been served in this edition: send has nobody to write to"
