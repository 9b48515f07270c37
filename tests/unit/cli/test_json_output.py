"""Every command has `--json`: stdout is then JSON and nothing else, also when the command fails."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from campaign.cli.json_output import IN_LINES, json_text, wants_json
from campaign.cli.main import COMMANDS, cli, main
from campaign.config import load
from campaign.exit_codes import ExitCode
from campaign.ledger.journal import journal_reader
from campaign.listen import serve
from campaign.model import Outcome, Verdict
from campaign.pipeline import preview
from campaign.pipeline.command_context import Options
from campaign.pipeline.send import send
from campaign.pipeline.workers.upkeep import move_campaign
from campaign.pipeline.workers.upkeep.move_campaign import MovedEdition, MoveResult
from campaign.report.live.event_console import EventConsole
from campaign.report.live.redaction import Redactor
from campaign.report.printed_commands import typeable
from tests.support.sent import SentCampaign

DOCS = Path(__file__).parents[3] / "docs"
FEEDBACK = '[[feedback.source]]\nurl = "maildir:bounces"\n'
Call = Callable[..., tuple[int, list[dict[str, Any]]]]

#: A command line that succeeds, for each command; a command that is not here has no test, so its own test fails.
SUCCEEDS = {
    "init": ["init", "new", "--list", "people.csv", "--yes"],
    "check": ["check", "gazette.toml", "--no-relay"],
    "preview": ["preview", "gazette.toml"],
    "test": ["test", "gazette.toml", "--to", "me@example.com"],
    "send": ["send", "gazette.toml", "--relay", "mailbox"],
    "retry": ["retry", "gazette.toml", "--relay", "mailbox"],
    "status": ["status", "gazette.toml"],
    "set": ["set", "gazette.toml", "rate=20/s"],
    "pause": ["pause", "gazette.toml"],
    "resume": ["resume", "gazette.toml"],
    "stop": ["stop", "gazette.toml"],
    "cancel": ["cancel", "gazette.toml"],
    "collect": ["collect", "gazette.toml"],
    "suppression": ["suppression", "gazette.toml"],
    "forget": ["forget", "gazette.toml", "nobody@example.com"],
    "listen": ["listen", "listen.toml"],
    "move": ["move", "stored.toml"],
    "resolve": ["resolve", "gazette.toml", "--accepted", "accepted.txt"],
    "repair": ["repair", "gazette.toml"],
    "report": ["report", "gazette.toml"],
    "stats": ["stats", "gazette.toml"],
    "explain": ["explain", "75"],
    "schema": ["schema"],
    "unsubscribe-token": ["unsubscribe-token", "gazette.toml", "--open", "TOKEN"],
}
#: One that fails after its options were read, with its exit code.
FAILS = {
    **{name: ([name, "missing.toml"], 78) for name in COMMANDS},
    "init": (["init", "new"], 2),
    "test": (["test", "missing.toml", "--to", "me@example.com"], 78),
    "set": (["set", "missing.toml", "rate=20/s"], 78),
    "forget": (["forget", "missing.toml", "ada@example.com"], 78),
    "resolve": (["resolve", "missing.toml", "--accepted", "accepted.txt"], 78),
    "explain": (["explain", "qqqqq"], 2),
    "schema": (["schema", "surplus"], 2),
    "unsubscribe-token": (["unsubscribe-token", "gazette.toml", "--open", "TOKENS"], 65),
}


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SentCampaign:
    """A campaign with a run through a relay that has one letter of each kind left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bounces" / "new").mkdir(parents=True)
    (tmp_path / "bounces" / "cur").mkdir()
    campaign = SentCampaign(tmp_path)
    left = {"eve@example.com": Verdict.DEFERRED, "bob@example.com": Verdict.REJECTED}
    campaign.send("ada@example.com", "bob@example.com", "eve@example.com", verdicts=left)
    campaign.job(more=FEEDBACK)
    (tmp_path / "listen.toml").write_text("[listen]\n", encoding="utf-8")
    stored = '[ledger]\nstore = "postgresql://campaign@127.0.0.1/campaign"\n'
    (tmp_path / "stored.toml").write_text((tmp_path / "gazette.toml").read_text("utf-8") + stored, encoding="utf-8")
    (tmp_path / "accepted.txt").write_text("<id@example.com>\n", encoding="utf-8")
    return campaign


@pytest.fixture
def called(sent: SentCampaign, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs a command line as a shell would; returns the exit code and every object on stdout."""

    async def accepted(_job: Any, letters: Any, _recipients: Any) -> list[Outcome]:
        return [Outcome(one.number, Verdict.ACCEPTED, "for me@example.com", 250, "2.0.0", "r") for one in letters]

    def moved(settings: Any, *, dry_run: bool) -> MoveResult:
        edition = MovedEdition("two", 1, "20261124T080000Z", dict.fromkeys(Verdict, 1))
        return MoveResult(settings.file, settings.ledger.store, dry_run, 3, [edition])

    monkeypatch.setattr(preview, "_deliver", accepted)
    monkeypatch.setattr(move_campaign, "move", moved)
    monkeypatch.setattr(serve, "run_service", lambda _section, _state, began: began("127.0.0.1", 8025))
    token = sent.unsubscribe_token(sent.newest(), "ada@example.com")
    before = signal.getsignal(signal.SIGTERM)

    def call(*words: str) -> tuple[int, list[dict[str, Any]]]:
        monkeypatch.setattr(sys, "argv", ["campaign", *(token if word == "TOKEN" else word for word in words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), objects(capsys.readouterr().out)

    yield call
    signal.signal(signal.SIGTERM, before)


def objects(text: str) -> list[dict[str, Any]]:
    """All objects of a text that has nothing but objects."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        one, end = decoder.raw_decode(text)
        assert isinstance(one, dict)
        found.append(one)
        text = text[end:]
    return found


def described(heading: str) -> set[str]:
    """The members that docs/json.md has for a command, or an event."""
    page = (DOCS / "json.md").read_text(encoding="utf-8")
    section = re.search(rf"^### [^\n]*`{re.escape(heading)}`[^\n]*\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/json.md has no section for {heading}"
    return {
        name
        for cell in re.findall(r"^\| (`[^|]*`) \|", section[1], re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cell)
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_succeeds_prints_its_documented_members_and_nothing_else(name: str, called: Call) -> None:
    code, found = called(*SUCCEEDS[name], "--json")
    assert code in (0, 3, 4), found
    if name in IN_LINES:
        assert found[-1]["event"] == "end"
        assert found[-1]["exit_code"] == code
        for one in found:
            assert set(one) - {"at", "event"} <= described(one["event"])
        return
    assert len(found) == 1
    if name not in ("schema", "report"):  # each has a schema of its own
        assert set(found[0]) == described(f"campaign {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_fails_prints_one_error_and_nothing_else(name: str, called: Call) -> None:
    words, expected = FAILS[name]
    code, found = called(*words, "--json")
    assert code == expected
    assert len(found) == 1
    error = found[0]["error"]
    assert set(error) == {"what", "evidence", "next_step", "exit_code"}
    assert error["what"]
    assert error["next_step"]
    assert error["exit_code"] == code
    assert (found[0].get("event") == "error") is (name in IN_LINES)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_does_not_exist_is_an_error_in_json(name: str, called: Call) -> None:
    code, found = called(name, "--json", "--no-such-option")
    assert (code, len(found)) == (2, 1)
    assert "--no-such-option" in found[0]["error"]["what"]
    assert found[0]["error"]["next_step"] == typeable(f"campaign {name} --help")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_json_in_its_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert "--json" in {flag for one in command.params for flag in one.opts}
    assert name in SUCCEEDS


def test_a_command_that_does_not_exist_is_an_error_in_json(called: Call) -> None:
    code, found = called("sned", "gazette.toml", "--json")
    assert code == 2
    assert "did you mean" in found[0]["error"]["what"]


def test_an_internal_error_and_a_full_disk_are_errors_in_json(called: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, expected in ((RuntimeError("boom"), 70), (OSError(28, "No space left"), 73), (KeyboardInterrupt(), 130)):

        def fail(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(preview, "preview_letters", fail)
        code, found = called("preview", "gazette.toml", "--json")
        assert code == expected
        assert [one["error"]["exit_code"] for one in found] == [expected]


def test_without_json_an_error_leaves_stdout_empty(called: Call) -> None:
    assert called("send", "missing.toml") == (78, [])


def test_an_error_hides_the_local_part_of_an_address(called: Call) -> None:
    _, found = called("suppression", "gazette.toml", "--release", "ada@example.com", "--json")
    assert "***@example.com" in found[0]["error"]["what"]
    assert "ada@" not in json.dumps(found[0]["error"]["what"])


def test_sending_prints_the_plan_the_progress_and_the_end(called: Call, sent: SentCampaign) -> None:
    code, found = called("send", "gazette.toml", "--relay", "mailbox", "--json")
    assert code == 0
    events = [one["event"] for one in found]
    assert [name for name in events if name != "notice"] == ["planned", "progress", "end"]
    by_name = {one["event"]: one for one in found}
    assert by_name["planned"]["recipients"] == by_name["planned"]["books"]["planned"] == 1
    assert by_name["progress"]["done"] == by_name["progress"]["total"] == 1
    assert by_name["end"]["verdicts"]["accepted"] == 1
    assert Path(by_name["end"]["run"], journal_reader.NAME).exists()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["at"]) for one in found)


def test_nobody_left_is_a_notice_and_an_end_without_a_run(called: Call) -> None:
    called("send", "gazette.toml", "--relay", "mailbox", "--json")
    code, found = called("send", "gazette.toml", "--relay", "mailbox", "--json")
    assert code == 0
    assert [one["event"] for one in found][-2:] == ["notice", "end"]
    assert found[-1]["run"] is None


def test_quiet_leaves_out_progress_and_notices(called: Call) -> None:
    _, found = called("send", "gazette.toml", "--relay", "mailbox", "--json", "--quiet")
    assert [one["event"] for one in found] == ["planned", "end"]


class Lines:
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def console(**options: Any) -> tuple[EventConsole, Lines]:
    stream = Lines()
    return EventConsole(stream=stream, clock=lambda: 0.0, **options), stream  # type: ignore[arg-type]


@pytest.mark.parametrize(("shown", "expected"), [(False, "***@example.com"), (True, "ada@example.com")])
def test_events_mask_secrets_and_show_addresses_only_where_the_file_says_so(shown: bool, expected: str) -> None:
    out, stream = console(redactor=Redactor([b"hush-hush"], addresses=shown))
    out.tell("ada@example.com said hush-hush")
    assert objects(stream.text)[0]["text"] == f"{expected} said [secret]"


def test_of_two_runs_in_one_command_the_first_has_its_own_line() -> None:
    out, stream = console()
    out.ended("", {"exit_code": 4, "run": "a", "verdicts": {}})
    out.ended("", {"exit_code": 0, "run": "b", "verdicts": {}})
    assert out.leave(4) == 4
    first, last = objects(stream.text)
    assert (first["event"], first["run"], first["exit_code"]) == ("run_end", "a", 4)
    assert (last["event"], last["run"], last["exit_code"]) == ("end", "b", 4)


def test_a_reader_that_has_gone_does_not_end_the_run(sent: SentCampaign) -> None:
    out, stream = console()
    stream.write = lambda _: (_ for _ in ()).throw(BrokenPipeError())  # type: ignore[method-assign,assignment]
    assert send(load(sent.file, {}), Options(relay="mailbox"), out) is ExitCode.DONE


def test_a_run_that_a_relay_ended_says_why_in_its_end(called: Call) -> None:
    sent = Path("gazette.toml").read_text(encoding="utf-8")
    Path("gazette.toml").write_text(
        sent.replace('127.0.0.1:9"', '127.0.0.1:1"\nrelay_patience = "0s"'), encoding="utf-8"
    )
    code, found = called("send", "gazette.toml", "--fresh", "--json")
    assert code == 75
    assert found[-1]["event"] == "end"
    assert found[-1]["error"]["what"] == "The relay cannot be reached now."
    assert found[-1]["error"]["next_step"]


def test_json_is_asked_for_before_two_dashes_only() -> None:
    assert wants_json(["check", "a.toml", "--format", "json"])
    assert wants_json(["check", "--format=json"])
    assert not wants_json(["explain", "--", "--json"])
    assert not wants_json(["check", "--format", "sarif"])


def test_json_fits_any_stdout() -> None:
    name = b"\xff.csv".decode("utf-8", "surrogateescape")
    for encoding in ("utf-8", "UTF8", "ascii", "latin-1", None):
        text = json_text({"file": f"bücher 😀 {name}"}, encoding)
        text.encode(encoding or "ascii")
        assert json.loads(text)["file"].startswith("bücher 😀")


def test_a_check_that_cannot_begin_is_an_annotation_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_text("[campaign]\nnme = 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for form in (["--format", "github"], ["--format=github"], ["--format", "sarif"], ["--format", "github", "--json"]):
        monkeypatch.setattr(sys, "argv", ["campaign", "check", "bad.toml", *form])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == ExitCode.BAD_CONFIG
        said = capsys.readouterr().out
        assert said.startswith("::error title=campaign check::bad.toml has ") == ("github" in form[-1])
        assert said.count("\n") == (form[-1] != "sarif")
        assert "did you mean 'name'?" in said or form[-1] == "sarif"
