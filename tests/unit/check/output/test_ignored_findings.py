"""A finding that the campaign file ignores, with a reason, is told with it and does not count."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from campaign.check.findings import Findings
from campaign.check.output.ignored_findings import BREAKS_LETTERS, STOPS_SEND, ignored_findings
from campaign.cli.main import cli
from campaign.config import load
from campaign.errors import ConfigError
from campaign.exit_codes import ExitCode
from campaign.explain.explanation import explanations
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.finish.close_run import settings_in_words

FILE = """
[campaign]
name = "gazette"
from = "news@gmail.com"
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
[delivery]
relay = "smtp://127.0.0.1:1"
[report]
ignore = [{}]
"""


def written(folder: Path, *ignored: tuple[str, str]) -> Path:
    (folder / "people.csv").write_text("email\nada@example.com\n", encoding="utf-8")
    (folder / "letter.txt").write_text("Read http://localhost/news\n", encoding="utf-8")
    lines = ", ".join(f'{{ finding = "{name}", reason = "{reason}" }}' for name, reason in ignored)
    file = folder / "gazette.toml"
    file.write_text(FILE.format(lines), encoding="utf-8")
    return file


def job(folder: Path, *ignored: tuple[str, str]) -> Job:
    return prepare(lay_over(load(written(folder, *ignored), {}), Options()))


def check(file: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["check", str(file), "--no-relay", *words], standalone_mode=False)


def test_an_ignored_finding_is_shown_with_its_reason_and_counts_no_more() -> None:
    findings = Findings()
    findings.add("error", "link-local", "it leads home", row=2)
    findings.add("error", "link-local", "it leads home too", row=3)
    findings.add("warning", "free-mail", "a free provider")
    assert not findings.sound
    findings.ignore({"link-local": "all readers\nare in the building", "spf-missing": "never found"})
    assert findings.sound
    assert [one.code for one in findings] == ["free-mail"]
    assert findings.render_text().endswith("ignored  link-local (all readers\\nare in the building)\n")
    assert findings.counts() == "1 warning, 2 ignored."
    told = findings.render_json()["ignored"]
    assert [(one["code"], one["rows"], one["reason"]) for one in told] == [
        ("link-local", [2], "all readers\nare in the building"),
        ("link-local", [3], "all readers\nare in the building"),
    ]


def test_a_bare_name_is_shown_with_the_reason_that_it_lacks(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text(encoding="utf-8").replace("ignore = []", 'ignore = ["free-mail"]'), encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape('ignore = [{ finding = "free-mail", reason = "why')):
        load(file, {})


def test_what_is_all_ignored_is_not_nothing() -> None:
    findings = Findings()
    findings.add("warning", "free-mail", "a free provider")
    findings.ignore({"free-mail": "ours"})
    assert findings.counts() == "1 ignored."


def test_a_check_does_not_fail_for_an_error_that_is_ignored(tmp_path: Path) -> None:
    assert check(written(tmp_path)).return_value == ExitCode.BAD_CONFIG
    result = check(written(tmp_path, ("link-local", "an intranet"), ("free-mail", "a trial")))
    assert result.return_value == ExitCode.DONE
    assert "ignored  free-mail (a trial), link-local (an intranet)\n" in result.stdout
    assert "2 ignored. Next: " in result.stdout


def test_each_format_is_whole_and_alone_on_standard_output(tmp_path: Path) -> None:
    file = written(tmp_path, ("link-local", "an intranet"))
    sarif = json.loads(check(file, "--format", "sarif").stdout)
    assert {one["ruleId"] for one in sarif["runs"][0]["results"]} >= {"link-local", "free-mail"}
    assert json.loads(check(file, "--json").stdout)["ignored"][0]["reason"] == "an intranet"
    assert json.loads(check(file, "--format", "json").stdout)["sound"]
    lines = check(file, "--format", "github").stdout.splitlines()
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)
    assert len(lines) == len(sarif["runs"][0]["results"])


def test_the_report_of_a_run_repeats_what_is_ignored_and_why(tmp_path: Path) -> None:
    ignored = job(tmp_path, ("free-mail", "a trial"), ("spf-missing", "the host sends"))
    assert settings_in_words(ignored)["ignored findings"] == "free-mail (a trial); spf-missing (the host sends)"
    assert "ignored findings" not in settings_in_words(job(tmp_path))


def test_an_unknown_finding_and_one_for_which_send_stops_are_mistakes(tmp_path: Path) -> None:
    wrong = job(tmp_path, ("spf-mising", "x"), ("zzz", "x"), ("template", "x"), ("bare-line-end", "x"), ("links", "x"))
    with pytest.raises(ConfigError) as caught:
        ignored_findings(wrong)
    assert caught.value.evidence == (
        "spf-mising: no finding has this name; did you mean 'spf-missing'?",
        "zzz: no finding has this name",
        "template: send would stop for it",
        "bare-line-end: such letters must not be sent",
    )
    assert "campaign check" in caught.value.next_step


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_finding_is_not_ignored_without_a_reason(tmp_path: Path, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, ("spf-missing", reason)), {})
    assert caught.value.evidence[0].startswith("report.ignore.0.reason: ")


def test_what_is_never_ignored_can_be_found() -> None:
    assert {one.name for one in explanations() if one.kind == "finding"} >= STOPS_SEND | BREAKS_LETTERS
