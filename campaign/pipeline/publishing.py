"""A run's numbers put where machines look: the textfile and the gateway, as far as the campaign asks for them.

Nobody's letter depends on it, so what goes wrong is a sentence for the log and never an error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from campaign.delivery.credentials import read_secret
from campaign.errors import CampaignError, StorageError
from campaign.pipeline.console import Console
from campaign.pipeline.job import Job
from campaign.report.facts import RunFacts
from campaign.report.log import open_log
from campaign.report.metrics import Snapshot, exposition, write_metrics
from campaign.report.notices import passed_on

log = logging.getLogger(__name__)


def is_asked_for(job: Job) -> bool:
    """Whether anybody wants the numbers."""
    return bool(job.settings.report.metrics_file or job.settings.report.push_url)


def publish(job: Job, numbers: Snapshot) -> list[str]:
    """Write and push; what went wrong, in sentences. Blocks for seconds at worst, so not in an event loop."""
    return list(_publish(job, numbers)) if is_asked_for(job) else []


def publish_last(job: Job, folder: Path, facts: RunFacts) -> None:
    """The numbers of a run that has ended; what went wrong goes to its log and to stderr."""
    complaints = publish(job, Snapshot.of(facts))
    if complaints:
        with suppress(StorageError), open_log(folder, facts.trace_id) as lines, passed_on(lines, Console().tell):
            for complaint in complaints:
                log.warning(complaint)


def _publish(job: Job, numbers: Snapshot) -> Iterator[str]:
    settings, text = job.settings.report, ""
    if settings.metrics_file:
        try:
            text = write_metrics(job.settings.base / settings.metrics_file, numbers)
        except StorageError as error:
            yield f"The metrics file could not be written: {' '.join(error.evidence)}"
    if settings.push_url:
        from campaign.report.pushing import Gateway, NotPushedError  # a third of what `campaign status` takes

        try:
            login = read_secret(job.settings.base / settings.push_login_file) if settings.push_login_file else ""
            Gateway(settings.push_url, login).push(text or exposition(numbers), numbers.campaign)
        except (NotPushedError, CampaignError) as error:
            yield f"The metrics could not be pushed to {settings.push_url}: {str(error).splitlines()[0]}"
