"""The schedules that ship agree with the contract and with the tools that read them."""

from __future__ import annotations

import json
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
from campaign.feedback.event_feeds.amazon import ses_event

DEPLOY = Path(__file__).parents[2] / "deploy"
#: Its files, without what Python has compiled.
WRITTEN = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc")
#: What no further start would correct.
FOR_A_PERSON = {int(code) for code in ExitCode} - {0, 75, 130, 143}


def test_the_cluster_starts_again_on_75_and_calls_a_person_on_everything_else() -> None:
    job = yaml.safe_load((DEPLOY / "kubernetes/cronjob.yaml").read_text())
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    rules = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    by_action = {rule["action"]: set(rule["onExitCodes"]["values"]) for rule in rules if "onExitCodes" in rule}
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "CAMPAIGN__LEDGER__MUST_EXIST", "value": "true"} in container["env"]
    assert by_action == {"Ignore": {75, 143}, "FailJob": FOR_A_PERSON}


def test_workers_in_a_cluster_need_no_volume_and_are_started_again_unless_a_person_must_look() -> None:
    job = yaml.safe_load((DEPLOY / "kubernetes/workers.yaml").read_text())
    assert (job["kind"], job["spec"]["parallelism"], "completions" in job["spec"]) == ("Job", 8, False)
    pod = job["spec"]["template"]["spec"]
    rules = job["spec"]["podFailurePolicy"]["rules"]
    by_action = {rule["action"]: set(rule["onExitCodes"]["values"]) for rule in rules if "onExitCodes" in rule}
    assert by_action == {"Ignore": {75, 143}, "FailJob": FOR_A_PERSON - {73}}  # 73: the store is away
    assert pod["terminationGracePeriodSeconds"] == 60
    assert "volumes" not in pod
    [container] = pod["containers"]
    assert "volumeMounts" not in container
    assert {variable["name"] for variable in container["env"]} >= {
        "CAMPAIGN__LEDGER__STORE",
        "CAMPAIGN__LEDGER__DIRECTORY",
        "CAMPAIGN_STORE_PASSWORD",
        "CAMPAIGN_SECRET",
    }


def test_a_worker_unit_takes_its_campaign_from_its_name_and_starts_again_unless_a_person_must_look(
    tmp_path: Path,
) -> None:
    unit = (DEPLOY / "systemd/campaign-worker@.service").read_text()
    assert "Restart=on-failure\n" in unit
    assert "StartLimitIntervalSec=0\n" in unit
    assert "SuccessExitStatus=143\n" in unit
    never = re.search(r"^RestartPreventExitStatus=(.+)$", unit, re.MULTILINE)
    assert never is not None
    assert {int(code) for code in never[1].split()} == FOR_A_PERSON - {73}
    line = re.search(r"^ExecStart=/bin/sh -c '(.+)'$", unit, re.MULTILINE)
    assert line is not None
    script = line[1].replace("%i", "the-gazette-2").replace("%%", "%").replace("$$", "$")  # as systemd reads it
    environment = {"CAMPAIGN_BIN": "echo", "CAMPAIGN_HOME": "/home/x", "PATH": os.environ["PATH"]}
    said = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=True).stdout
    assert said == "send /home/x/the-gazette.toml --no-wait\n"


def test_the_workflow_never_runs_twice_at_once_and_keeps_its_runs() -> None:
    text = (DEPLOY / "github/campaign.yml").read_text()
    job = yaml.safe_load(text)
    assert job["concurrency"]["cancel-in-progress"] is False
    [send] = [step for step in job["jobs"]["send"]["steps"] if step.get("name") == "send"]
    assert send["env"]["CAMPAIGN__LEDGER__MUST_EXIST"] == "true"


def test_what_comes_back_is_collected_hourly_by_every_scheduler_and_75_alarms_nobody() -> None:
    job = yaml.safe_load((DEPLOY / "kubernetes/collect.yaml").read_text())
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    rules = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    by_action = {rule["action"]: set(rule["onExitCodes"]["values"]) for rule in rules if "onExitCodes" in rule}
    assert by_action == {"Ignore": {75, 143}, "FailJob": FOR_A_PERSON}
    assert "SuccessExitStatus=75 143\n" in (DEPLOY / "systemd/campaign-collect@.service").read_text()
    assert "OnCalendar=hourly\n" in (DEPLOY / "systemd/campaign-collect@.timer").read_text()
    assert "17 * * * *        cd" in (DEPLOY / "cron/campaign.cron").read_text()


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
        for name in ("campaign", "campaign-collect"):
            shutil.copy(DEPLOY / f"systemd/{name}@.{kind}", tmp_path / f"{name}@x.{kind}")
    assert verified(tmp_path, "campaign@x") == (0, "")
    shutil.copy(DEPLOY / "systemd/campaign-worker@.service", tmp_path / "campaign-worker@x-1.service")
    assert verified(tmp_path, "campaign-collect@x") == (0, "")
    assert verified(tmp_path, "campaign-worker@x-1") == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_reads_the_unit_of_the_listener_and_finds_it_shut_off(tmp_path: Path) -> None:
    unit = (DEPLOY / "listen/campaign-listen.service").read_text()
    program = re.search(r"^ExecStart=(\S+)", unit, re.MULTILINE)
    assert program is not None
    file = tmp_path / "campaign-listen.service"
    file.write_text(unit.replace(program[1], "/bin/true"))
    assert verified(tmp_path, "campaign-listen") == (0, "")
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0  # 2.0 of 10


def test_in_lambda_the_function_may_only_store_and_the_user_only_fetch() -> None:
    class Tagged(yaml.SafeLoader):
        """Takes what CloudFormation works out as plain text."""

    Tagged.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))
    text = (DEPLOY / "listen/lambda/listen.yaml").read_text()
    resources = yaml.load(text, Tagged)["Resources"]

    def rights(name: str) -> set[str]:
        (policy,) = resources[name]["Properties"]["Policies"]
        found = [one["Action"] for one in policy["PolicyDocument"]["Statement"]]
        return {right for one in found for right in ([one] if isinstance(one, str) else one)}

    assert rights("Role") == {"s3:PutObject"}
    assert rights("Collector") == {"s3:ListBucket", "s3:GetObject", "s3:DeleteObject"}
    assert resources["Function"]["Properties"]["ReservedConcurrentExecutions"] > 0


#: Notes what it is told, and fails at the one command that is named in FAILS.
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$TOLD"
case "$*" in *" $FAILS"*) echo 'Failed to connect to bus: No medium found' >&2; exit 1 ;; esac
"""


def run_make(tmp_path: Path, target: str, *words: str, fails: str = "(none)") -> tuple[int, str, str]:
    """``make TARGET`` for a campaign in ``tmp_path``: its exit code, what systemctl was told, what was printed."""
    stub = tmp_path / "bin" / "systemctl"
    stub.parent.mkdir(exist_ok=True)
    stub.write_text(SYSTEMCTL)
    stub.chmod(0o755)
    (tmp_path / "told").write_text("")
    environment = {
        **os.environ,
        "PATH": f"{stub.parent}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TOLD": str(tmp_path / "told"),
        "FAILS": fails,
    }
    command = ["make", "-C", str(DEPLOY.parent), "-o", ".venv/installed", target, f"CAMPAIGN={tmp_path}/gazette.toml"]
    done = subprocess.run([*command, *words], check=False, capture_output=True, text=True, env=environment)
    return done.returncode, (tmp_path / "told").read_text(), done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    (tmp_path / "gazette.toml").touch()
    return tmp_path / "config" / "systemd" / "user"


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("password", [False, True])
def test_make_schedule_writes_units_that_systemd_reads_and_unschedule_takes_the_timer_away(
    password: bool, tmp_path: Path, units: Path
) -> None:
    if password:
        (tmp_path / "relay.password").write_text("x")
    code, told, said = run_make(tmp_path, "schedule", "WHEN=Tue 09:30")
    assert code == 0
    assert "--user enable campaign@gazette.timer\n--user restart campaign@gazette.timer" in told
    assert "loginctl enable-linger" in said
    here = (units / "campaign@gazette.service.d" / "here.conf").read_text()
    assert f'"CAMPAIGN_HOME={tmp_path}"' in here
    assert ("UnsetEnvironment=CAMPAIGN__DELIVERY__PASSWORD_FILE" in here) is not password
    assert (f"LoadCredential=\nLoadCredential=relay:{tmp_path}/relay.password" in here) is password
    assert "OnCalendar=\nOnCalendar=Tue 09:30\n" in (units / "campaign@gazette.timer.d" / "when.conf").read_text()
    for kind in ("service", "timer"):
        shutil.copy(units / f"campaign@.{kind}", units / f"campaign@gazette.{kind}")
    assert verified(units, "campaign@gazette") == (0, "")
    (tmp_path / "gazette.toml").unlink()
    assert "--user disable --now campaign@gazette.timer" in run_make(tmp_path, "unschedule")[1]
    assert not list(units.glob("*.d"))


@pytest.mark.parametrize("fails", ["daemon-reload", "enable", "restart"])
def test_a_schedule_that_fails_leaves_nothing_behind(fails: str, tmp_path: Path, units: Path) -> None:
    code, told, said = run_make(tmp_path, "schedule", fails=fails)
    assert code == 2
    assert not (tmp_path / "config").exists()
    assert "othing was scheduled" in said
    assert ("loginctl enable-linger" in said) is (fails == "daemon-reload")
    assert ("disable --now campaign@gazette.timer" in told) is (fails != "daemon-reload")


@pytest.mark.parametrize("fails", ["daemon-reload", "enable"])
def test_a_schedule_that_fails_keeps_the_one_of_before(fails: str, tmp_path: Path, units: Path) -> None:
    assert run_make(tmp_path, "schedule", "WHEN=Tue 09:30")[0] == 0
    (units / "other.timer").touch()
    before = contents(units)
    code, told, _ = run_make(tmp_path, "schedule", "WHEN=Wed 10:00", fails=fails)
    assert code == 2
    assert contents(units) == before
    assert "disable" not in told


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_a_time_that_systemd_does_not_know_is_no_schedule(tmp_path: Path, units: Path) -> None:
    code, _, said = run_make(tmp_path, "schedule", "WHEN=Mondays at 8")
    assert code == 2
    assert 'WHEN="Mondays at 8" is no time that systemd knows' in said
    assert not units.exists()


def test_a_campaign_of_the_same_name_elsewhere_keeps_its_timer(tmp_path: Path, units: Path) -> None:
    other = tmp_path / "two words" / "gazette.toml"
    other.parent.mkdir()
    other.touch()
    assert run_make(tmp_path, "schedule", f"CAMPAIGN={other}")[0] == 0
    before = contents(units)
    assert f'"CAMPAIGN_HOME={other.parent}"' in before["campaign@gazette.service.d/here.conf"]
    code, _, said = run_make(tmp_path, "schedule")
    assert code == 2
    assert f"campaign@gazette.timer already stands for {other}" in said
    assert contents(units) == before


@pytest.mark.parametrize("name", ["missing.toml", "two words.toml", "letters.csv"])
def test_what_cannot_be_a_unit_is_refused_before_anything_is_written(name: str, tmp_path: Path, units: Path) -> None:
    if name != "missing.toml":
        (tmp_path / name).touch()
    code, told, said = run_make(tmp_path, "schedule", f"CAMPAIGN={tmp_path}/{name}")
    assert (code, told) == (2, "")
    assert name in said
    assert "Next: " in said


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_every_command_in_a_schedule_exists(path: Path) -> None:
    for command, options in re.findall(
        r"campaign(?:_BIN:-campaign}\")? (send|retry|status|collect)\b([^\n#'\"]*)", path.read_text()
    ):
        known = {flag for option in cli.get_command(None, command).params for flag in option.opts}  # type: ignore[arg-type]
        assert {word for word in options.split() if word.startswith("--")} <= known


def test_the_template_for_amazon_publishes_the_events_that_are_read_and_gives_the_rights_that_the_page_shows() -> None:
    loader = type("CloudFormation", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda loader, _, node: getattr(loader, f"construct_{node.id}")(node))
    template = yaml.load((DEPLOY / "amazon" / "feedback.yaml").read_text(), loader)
    made = {name: one["Properties"] for name, one in template["Resources"].items()}
    published = made["Destination"]["EventDestination"]["MatchingEventTypes"]
    assert {one.lower() for one in published} == {one.replace(" ", "").lower() for one in ses_event._READERS}
    [right] = made["Reader"]["Policies"][0]["PolicyDocument"]["Statement"]
    page = (DEPLOY.parent / "docs" / "feedback-ses.md").read_text()
    [shown] = json.loads(page.partition("```json\n")[2].partition("```")[0])["Statement"]
    assert (right["Effect"], right["Action"]) == (shown["Effect"], shown["Action"])
