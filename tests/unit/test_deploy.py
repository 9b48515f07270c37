"""The schedules that ship agree with the contract and with the tools that read them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from campaign.cli.main import cli
from campaign.exit_codes import ExitCode

DEPLOY = Path(__file__).parents[2] / "deploy"
#: What no further start would mend.
FOR_A_PERSON = {int(code) for code in ExitCode} - {0, 75, 130, 143}


def test_the_cluster_starts_again_on_75_and_calls_a_person_on_everything_else() -> None:
    job = yaml.safe_load((DEPLOY / "kubernetes/cronjob.yaml").read_text())
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    rules = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    by_action = {rule["action"]: set(rule["onExitCodes"]["values"]) for rule in rules if "onExitCodes" in rule}
    assert by_action == {"Ignore": {75, 143}, "FailJob": FOR_A_PERSON}


def test_the_workflow_never_runs_twice_at_once_and_keeps_its_runs() -> None:
    text = (DEPLOY / "github/campaign.yml").read_text()
    job = yaml.safe_load(text)
    assert job["concurrency"]["cancel-in-progress"] is False
    assert "must_exist = true" in text


def test_the_unit_starts_again_on_75_alone_without_limit() -> None:
    unit = (DEPLOY / "systemd/campaign@.service").read_text()
    assert "RestartForceExitStatus=75\n" in unit
    assert "Restart=no\n" in unit
    assert "StartLimitIntervalSec=0\n" in unit
    assert "SuccessExitStatus=143\n" in unit
    assert "Persistent=false\n" in (DEPLOY / "systemd/campaign@.timer").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    for kind in ("service", "timer"):
        shutil.copy(DEPLOY / f"systemd/campaign@.{kind}", tmp_path / f"campaign@x.{kind}")
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", *map(str, tmp_path.glob("campaign@x.*"))],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", [path for path in DEPLOY.rglob("*") if path.is_file()], ids=lambda path: path.name)
def test_every_command_in_a_schedule_exists(path: Path) -> None:
    for command, options in re.findall(
        r"campaign(?:_BIN:-campaign}\")? (send|retry|status)\b([^\n#'\"]*)", path.read_text()
    ):
        known = {flag for option in cli.get_command(None, command).params for flag in option.opts}  # type: ignore[arg-type]
        assert {word for word in options.split() if word.startswith("--")} <= known
