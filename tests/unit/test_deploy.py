"""The schedules that ship agree with the contract and with the tools that read them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
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
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "CAMPAIGN__LEDGER__MUST_EXIST", "value": "true"} in container["env"]
    assert by_action == {"Ignore": {75, 143}, "FailJob": FOR_A_PERSON}


def test_the_workflow_never_runs_twice_at_once_and_keeps_its_runs() -> None:
    text = (DEPLOY / "github/campaign.yml").read_text()
    job = yaml.safe_load(text)
    assert job["concurrency"]["cancel-in-progress"] is False
    [send] = [step for step in job["jobs"]["send"]["steps"] if step.get("name") == "send"]
    assert send["env"]["CAMPAIGN__LEDGER__MUST_EXIST"] == "true"


def test_the_unit_starts_again_on_75_alone_without_limit() -> None:
    unit = (DEPLOY / "systemd/campaign@.service").read_text()
    assert "RestartForceExitStatus=75\n" in unit
    assert "Restart=no\n" in unit
    assert "StartLimitIntervalSec=0\n" in unit
    assert "SuccessExitStatus=143\n" in unit
    assert "Persistent=false\n" in (DEPLOY / "systemd/campaign@.timer").read_text()


def verified(folder: Path, name: str) -> tuple[int, str]:
    """What systemd says of the units called ``name`` in ``folder``."""
    with tempfile.TemporaryDirectory() as runtime:  # a short path: sockets have no room for pytest's
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", *map(str, folder.glob(f"{name}.*[!d]"))],
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": runtime},
            check=False,
        )
    return done.returncode, done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    for kind in ("service", "timer"):
        shutil.copy(DEPLOY / f"systemd/campaign@.{kind}", tmp_path / f"campaign@x.{kind}")
    assert verified(tmp_path, "campaign@x") == (0, "")


def scheduled(tmp_path: Path, target: str) -> str:
    """Run ``make schedule`` or ``unschedule`` for a campaign in ``tmp_path``; what systemctl was told."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    stub = tmp_path / "bin" / "systemctl"
    stub.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    stub.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{stub.parent}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    command = ["make", "-C", str(DEPLOY.parent), "-o", ".venv/installed", target, f"CAMPAIGN={tmp_path}/gazette.toml"]
    subprocess.run([*command, "WHEN=Tue 09:30"], check=True, capture_output=True, env=environment)
    told = (tmp_path / "told").read_text()
    (tmp_path / "told").unlink()
    return told


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("password", [False, True])
def test_make_schedule_writes_units_that_systemd_reads_and_unschedule_takes_the_timer_away(
    password: bool, tmp_path: Path
) -> None:
    if password:
        (tmp_path / "relay.password").write_text("x")
    assert "--user enable --now campaign@gazette.timer" in scheduled(tmp_path, "schedule")
    units = tmp_path / "config" / "systemd" / "user"
    here = (units / "campaign@gazette.service.d" / "here.conf").read_text()
    assert f'"CAMPAIGN_HOME={tmp_path}"' in here
    assert ("UnsetEnvironment=CAMPAIGN__DELIVERY__PASSWORD_FILE" in here) is not password
    assert "OnCalendar=\nOnCalendar=Tue 09:30\n" in (units / "campaign@gazette.timer.d" / "when.conf").read_text()
    for kind in ("service", "timer"):
        shutil.copy(units / f"campaign@.{kind}", units / f"campaign@gazette.{kind}")
    assert verified(units, "campaign@gazette") == (0, "")
    assert "--user disable --now campaign@gazette.timer" in scheduled(tmp_path, "unschedule")
    assert not list(units.glob("*.d"))


@pytest.mark.parametrize("path", [path for path in DEPLOY.rglob("*") if path.is_file()], ids=lambda path: path.name)
def test_every_command_in_a_schedule_exists(path: Path) -> None:
    for command, options in re.findall(
        r"campaign(?:_BIN:-campaign}\")? (send|retry|status)\b([^\n#'\"]*)", path.read_text()
    ):
        known = {flag for option in cli.get_command(None, command).params for flag in option.opts}  # type: ignore[arg-type]
        assert {word for word in options.split() if word.startswith("--")} <= known
