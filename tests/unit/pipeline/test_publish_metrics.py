"""Metrics and spans whose libraries are not installed: check and send say so first; a run at work goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from campaign.cli.main import cli
from campaign.config import load
from campaign.errors import ConfigError
from campaign.pipeline.command_context import Job, prepare
from campaign.pipeline.operate.publish_metrics import publish
from campaign.report.telemetry.metrics import Snapshot

FILE = """
[campaign]
name = "hello"
from = "News <news@example.com>"
[audience]
source = "list.csv"
[compose]
subject = "Hello"
text = "body.txt"
[delivery]
relay = "mailbox"
[report]
{report}
"""


def job(folder: Path, report: str) -> Job:
    (folder / "list.csv").write_text("email\nada@example.com\n", encoding="utf-8")
    (folder / "body.txt").write_text("Hello", encoding="utf-8")
    (folder / "hello.toml").write_text(FILE.format(report=report), encoding="utf-8")
    return prepare(load(folder / "hello.toml", {}))


@pytest.mark.parametrize("command", ["check", "send"])
@pytest.mark.parametrize(
    ("report", "library", "extra"),
    [
        ('metrics_file = "hello.prom"', "prometheus_client", "metrics"),
        ('push_url = "http://127.0.0.1:9"', "prometheus_client", "metrics"),
        ('traces = "otlp"', "opentelemetry.sdk.trace", "otel"),
    ],
)
def test_a_missing_library_is_told_before_a_run_begins(
    command: str, report: str, library: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(tmp_path, report)
    monkeypatch.setitem(sys.modules, library, None)
    if extra == "otel":
        monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=rf"pip install '\.\[{extra}\]'"):
        CliRunner().invoke(cli, [command, str(tmp_path / "hello.toml")], catch_exceptions=False, standalone_mode=False)
    assert not [*tmp_path.rglob("plan.jsonl")]


def test_a_library_that_went_away_meanwhile_is_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = Snapshot("hello", "", "R1", "0" * 32, at=1.0, started=0.0, planned=1, verdicts={"accepted": 1})
    asked = job(tmp_path, 'metrics_file = "hello.prom"')
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    (complaint,) = publish(asked, numbers)
    assert complaint == "Metrics need a library that is not installed. pip install '.[metrics]'"
