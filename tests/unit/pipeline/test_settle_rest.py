"""How a cancelled run ends: its verdicts are on disk before the request is gone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from campaign.delivery.control_file import Control, State, write_control
from campaign.exit_codes import ExitCode
from campaign.ledger.checkpoint import Checkpoint, create
from campaign.ledger.journal.journal_records import Opened
from campaign.model import Verdict
from campaign.pipeline.finish.settle_rest import settle_the_rest
from campaign.pipeline.serve.serve_loop import Ending


def asked(folder: Path) -> State:
    control = Control(folder)
    control.poll(0.0)
    return control.state


def test_a_loss_of_power_cannot_take_back_the_cancelling_and_leave_the_request_fulfilled(tmp_path: Path) -> None:
    create(tmp_path, Opened("gazette", "", "run", 1, 3, "plan", {}, "shape", 1.0, "trace"))
    write_control(tmp_path, state="cancel")
    at_sync: list[tuple[State, int]] = []

    class Watched(Checkpoint):
        def sync(self) -> None:
            super().sync()
            at_sync.append((asked(self.folder), self.history.tally()["cancelled"]))

    checkpoint = Watched(tmp_path)
    run: Any = SimpleNamespace(job=None, folder=tmp_path, history=checkpoint.history, checkpoint=checkpoint)
    ending = Ending({ExitCode.UNFINISHED})
    try:
        settle_the_rest(run, ending)
    finally:
        checkpoint.close()
    assert at_sync[-1] == ("cancel", 3)
    assert asked(tmp_path) == "run"
    assert list(checkpoint.history.numbers(Verdict.CANCELLED)) == [0, 1, 2]
    assert not ending.codes
