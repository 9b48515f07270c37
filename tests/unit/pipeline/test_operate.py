"""What `status` and a run's own screen call the state that a run is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from campaign.ledger.journal.journal_records import Opened, VerdictRecord
from campaign.ledger.state.run_state import RunState
from campaign.pipeline.operate.run_standing import state_of
from campaign.report.live.live_state import NAME, LiveState, read_live_state, remove_live_state, write_live_state
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


def test_an_outage_is_the_state_of_a_run_at_work_unless_an_operator_paused_it() -> None:
    found, words = history("accepted", "waiting"), "waiting for smtp://r until 08:02:00 (refused)"
    assert state_of(found, "run", running=True, waiting=words) == ("waiting", words)
    assert state_of(found, "pause", running=True, waiting=words)[0] == "paused"
    assert state_of(found, "run", running=False, waiting=words)[0] == "unfinished"


def test_what_a_run_says_of_itself_is_read_back_and_gone_when_it_leaves(tmp_path: Path) -> None:
    write_live_state(tmp_path, LiveState(12.5, "waiting for smtp://r"))
    assert read_live_state(tmp_path) == LiveState(12.5, "waiting for smtp://r")
    remove_live_state(tmp_path)
    assert not list(tmp_path.iterdir())
    assert read_live_state(tmp_path) == LiveState()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"rate": "x", "waiting": ""}', b"\xff"])
def test_what_cannot_be_read_of_a_run_at_work_is_as_if_it_were_not_there(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / NAME).write_bytes(damage)
    assert read_live_state(tmp_path) == LiveState()


def test_a_folder_that_cannot_be_written_and_a_link_in_it_hold_up_no_run(tmp_path: Path) -> None:
    write_live_state(tmp_path / "gone", LiveState())
    (tmp_path / "other").write_text("mine")
    (tmp_path / f".{NAME}.new").symlink_to(tmp_path / "other")
    write_live_state(tmp_path, LiveState())
    assert (tmp_path / "other").read_text() == "mine"


def test_a_run_that_a_fresh_one_took_over_is_left_behind() -> None:
    assert state_of(history("waiting", abandoned=True), "run", running=False)[0] == "left behind"


def test_a_paused_run_says_so_on_its_own_screen_instead_of_an_estimate() -> None:
    counts = Counts(total=10, accepted=4, paused=True)
    for painted in (line(counts, 2.0), caption(counts, 2.0)):
        assert "paused; campaign resume goes on" in painted
        assert "left" not in painted
