"""What a check makes of settings, of limits, of rows and of what the inspections yield; and that its page tells all."""

from __future__ import annotations

import ast
import datetime as dt
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from campaign.audience.plan.plan_reader import Plan
from campaign.check.config_checks import check_settings, check_survey
from campaign.check.findings import Findings
from campaign.check.finish_time import check_time, first_day, span_of
from campaign.check.letters import render_all
from campaign.check.letters.render_all import LetterChecks
from campaign.check.list_warnings import Survey
from campaign.check.run_checks import CheckOptions, check
from campaign.check.template_checks import Missing, missing_names
from campaign.cli.check import Place, check_command
from campaign.compose.composer import Brief, Composer
from campaign.config import load
from campaign.config.compose import ComposeSection
from campaign.model import Books, Identity, Mailbox, Recipient
from campaign.pipeline.command_context import Job, prepare
from campaign.report.live.console import Console
from campaign.report.live.step_progress import StepProgress, step_standing

ROOT = Path(__file__).parents[3]
NOW = 1_800_000_000.0
FILE = """
[campaign]
name = "hello"
from = "News <news@example.com>"
{campaign}
[audience]
source = "list.csv"
{audience}
[compose]
subject = "Hello"
text = "body.txt"
{compose}
[delivery]
{delivery}
"""


def job(folder: Path, *, campaign: str = "", audience: str = "", compose: str = "", delivery: str = "") -> Job:
    text = FILE.format(campaign=campaign, audience=audience, compose=compose, delivery=delivery)
    (folder / "hello.toml").write_text(text, encoding="utf-8")
    return prepare(load(folder / "hello.toml", {}), environment={"CAMPAIGN_SECRET": "0" * 32})


def plan(size: int) -> Plan:
    return Plan(Path("plan.jsonl"), ("email",), ("text",), ("email",), "list.csv", Books(size, planned=size), size)


def codes(findings: Findings) -> list[str]:
    return [one.code for one in findings]


# -- settings


@pytest.mark.parametrize(
    ("settings", "size", "found"),
    [
        ({}, 99, []),
        ({}, 100, ["no-unsubscribe"]),
        ({"compose": 'headers = {"Auto-Submitted" = "auto-generated"}'}, 100, []),
        ({"compose": 'unsubscribe = "https://example.com/{{ unsubscribe_token }}"'}, 100, []),
        ({"compose": 'unsubscribe_mailto = "out@example.com"'}, 100, ["no-unsubscribe"]),
        ({"campaign": 'return_path = "bounces@example.com"'}, 1, []),
        ({"campaign": 'return_path = "b@bounces.example.com"'}, 1, []),
        ({"campaign": 'return_path = "bounces@example.net"'}, 1, ["return-path"]),
        ({"campaign": 'return_path = "bounce+{token}@example.com"'}, 1, []),
        ({"campaign": 'return_path = "bounce+{token}@example.net"'}, 1, ["return-path"]),
        ({"delivery": 'relay = "smtp://127.0.0.1"\nprocesses = 3\nconnections = 2'}, 1, ["idle-processes"]),
        ({"delivery": 'relay = "smtp://127.0.0.1"\nprocesses = 3\nconnections = 3'}, 1, []),
        ({"delivery": 'relay = "smtp://127.0.0.1"\nprocesses = "auto"\nconnections = 1'}, 1, []),
        ({"delivery": 'relay = "mailbox"\nprocesses = 3\nconnections = 1'}, 1, []),
    ],
)
def test_settings_are_judged(settings: dict[str, str], size: int, found: list[str], tmp_path: Path):
    findings = Findings()
    check_settings(job(tmp_path, **settings), plan(size), findings)
    assert codes(findings) == found


@pytest.mark.parametrize(
    ("relay", "signed", "found"),
    [("ses:eu-west-1", True, ["relay-rewrites"]), ("ses:eu-west-1", False, []), ("sendgrid", True, [])],
)
def test_what_the_relay_rewrites_is_said_where_a_signature_leaves_it_out(
    relay: str, signed: bool, found: list[str], tmp_path: Path
):
    key = 'dkim = { domain = "example.com", selector = "s1", key_file = "dkim.pem" }'
    one, findings = job(tmp_path, delivery=f'relay = "{relay}"', compose=key if signed else ""), Findings()
    check_settings(one, plan(1), findings)
    assert codes(findings) == found
    assert all("Date and Message-ID" in finding.message for finding in findings)
    assert one.brief(("name",), 1).rewritten == (("Date", "Message-ID") if relay.startswith("ses") else ())


def test_from_at_a_free_provider_wants_that_providers_relay(tmp_path: Path):
    for relay, found in (("mailbox", ["free-mail"]), ("gmail", [])):
        one = job(tmp_path, delivery=f'relay = "{relay}"')
        campaign = one.settings.campaign.model_copy(update={"sender": Mailbox("", "club@gmail.com")})
        settings = one.settings.model_copy(update={"campaign": campaign})
        findings = Findings()
        check_settings(Job(settings, "", one.directory, one.folder, one.secret), plan(1), findings)
        assert codes(findings) == found


# -- time


@pytest.mark.parametrize(
    ("delivery", "letters", "seconds"),
    [
        ("", 1000, None),
        ('rate = "10/s"', 1000, 100),
        ('rate = ["10/s", "100/day"]', 1000, 9 * 86400),
        ('domain_rate = { "example.com" = "1/s" }', 1000, 400),
        (
            'rate = "10/s"\ndomain_rate = { two = "1/s" }\ndomain_groups = { two = ["example.com", "example.net"] }',
            1000,
            700,
        ),
        ('ramp = "1/s..3/s over 100s"', 200, 100),
        ('ramp = "1/s..3/s over 100s"', 800, 300),
        ('ramp = "2/s..2/s over 100s"', 100, 50),
        ('rate = "1/s"\nramp = "1/s..3/s over 100s"', 800, 800),
    ],
)
def test_the_least_time_a_run_takes_is_that_of_its_slowest_limit(
    delivery: str, letters: int, seconds: float | None, tmp_path: Path
):
    span = span_of(job(tmp_path, delivery=delivery), letters, {"example.com": 400, "example.net": 300}, NOW)
    assert span.seconds == (None if seconds is None else pytest.approx(seconds, rel=0.02))


def test_a_preset_brings_its_limits(tmp_path: Path):
    assert span_of(job(tmp_path, delivery='relay = "gmail"'), 10, {}, NOW).rate != "no limit"
    assert span_of(job(tmp_path, delivery='relay = "gmail"\nrate = "1/s"'), 10, {}, NOW).rate == "1/s"


@pytest.mark.parametrize(
    ("relays", "seconds"),
    [("3, 1", 74.0), ("1, 1", 49.0), ("1, 0", 99.0), ("1, 1, 1, 1", 24.0)],
)
def test_relays_by_weight_take_their_time_side_by_side(relays: str, seconds: float, tmp_path: Path) -> None:
    written = ", ".join(
        f'{{ url = "smtp://127.0.0.{n}", weight = {one} }}' for n, one in enumerate(relays.split(", "), 1)
    )
    span = span_of(job(tmp_path, delivery=f'relay = [{written}]\nrate = "1/s"'), 100, {}, NOW)
    assert (span.seconds, span.rate) == (pytest.approx(seconds, abs=1), "1/s")


def test_a_preset_of_a_small_share_can_be_what_takes_longest(tmp_path: Path) -> None:
    relays = 'relay = [{ url = "u@gmail", weight = 1 }, { url = "smtp://127.0.0.1", weight = 9 }]'
    span = span_of(job(tmp_path, delivery=relays), 1000, {}, NOW)
    assert span.seconds == pytest.approx(99, abs=1)
    assert span_of(job(tmp_path, delivery='relay = "nosuch"'), 10, {}, NOW).rate == "no limit"


@pytest.mark.parametrize(
    ("delivery", "letters"),
    [
        ("", (4000, 3000)),
        ('rate = "10/s"', (4000, 3000)),
        ('rate = "3500/day"', (2000, 1500)),
        ('rate = "3500/2day"', (2000, 1500)),
        ('rate = ["1/s", "35000/10day"]', (4000, 3000)),
        ('domain_rate = { "example.com" = "100/h" }', (2400, 3000)),
        (
            'domain_rate = { two = "3500/day" }\ndomain_groups = { two = ["example.com", "example.net"] }',
            (2000, 1500),
        ),
        ('rate = "3500/day"\ndomain_rate = { "example.net" = "50/h" }', (2000, 1200)),
        ('ramp = "0.5/h..1/h over 2day"', (8.571, 6.429)),
        ('ramp = "60/h..180/h over 12h"', (2057.1, 1542.9)),
        (
            'rate = "1400/day"\nrelay = [{ url = "smtp://[::1]", weight = 1 }, { url = "smtp://[::2]", weight = 3 }]',
            (1066.7, 800),
        ),
    ],
)
def test_the_first_day_gets_as_many_letters_as_the_limits_let_through(
    delivery: str, letters: tuple[float, float], tmp_path: Path
):
    found = first_day(job(tmp_path, delivery=delivery).settings.delivery, {"example.com": 4000, "example.net": 3000})
    assert tuple(found.values()) == pytest.approx(letters, rel=0.01)


@pytest.mark.parametrize(
    ("not_before", "not_after", "found"),
    [(None, 101, []), (None, 99, ["outlasts"]), (50, 101, ["outlasts"]), (50, 151, []), (None, -1, ["too-late"])],
)
def test_a_run_must_end_in_time(not_before: int | None, not_after: int, found: list[str], tmp_path: Path):
    def at(seconds: int) -> str:
        return f"{dt.datetime.fromtimestamp(NOW + seconds, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"

    times = f"not_after = {at(not_after)}" + (f"\nnot_before = {at(not_before)}" if not_before else "")
    one, findings = job(tmp_path, campaign=times, delivery='rate = "10/s"'), Findings()
    check_time(one, span_of(one, 1000, {}, NOW), findings)
    assert codes(findings) == found


# -- templates


def test_undeclared_variables_are_read_from_the_error_about_them():
    evidence = [
        "a/b.html.j2:3: plan (did you mean place?)",
        "c.txt:7: plan",
        "compose.subject:1: naam (did you mean name?)",
        "columns: email, name",
        "always there: campaign",
    ]
    assert missing_names(evidence) == [
        Missing("plan", ("a/b.html.j2:3", "c.txt:7"), "did you mean place?"),
        Missing("naam", ("compose.subject:1",), "did you mean name?"),
    ]
    assert missing_names(["a.html:3", "looked in /x"]) == []


# -- letters


def walk(folder: Path, body: str, subject: str = "Hello", **settings: Any) -> tuple[LetterChecks, Any]:
    """A walk over letters of this template, and how to feed it rows."""
    (folder / "body.txt").write_text(body, encoding="utf-8")
    compose = ComposeSection(subject=subject, text="body.txt", **settings)
    brief = Brief(
        Identity("hello", "", 1, b"0" * 32),
        Mailbox("", "news@example.com"),
        None,
        None,
        compose,
        folder,
        ("name", "link"),
    )
    one = LetterChecks(Composer(brief), unsubscribe=False, date=NOW)

    def feed(*names: str | None, link: str = "https://example.com/") -> None:
        for name in names:
            number = one.looked.survey.domains.total()
            address = f"u{number}@example.com"
            one.take(Recipient(number, address, address, "", number + 2, {"name": name, "link": link}))

    return one, feed


def told(one: LetterChecks, size: int, *missing: Missing) -> list[tuple[str, str, list[int], int]]:
    findings = Findings()
    one.tell(plan(size), missing, findings)
    return [(found.severity, found.code, found.rows, found.count) for found in findings]


def test_every_row_is_judged_though_one_letter_of_a_kind_is_read_back(tmp_path: Path):
    one, feed = walk(tmp_path, "Dear {{ name }},\n{% if name == 'Eve' %}*|FNAME|*{% endif %}")
    feed("Ada", "", "Bob", "Eve", "", "Zoë", "Eve", None)
    assert told(one, 8) == [("error", "empty-greeting", [3, 6, 9], 3), ("warning", "left-over", [5, 8], 2)]
    assert (one.looked.rendered, one.looked.kinds) == (8, 3)


def test_one_row_may_fail_and_more_than_one_in_a_hundred_may_not(tmp_path: Path):
    one, feed = walk(tmp_path, "{{ 1 / (name|int) }}")
    feed("1", "0", *["1"] * 98)
    assert told(one, 100) == [("warning", "unrenderable", [3], 1)]
    feed("0")
    assert told(one, 101) == [("error", "unrenderable", [3, 102], 2)]


def test_a_list_of_which_no_row_can_be_rendered_is_an_error(tmp_path: Path):
    one, feed = walk(tmp_path, "{{ 1 / (name|int) }}")
    feed("0")
    assert told(one, 1) == [("error", "unrenderable", [2], 1)]


def test_reasons_that_differ_in_a_value_alone_are_one(tmp_path: Path):
    one, feed = walk(tmp_path, "x", attachments=["{{ name }}"])
    feed("a.pdf", "b.pdf", *[""] * 300)
    ((severity, code, rows, count),) = told(one, 302)
    assert (severity, code, rows, count) == ("warning", "unrenderable", [2, 3], 2)


def test_a_word_like_null_is_a_name_until_many_have_it(tmp_path: Path):
    one, feed = walk(tmp_path, "Dear {{ name }},")
    feed("null", *["Ada"] * 99)
    assert told(one, 100) == []
    feed("null")
    assert told(one, 101) == [("warning", "nothing-value", [2, 102], 2)]


def test_looking_never_takes_much_longer_than_rendering_and_says_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(render_all, "ALWAYS", 5)
    monkeypatch.setattr(render_all, "SHARE", 0.0)
    one, feed = walk(tmp_path, "{% for _ in range(name|int) %}x{% endfor %}")
    feed(*map(str, range(1, 10)))
    assert (one.looked.kinds, one.looked.unseen) == (5, 4)
    assert told(one, 9) == [("unverified", "rare-letters", [], 0)]


def test_the_largest_letter_and_links_to_ask_are_kept(tmp_path: Path):
    one, feed = walk(
        tmp_path, "Dear {{ name }},\n{{ link }}", unsubscribe="https://example.com/u/{{ unsubscribe_token }}"
    )
    feed("Ada", "Ada" * 30, link="http://example.com/shop")
    assert one.looked.largest_row == 3
    assert list(one.looked.links) == ["http://example.com/shop"]
    assert len(one.looked.samples) == 1


def test_rows_whose_branch_asks_for_no_column_are_told_with_the_variable(tmp_path: Path):
    (tmp_path / "list.csv").write_text("email,name\na@example.com,Ada\nb@example.com,Bob\n", encoding="utf-8")
    (tmp_path / "body.txt").write_text("{% if name == 'Bob' %}{{ naam }}{% endif %}{{ nam }}", encoding="utf-8")
    findings, digest = check(job(tmp_path), Console(io.StringIO()), CheckOptions())
    assert [(one.code, one.rows, one.message) for one in findings if one.severity == "error"] == [
        ("undefined-variable", [3], "{{ naam }} is no column (did you mean name?)"),
        ("undefined-variable", [2], "{{ nam }} is no column (did you mean name?)"),
    ]
    assert digest.rendered == 0


def test_a_template_that_cannot_be_opened_does_not_end_the_looking(tmp_path: Path):
    (tmp_path / "list.csv").write_text("email\na@example.com\n@\n", encoding="utf-8")
    (tmp_path / "body.txt").write_text("{% if %}", encoding="utf-8")
    one = job(tmp_path, campaign='return_path = "b@example.net"')
    findings, digest = check(one, Console(io.StringIO()), CheckOptions())
    assert {"template", "return-path", "invalid-rows"} <= set(codes(findings))
    assert digest.template == ""


# -- list


def test_typing_errors_and_text_decoded_twice_are_hinted_at():
    survey, findings = Survey(), Findings()
    for number in range(40):
        domain = "gmial.example" if number == 7 else "gmail.example"
        name = "ZoÃ«" if number in (3, 9) else "Zoë"
        survey.add(Recipient(number, f"u{number}@{domain}", "", "", number + 2, {"name": name}))
    check_survey(survey, {"gmial.example": [9]}, "list.csv", findings)
    twice, typo = findings
    assert (twice.code, twice.rows, twice.count) == ("decoded-twice", [5, 11], 2)
    assert "'Zoë'" in twice.message
    assert (typo.code, typo.rows, typo.message) == (
        "address-typo",
        [9],
        "gmial.example was perhaps meant to be gmail.example",
    )


# -- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def metered(stream: io.StringIO, times: list[float]) -> str:
    moments: Iterator[float] = iter([0.0, *times])
    with StepProgress(Console(stream), 1000, clock=lambda: next(moments)) as meter:
        for done in range(len(times)):
            meter.at(100 * (done + 1))
    return stream.getvalue()


def test_off_a_terminal_a_check_says_a_line_now_and_then():
    assert metered(io.StringIO(), [1, 9, 10, 11, 20]) == (
        "checked 300 of 1,000 letters (30.0 %) · 30.0/s · 23s left\n"
        "checked 500 of 1,000 letters (50.0 %) · 25.0/s · 20s left\n"
    )


def test_on_a_terminal_one_line_is_painted_over_and_taken_away():
    painted = metered(Terminal(), [0.1, 0.3, 0.6])
    assert painted.startswith("\r\x1b[Kchecked 200 of 1,000")
    assert painted.endswith("\r\x1b[K")
    assert "\n" not in painted


def test_what_is_done_with_what_is_said():
    stream, moments = io.StringIO(), iter([0.0, 10.0])
    with StepProgress(Console(stream), 1000, "looked up", "domain", clock=lambda: next(moments)) as meter:
        meter.at(300)
    assert stream.getvalue() == "looked up 300 of 1,000 domains (30.0 %) · 30.0/s · 23s left\n"


def test_where_nobody_can_tell_how_many_there_are_only_the_pace_is_said():
    assert step_standing(300, None, 10.0, "message") == "300 messages · 30.0/s"
    assert step_standing(0, None, 0.0, "message") == "0 messages"


def test_a_check_of_a_few_letters_says_nothing():
    assert metered(Terminal(), [0.1]) == ""
    assert step_standing(0, 1, 0.0, "letter") == "0 of 1 letter (0.0 %)"


# -- the command and its page


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_a_resolver_is_an_address_with_a_port(written: str, place: tuple[str, int]):
    assert Place().convert(written, None, None) == place


@pytest.mark.parametrize("options", [["--resolver", "dns.example"], ["--resolver", "127.0.0.1:x"], ["--ip", "banana"]])
def test_what_is_no_address_is_a_usage_error(options: list[str]):
    assert CliRunner().invoke(check_command, ["hello.toml", *options]).exit_code == 2


@pytest.mark.parametrize(
    ("body", "options", "last"),
    [
        ("Hello", [], "Next: campaign preview {0}, then campaign send {0}"),
        ("Hello", ["--relay", "mailbox"], "Next: campaign preview {0}, then campaign send {0} --relay mailbox"),
        ("{{ nam }}", ["--no-relay"], "Correct the errors, then: campaign check {0} --no-relay"),
        (
            "{{ nam }}",
            ["--relay", "mailbox", "--dns", "--ip", "192.0.2.1", "--resolver", "[::1]:5"],
            "Correct the errors, then: campaign check {0} --relay mailbox --dns --ip=192.0.2.1 '--resolver=[::1]:5'",
        ),
    ],
)
def test_what_to_type_next_has_the_relay_and_looks_at_the_same(
    body: str, options: list[str], last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("campaign.check.run_checks.check_dns", lambda *given, **more: None)
    monkeypatch.setattr("campaign.report.printed_commands.program", lambda: "campaign")
    (tmp_path / "list.csv").write_text("email\na@example.com\n", encoding="utf-8")
    (tmp_path / "body.txt").write_text(body, encoding="utf-8")
    file = str(job(tmp_path, delivery='relay = "mailbox"').settings.file)
    done = CliRunner().invoke(check_command, [file, *options], standalone_mode=False)
    assert done.stdout.rstrip().endswith(last.format(file))


def codes_in_the_source() -> dict[str, set[str]]:
    """Code -> severities, from every place that makes a finding."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "campaign").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            code = node.args[1]
            if name in ("Fault", "Finding", "Remark", "add", "tell", "unless") and isinstance(code, ast.Constant):
                kinds = ["unverified"] if name == "unless" else constants(node.args[0])
                if isinstance(code.value, str) and kinds and name != "tell":
                    found.setdefault(code.value, set()).update(kinds)
    return found


def constants(node: ast.expr) -> list[str]:
    severities = ("error", "warning", "unverified")
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    return [part.value for part in parts if isinstance(part, ast.Constant) and part.value in severities]


def codes_on_the_page() -> dict[str, set[str]]:
    lines = (ROOT / "docs" / "check.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| `")]
    assert all(len(row) == 4 and all(row) for row in rows), rows
    return {row[0].strip("`"): set(row[1].replace("*", "").split(" or ")) for row in rows}


def test_the_page_explains_every_finding_with_its_severity_and_no_other():
    assert codes_on_the_page() == codes_in_the_source()
    assert len(codes_in_the_source()) > 60
