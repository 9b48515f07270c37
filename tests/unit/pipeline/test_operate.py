"""What `status` and a run's own screen call the state that a run is in."""

from __future__ import annotations

from typing import Any

import pytest

from campaign.ledger.journal.journal_records import Opened, VerdictRecord
from campaign.ledger.run_state import RunState
from campaign.pipeline.operate.manage import state_of
from campaign.report.live.progress import Counts, caption, line


def history(*verdicts: str, abandoned: bool = False) -> RunState:
    found = RunState(Opened("gazette", "", "run", 1, len(verdicts), "plan", {}, "shape", 1.0, "trace"))
    for number, verdict in enumerate(verdicts):
        if verdict != "waiting":
            found.apply(VerdictRecord(number, verdict, 2.0))
    found.abandoned = abandoned
    return found


@pytest.mark.parametrize(
    ("verdicts", "wish", "running", "state"),
    [
        (("accepted", "waiting"), "run", True, "running"),
        (("accepted", "waiting"), "pause", True, "paused"),
        (("accepted", "waiting"), "stop", True, "stopping"),
        (("accepted", "waiting"), "cancel", True, "stopping"),
        (("accepted", "waiting"), "run", False, "unfinished"),
        (("accepted", "waiting"), "pause", False, "paused"),
        (("accepted", "waiting"), "stop", False, "stopped"),
        (("accepted", "accepted"), "run", False, "finished"),
        (("accepted", "accepted"), "stop", False, "finished"),
        (("accepted", "cancelled"), "run", False, "cancelled"),
        (("accepted", "expired"), "run", False, "expired"),
    ],
)
def test_a_run_is_called_what_it_is(verdicts: tuple[str, ...], wish: Any, running: bool, state: str) -> None:
    found, reason = state_of(history(*verdicts), wish, running=running)
    assert found == state
    assert bool(reason) == (state not in {"running", "finished"})


def test_a_run_that_a_fresh_one_took_over_is_left_behind() -> None:
    assert state_of(history("waiting", abandoned=True), "run", running=False)[0] == "left behind"


def test_a_paused_run_says_so_on_its_own_screen_instead_of_an_estimate() -> None:
    counts = Counts(total=10, accepted=4, paused=True)
    for painted in (line(counts, 2.0), caption(counts, 2.0)):
        assert "paused; campaign resume goes on" in painted
        assert "left" not in painted
