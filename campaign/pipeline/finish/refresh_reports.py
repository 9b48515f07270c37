"""Writing the reports again of those runs whose report does not show all that has come back.

Whether one does is seen in its `summary.json`, which counts the events that it shows. So nothing has to be remembered
between two commands, and a process that is killed on the way leaves the rest to the next one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from campaign.errors import CampaignError, ConfigError
from campaign.ledger import run_folder
from campaign.model import FeedbackEvent
from campaign.pipeline.operate.manage import report
from campaign.pipeline.operate.run_standing import is_running
from campaign.pipeline.operate.suppress_dead import SOURCE
from campaign.report.summary import NAME


def refresh_reports(directory: Path, events: Iterable[FeedbackEvent]) -> tuple[int, list[CampaignError]]:
    """Write them again from ``events``, all those below ``directory``; how many, and what kept some from being written.

    A run that a process is serving is passed over, as its report is written when it ends. So is one whose folder or
    campaign file is gone.
    """
    written, failures = 0, []
    for name, count in events_of_runs(events).items():
        run = directory / name
        try:
            if run_folder.has_journal(run) and shown_events(run) != count and not is_running(run):
                report(run)
                written += 1
        except ConfigError:
            continue
        except CampaignError as error:
            failures.append(error)
    return written, failures


def events_of_runs(events: Iterable[FeedbackEvent]) -> Counter[str]:
    """How many events name each run, refusals in the session left out."""
    return Counter(event.run for event in events if event.run and event.source != SOURCE)


def shown_events(run: Path) -> int:
    """How many events the run's summary shows; -1 where there is no summary that can be read."""
    try:
        summary = json.loads((run / NAME).read_text(encoding="utf-8"))
        return int((summary.get("feedback") or {}).get("events", 0))
    except (OSError, ValueError, AttributeError, TypeError):
        return -1
