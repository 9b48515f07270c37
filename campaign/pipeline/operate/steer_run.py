"""Steers a run for an operator, and says when the request takes effect; a run that is over is refused.

`control.json` belongs to one run folder, so a request to a run that is over would have no effect, not even on the next
run. A run with letters in doubt can be continued by `--in-doubt resend` or a retry; then the request counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from campaign.errors import ConfigError
from campaign.ledger.recovery import read_history
from campaign.ledger.state.run_state import RunState
from campaign.pipeline.operate.manage import steer
from campaign.pipeline.operate.run_standing import bring_up_to_date, is_running, state_of
from campaign.report.live.console import path_text

LATER = "no process serves this run now; it takes effect when `campaign send` continues this run"
WITH_DOUBTS = "this run is finished; it takes effect if its letters in doubt are sent again"


def steer_unfinished(run: Path, **changes: Any) -> str:
    """Steer ``run``; returns when that takes effect, "" for now. Raises ConfigError if the run is over."""
    bring_up_to_date(run)
    history = None if is_running(run) else read_history(run)
    if history and run_is_over(history):
        raise ConfigError(
            "This run is over, so nothing of it can be steered.",
            evidence=f"{path_text(run)} is {state_of(history, 'run', running=False)[0]}",
            next_step="set rate and connections of the next run in the campaign file, or steer it once it has begun: "
            "campaign send FILE",
        )
    if steer(run, **changes):
        return ""
    return WITH_DOUBTS if history and history.finished else LATER


def stop_unless_over(run: Path) -> str:
    """Stop ``run`` unless it is over; returns what has become of it, for people."""
    bring_up_to_date(run)
    if not is_running(run) and run_is_over(read_history(run)):
        return "this run is over: there is nothing to stop"
    later = steer_unfinished(run, state="stop")
    return f"stopped; {later}" if later else "stopped"


def run_is_over(history: RunState) -> bool:
    """Whether no command continues this run, so that no request to it can take effect."""
    closed = history.finished and history.ended is not None and not history.digests
    return history.abandoned or closed
