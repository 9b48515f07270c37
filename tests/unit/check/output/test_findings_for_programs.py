"""Other programs read each finding at its file and line: GitHub Actions as an annotation, code scanners as SARIF."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.check.findings import Finding, Findings
from campaign.check.output.finding_place import finding_place, finding_text
from campaign.check.output.github_annotations import github_annotations
from campaign.check.output.sarif_log import sarif_log
from campaign.config import Settings, load

FILE = """[campaign]
name = "gazette"
from = "news@example.com"

[audience]
source = "people.csv"
[compose]
subject = "News"
html = "letter.html.j2"
root = "art"
[[feedback.source]]
url = "-"
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mail"
    (folder / "art").mkdir(parents=True)
    (folder / "gazette.toml").write_text(FILE, encoding="utf-8")
    (folder / "people.csv").write_text("email\nada@example.com\n", encoding="utf-8")
    (folder / "art" / "letter.html.j2").write_text("<p>Dear reader</p>\n", encoding="utf-8")
    return load(folder / "gazette.toml", {})


@pytest.mark.parametrize(
    ("where", "rows", "place"),
    [
        ("letter.html.j2:14", [3], ("mail/art/letter.html.j2", 14)),
        ("letter.html.j2", [], ("mail/art/letter.html.j2", 0)),
        ("people.csv", [3, 9], ("mail/people.csv", 3)),
        ("HTML part", [7], ("mail/people.csv", 7)),
        ("campaign.from", [], ("mail/gazette.toml", 3)),
        ("compose.subject:1", [2], ("mail/gazette.toml", 8)),
        ("feedback.source", [], ("mail/gazette.toml", 11)),
        ("campaign.not_after", [], ("mail/gazette.toml", 0)),
        ("smtp://relay.example.com:25", [], ("mail/gazette.toml", 0)),
        ("x" * 5000, [], ("mail/gazette.toml", 0)),
        ("", [], ("mail/gazette.toml", 0)),
    ],
)
def test_a_finding_is_placed_in_a_template_the_list_or_the_campaign_file(
    settings: Settings, where: str, rows: list[int], place: tuple[str, int]
) -> None:
    assert finding_place(Finding("error", "c", "m", rows=rows, where=where), settings) == place


def test_rows_of_a_list_without_lines_place_nothing(settings: Settings) -> None:
    audience = settings.audience.model_copy(update={"source": "people.xlsx"})
    spreadsheet = settings.model_copy(update={"audience": audience})
    assert finding_place(Finding("error", "c", "m", rows=[7]), spreadsheet) == ("mail/gazette.toml", 0)


def test_a_file_outside_of_the_current_folder_is_named_by_its_whole_path(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "mail" / "art")
    assert finding_place(Finding("error", "c", "m"), settings).file == str(settings.file)


def some() -> Findings:
    findings = Findings()
    findings.add("error", "no-text", "50 % of it\nis missing.", row=4, where="HTML part", remedy="write one")
    findings.add("warning", "spf-missing", "no SPF record", where="campaign.from", remedy="publish one")
    findings.add("unverified", "links", "whether links lead somewhere", remedy="--links")
    findings.ignore({"spf-missing": "the relay's host sends"})
    return findings


def test_text_has_place_message_rows_and_remedy() -> None:
    [one, *_] = some()
    assert finding_text(one, 0) == "HTML part: 50 % of it\nis missing. · row 4 · write one"
    assert finding_text(Finding("error", "c", "m"), 0) == "m"


def test_github_gets_a_line_for_each_finding_and_a_notice_for_what_is_ignored(settings: Settings) -> None:
    assert list(github_annotations(some(), settings, 2)) == [
        "::error file=mail/people.csv,line=4,title=no-text::HTML part: 50 %25 of it%0Ais missing. · row 4 · write one",
        "::notice file=mail/gazette.toml,title=links::whether links lead somewhere · --links",
        (
            "::notice file=mail/gazette.toml,line=3,title=spf-missing::"
            "ignored (the relay's host sends): campaign.from: no SPF record · publish one"
        ),
    ]


def test_a_file_name_cannot_end_the_properties_of_an_annotation(settings: Settings) -> None:
    odd = settings.file.rename(settings.file.with_name("a,b:c.toml"))
    [line] = list(github_annotations(one_finding(), settings.model_copy(update={"file": odd}), 0))
    assert line.startswith("::error file=mail/a%2Cb%3Ac.toml,title=c::")


def one_finding() -> Findings:
    findings = Findings()
    findings.add("error", "c", "m")
    return findings


def test_sarif_has_a_rule_for_each_code_and_suppresses_what_is_ignored(settings: Settings) -> None:
    log = sarif_log(some(), settings, 2, "1.2.3")
    [run] = log["runs"]
    assert log["version"] == "2.1.0"
    assert run["tool"]["driver"]["version"] == "1.2.3"
    rules = run["tool"]["driver"]["rules"]
    assert [one["id"] for one in rules] == ["no-text", "links", "spf-missing"]
    assert rules[2]["shortDescription"] == {"text": "the domain of the return path has no SPF record"}
    assert [(one["ruleId"], one["ruleIndex"], one["level"]) for one in run["results"]] == [
        ("no-text", 0, "error"),
        ("links", 1, "note"),
        ("spf-missing", 2, "warning"),
    ]
    assert run["results"][0]["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "mail/people.csv"}, "region": {"startLine": 4}}}
    ]
    assert [one.get("suppressions") for one in run["results"]] == [
        None,
        None,
        [{"kind": "external", "justification": "the relay's host sends"}],
    ]


def test_sarif_names_files_by_uri(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = settings.model_copy(update={"file": settings.file.rename(settings.file.with_name("my list.toml"))})
    at = sarif_log(one_finding(), odd, 0, "1")["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert at == {"artifactLocation": {"uri": "mail/my%20list.toml"}}
    monkeypatch.chdir(tmp_path / "mail" / "art")
    at = sarif_log(one_finding(), odd, 0, "1")["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert at["artifactLocation"]["uri"] == (tmp_path / "mail" / "my list.toml").resolve().as_uri()
