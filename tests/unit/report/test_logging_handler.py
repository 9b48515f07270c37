"""What the stages log reaches the run's log and, if grave, the person; each sentence once in a while."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from campaign.report.live.event_log import open_log
from campaign.report.live.logging_handler import Notices, passed_on


def test_what_a_stage_logs_is_an_event_and_a_warning_is_also_told(tmp_path: Path) -> None:
    told: list[str] = []
    with open_log(tmp_path, "t") as log, passed_on(log, told.append):
        logging.getLogger("campaign.delivery.send.connection_pool").info("%s: connection lost", "relay")
        logging.getLogger("campaign.delivery.send.connection_pool").warning("slower")
        logging.getLogger("campaign.delivery.send.connection_pool").debug("detail")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["event"], line["level"], line["module"]) for line in lines] == [
        ("relay: connection lost", "info", "delivery.send.connection_pool"),
        ("slower", "warning", "delivery.send.connection_pool"),
    ]
    assert told == ["slower"]


def test_the_same_warning_is_told_once_in_ten_seconds(tmp_path: Path) -> None:
    told, now = [], [0.0]
    with open_log(tmp_path, "t") as log:
        notices = Notices(log, told.append, clock=lambda: now[0])
        record = logging.LogRecord("campaign.delivery", logging.WARNING, "", 0, "no answer", None, None)
        for at in (0.0, 9.9, 10.0, 12.0):
            now[0] = at
            notices.emit(record)
    assert told == ["no answer", "no answer"]


def test_afterwards_logging_is_as_it_was(tmp_path: Path) -> None:
    logger = logging.getLogger("campaign")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with open_log(tmp_path, "t") as log, passed_on(log, lambda _: None):
        pass
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
