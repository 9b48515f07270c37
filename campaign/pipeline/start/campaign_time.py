"""The time of a campaign: nothing is sent before ``not_before`` or after ``not_after``."""

from __future__ import annotations

import time

from campaign.config import Settings
from campaign.errors import ConfigError, UnfinishedError
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.start.choose_run import (
    continues,
)
from campaign.pipeline.start.past_runs import clear_unbegun, newest
from campaign.report.live.console import Console, path_text


def is_late(settings: Settings) -> bool:
    """Whether ``not_after`` has passed."""
    moment = settings.campaign.not_after
    return moment is not None and time.time() >= moment.timestamp()


def refuse_late(job: Job, options: Options) -> None:
    """Raise ConfigError if ``not_after`` has passed, so that no stale newsletter goes out after an outage.

    An unfinished run is continued nevertheless, so that the rest of it expires.
    """
    if not is_late(job.settings):
        return
    clear_unbegun(job)
    _, history = newest(job)
    if history is None or options.run or not continues(options, history):
        raise ConfigError(
            "The time for this campaign is over, so nothing is sent.",
            evidence=f"campaign.not_after = {job.settings.campaign.not_after}",
            next_step=f"set a later not_after in {path_text(job.settings.file)} if it should still go out",
        )


def wait_for_start(settings: Settings, options: Options, console: Console) -> None:
    """Sleep until ``not_before``; with ``--no-wait`` raise UnfinishedError instead."""
    moment = settings.campaign.not_before
    if moment is None or time.time() >= moment.timestamp():
        return
    if not options.wait:
        raise UnfinishedError(
            "The time for this campaign has not come.",
            evidence=f"campaign.not_before = {moment.isoformat()}",
            next_step="run the same command again then, or without --no-wait to have it wait",
        )
    console.say(f"waiting until {moment.isoformat()} (campaign.not_before)")
    while (left := moment.timestamp() - time.time()) > 0:
        time.sleep(min(left, 60.0))
