"""Publishing a run's metrics to the textfile and the gateway, as far as the campaign asks for them.

No letter depends on it, so failures become sentences for the log and never errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.delivery.credentials.login import read_secret
from campaign.errors import CampaignError, ConfigError, StorageError
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.suppression_view import runs_in
from campaign.report.facts import RunFacts
from campaign.report.live.console import Console
from campaign.report.live.event_log import open_log
from campaign.report.live.logging_handler import passed_on

if TYPE_CHECKING:  # loaded for a campaign that asks for metrics
    from campaign.report.telemetry.metrics import Snapshot

log = logging.getLogger(__name__)


def is_asked_for(job: Job) -> bool:
    """Whether the campaign asks for metrics."""
    return bool(job.settings.report.metrics_file or job.settings.report.push_url)


def refuse_unpublishable(job: Job) -> None:
    """Raise ConfigError if the campaign asks for metrics and their library is not installed."""
    if is_asked_for(job):
        from campaign.report.telemetry.metrics import require_metrics_library

        require_metrics_library()


def publish(job: Job, numbers: Snapshot) -> list[str]:
    """Write and push; returns failures as sentences. Blocks for seconds at worst, so not in an event loop."""
    try:
        refuse_unpublishable(job)
    except ConfigError as error:  # installed when the run began, and gone since
        return [f"{error.what} {error.next_step}"]
    from campaign.report.telemetry.metrics import exposition, write_metrics

    return _put(job, lambda path: write_metrics(path, numbers), lambda: exposition(numbers))


def publish_idle(job: Job, at: float) -> list[str]:
    """Publish that no recipient was left at ``at``, which is a success too; returns failures as sentences."""
    if not is_asked_for(job):
        return []
    from campaign.report.telemetry.metrics import note_success, success

    name = job.settings.campaign.name
    return _put(job, lambda path: note_success(path, name, at), lambda: success(name, at))


def publish_last(job: Job, folder: Path, facts: RunFacts) -> None:
    """Publish the metrics of a run that has ended; failures go to its log and to stderr."""
    if not is_asked_for(job):
        return
    from campaign.report.telemetry.metrics import Snapshot

    complaints = publish(job, Snapshot.of(facts))
    if complaints:
        with suppress(StorageError), open_log(folder, facts.trace_id) as lines, passed_on(lines, Console().tell):
            for complaint in complaints:
                log.warning(complaint)


def began_since(job: Job, at: float) -> bool:
    """Whether a run of the campaign, other than a rehearsal, began after ``at``, in POSIX seconds."""
    with suppress(CampaignError):  # what is damaged there holds up its own edition
        return any(began > at for _, began in runs_in(job.directory)(job.settings.campaign.name))
    return False


def _put(job: Job, write: Callable[[Path], str], text: Callable[[], str]) -> list[str]:
    """Push what ``write`` put into the textfile, or ``text`` if there is none."""
    settings, written, complaints = job.settings.report, "", []
    if settings.metrics_file:
        try:
            written = write(job.settings.base / settings.metrics_file)
        except StorageError as error:
            complaints.append(f"The metrics file could not be written: {' '.join(error.evidence)}")
    if settings.push_url and (why := _push(job, written or text())):
        complaints.append(f"The metrics could not be pushed to {settings.push_url}: {why}")
    return complaints


def _push(job: Job, text: str) -> str:
    """Push ``text`` to the gateway; returns the reason of a failure, or ``""``."""
    from campaign.report.telemetry.pushgateway import (  # a third of the time that `campaign status` has
        Gateway,
        NotPushedError,
    )

    settings = job.settings.report
    try:
        login = read_secret(job.settings.base / settings.push_login_file, "login") if settings.push_login_file else ""
        Gateway(settings.push_url, login).push(text, job.settings.campaign.name)
    except (NotPushedError, ConfigError) as error:
        return str(error).splitlines()[0]
    return ""
