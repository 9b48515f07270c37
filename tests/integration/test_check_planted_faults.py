"""`campaign check` over the samples as they are, and over one with twelve faults planted: these and no others."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import json
import re
import shutil
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from campaign.check.letters.render_all import LetterChecks
from campaign.check.letters.structure import letter_faults
from campaign.check.run_checks import frozen
from campaign.compose.composer import Composer
from campaign.compose.html.shape_cache import Inlining
from campaign.compose.mime.read_back import read_letter
from campaign.config import load
from campaign.model import Letter, Recipient
from campaign.pipeline.command_context import prepare
from campaign.report.live.console import Console
from tests.support.servers.shelf import Shelf

ROOT = Path(__file__).parents[2]
#: What the sample itself has to say: rows that are bad on purpose.
HONEST = {("warning", "invalid-rows"), ("warning", "unrenderable")}


def copy_samples(folder: Path) -> Path:
    """The sample campaigns and their templates in a folder of their own; returns the folder of the campaigns."""
    shutil.copytree(ROOT / "templates", folder / "templates")
    shutil.copytree(ROOT / "sample_data", folder / "sample_data", ignore=shutil.ignore_patterns("runs", "*.py"))
    return folder / "sample_data"


def replace(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_bytes().decode()
    for old, new in pairs:
        assert text.count(old) >= 1, f"{path} holds no {old!r}"
        text = text.replace(old, new, 1)
    path.write_bytes(text.encode())


async def check(file: Path, *options: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "campaign", "check", file.name, *options),
        cwd=file.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def found(file: Path, *options: str) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    """Exit code, findings by code (every code once, but for the unverified), and the whole answer."""
    code, out, err = await check(file, "--json", *options)
    assert out, err
    answer = json.loads(out)
    findings: dict[str, dict[str, Any]] = {}
    for one in answer["findings"]:
        if one["severity"] != "unverified":
            name = one["code"] if one["code"] not in findings else f"{one['code']} too"
            assert name not in findings, answer["findings"]
            findings[name] = one
    return code, findings, answer


@pytest.mark.parametrize(
    ("name", "honest"),
    [("newsletter", HONEST), ("invoices", set()), ("alert", set())],
    ids=["newsletter", "invoices", "alert"],
)
async def test_the_samples_as_they_are_have_nothing_but_what_they_say(
    name: str, honest: set[Any], tmp_path: Path
) -> None:
    code, out, err = await check(copy_samples(tmp_path) / f"{name}.toml", "--json")
    answer = json.loads(out)
    assert {(one["severity"], one["code"]) for one in answer["findings"] if one["severity"] != "unverified"} == honest
    assert (code, answer["sound"], err) == (0, True, "")
    assert not (tmp_path / "sample_data" / "runs").exists()


async def test_what_is_said_of_a_sound_campaign_fits_a_terminal(tmp_path: Path) -> None:
    _, out, _ = await check(copy_samples(tmp_path) / "newsletter.toml")
    lines = out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines[:-1])) <= 130  # the last one holds commands, with the path they are called by
    assert re.search(r"Next: .*campaign preview newsletter.toml, then .*campaign send newsletter.toml$", lines[-1])


def line_of(file: Path, member: str) -> int:
    """The line on which the record of a member begins."""
    with file.open(encoding="utf-8", newline="") as source:
        rows = csv.reader(source)
        before = 0
        for row in rows:
            if len(row) > 7 and row[7] == member:
                return before + 1
            before = rows.line_num
    raise AssertionError(member)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """The newsletter with every fault but those of the relay."""
    samples = copy_samples(tmp_path)
    templates = tmp_path / "templates" / "newsletter"
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
    replace(
        samples / "newsletter.toml",
        (
            'return_path = "bounces@example.com"',
            f'return_path = "bounces@example.net"\nnot_after = {ends:%Y-%m-%dT%H:%M:%SZ}',
        ),
        ("{{ name or 'you' }}", "{{ name or 'you' }}{{ ' and more' * 120 if member_id == '00004' else '' }}"),
        ('rate = "200/s"', 'rate = "1/s"'),
    )
    replace(
        templates / "newsletter.html.j2",
        ("As a patron you have", "Since {{ patron_since }} you have"),
        ("<p>December has the longest", "<p>Dear <b>{{ name }}</b>, December has the longest"),
        ("Bring somebody who has", '<a href="http://localhost:8000/friends">Bring</a> somebody who has'),
        (
            "Should you want",
            '<img src="images/{{ "gone.png" if member_id == "00003" else "moon.png" }}" alt="">Should you want',
        ),
        ("<p>Clear skies", '<img src="images/mark.png" width="52"><p style="display: flex">Clear skies'),
    )
    replace(templates / "newsletter.txt.j2", ("{{ unsubscribe_url }}", "write to desk@example.com"))
    replace(
        samples / "recipients.csv",
        ("流れ星を七つ数えました。", "stars " * 20_000),
        ("Спасибо за тишину и чай.", "clear skies " * 10_000),
    )
    return samples / "newsletter.toml"


async def test_each_planted_fault_is_found_and_nothing_else(planted: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(planted.with_name("ca.pem")))
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)
    async with Shelf(implicit=context) as relay:
        replace(planted, ('relay = "mailbox"', f'relay = "{relay.url}"\ntls_ca_file = "ca.pem"'))
        code, findings, answer = await found(planted)
        assert not relay.letters
    lines = {member: line_of(planted.with_name("recipients.csv"), member) for member in ("00002", "00003", "00004")}
    assert code == 78
    assert {name: one["severity"] for name, one in findings.items()} == {
        "undefined-variable": "error",
        "empty-greeting": "error",
        "link-local": "error",
        "subject-long": "error",
        "outlasts": "error",
        "certificate-expires": "error",
        "clipped": "warning",
        "no-alt": "warning",
        "client-support": "warning",
        "unsubscribe-hidden": "warning",
        "return-path": "warning",
        "unrenderable": "warning",
        "unrenderable too": "warning",
        "invalid-rows": "warning",
    }
    assert all(one["remedy"] for one in findings.values())
    rows = {name: one["rows"] for name, one in findings.items()}
    assert rows["empty-greeting"] == [500]
    assert rows["clipped"] == [lines["00002"], lines["00004"]]
    assert rows["subject-long"] == [lines["00004"]]
    assert sorted([rows["unrenderable"], rows["unrenderable too"]]) == sorted([[lines["00003"]], [830]])
    assert "gone.png" in findings["unrenderable"]["message"] + findings["unrenderable too"]["message"]
    assert findings["undefined-variable"]["where"].startswith("templates/newsletter/newsletter.html.j2:")
    assert findings["undefined-variable"]["count"] == patrons(planted.with_name("recipients.csv"))
    assert "display:flex is ignored by Outlook (Windows)" in findings["client-support"]["message"]
    assert findings["no-alt"]["message"].endswith("mark.png")
    assert answer["digest"]["books"]["planned"] == 931


class Pairs:
    """In place of the findings of a walk: which fault was told of which row."""

    def __init__(self) -> None:
        self.found: set[tuple[str, int]] = set()

    def add(self, _severity: str, code: str, _message: str, *, row: int, **_: str) -> None:
        self.found.add((code, row))


def by_kind(composer: Composer, recipients: list[Recipient]) -> set[tuple[str, int]]:
    walk, pairs = LetterChecks(composer, unsubscribe=True, date=1e9), Pairs()
    walk._found = pairs
    for recipient in recipients:
        walk.take(recipient)
    assert walk.looked.kinds < len(recipients) / 2
    return pairs.found


def one_by_one(composer: Composer, recipients: list[Recipient]) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for recipient in recipients:
        letter, shown = composer.compose_showing(recipient, 1e9)
        if isinstance(letter, Letter):
            printed = [values for _, values in shown]
            faults = letter_faults(letter, read_letter(letter.content), recipient, unsubscribe=True, printed=printed)
            found |= {(fault.code, recipient.line) for fault in faults}
    return found


@pytest.mark.parametrize(("inlining", "step"), [("shape", 4), ("row", 12)])
def test_one_look_at_each_kind_finds_what_a_look_at_every_letter_finds(
    inlining: Inlining, step: int, planted: Path
) -> None:
    replace(planted.with_name("recipients.csv"), ("Zoë Müller,", "null,"))
    templates = planted.parents[1] / "templates" / "newsletter"
    replace(templates / "newsletter.html.j2", ("{{ patron_since }}", "{{ note }}"))
    replace(templates / "newsletter.html.j2", ("<h2>The diary", '<a href="{{ note }}">x</a><h2>The diary'))
    job = prepare(load(planted, {}))
    with frozen(job, Console()) as plan:
        recipients = [one for one in plan.recipients() if one.number % step == 0 or one.line in (2, 3, 4, 5, 500)]
        composer = Composer(job.brief(plan.columns, 1), inlining)
    looked = by_kind(composer, recipients)
    assert looked == one_by_one(composer, recipients)
    assert {"empty-greeting", "clipped", "subject-long", "nothing-value", "link-relative", "link-empty"} <= {
        code for code, _ in looked
    }


def patrons(file: Path) -> int:
    """Readers of the plan whose letters take the patrons' branch."""
    aside = {int(cells[0]) for cells in about_rows() if cells[1] not in ("accepted", "unrenderable")}
    with file.open(encoding="utf-8", newline="") as source:
        rows = csv.reader(source)
        before, count = 0, 0
        for row in rows:
            line, before = before + 1, rows.line_num
            count += len(row) == 10 and row[5] == "patron" and line not in aside
    return count


def about_rows() -> list[list[str]]:
    lines = (ROOT / "sample_data" / "ABOUT.md").read_text(encoding="utf-8").split("\n")
    start = next(at for at, line in enumerate(lines) if line.startswith("| line")) + 2
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start:] if line.startswith("|")]
