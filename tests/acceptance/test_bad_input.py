"""Whatever is wrong before the first letter is told in one plain sentence, and nothing is sent or lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.shelf import Shelf, say
from tests.support.stand import Stand


@pytest.fixture(autouse=True)
async def nothing_is_sent(stand: Stand, shelf: Shelf) -> AsyncIterator[None]:
    """The relay would take letters; none may arrive."""
    yield
    assert not shelf.letters
    assert not shelf.told("MAIL")


# -- 78: the campaign file


async def test_all_mistakes_of_the_file_are_told_at_once(stand: Stand) -> None:
    stand.set(
        campaign__frm="a@example.com", delivery__rate="fast", delivery__conections=5, ledger__in_doubt="perhaps",
        compose__dkim={"domain": "example.com", "selektor": "s1"}, audience__columns={"age": "years"},
    )  # fmt: skip
    del stand.settings["campaign"]["from"]
    stand.settings["extra"] = {}
    (await stand.send()).tells(
        78,
        "has 10 mistakes",
        "campaign.from: required",
        "campaign.frm: unknown key; did you mean 'from'?",
        "delivery.conections: unknown key; did you mean 'connections'?",
        "delivery.rate: 'fast' is not a rate",
        "ledger.in_doubt: ",
        "compose.dkim.selektor: unknown key; did you mean 'selector'?",
        "compose.dkim.key_file: required",
        "audience.columns.age: ",
        "extra: unknown key; known here: campaign, audience,",
        step="campaign check",
    )
    assert not stand.runs


@pytest.mark.parametrize(
    ("content", "evidence"),
    [
        (None, "There is no campaign file"),
        (b'[campaign\nname = "x"\n', "line 1"),
        (b'[campaign]\nname = "caf\xe9"\n', "not UTF-8"),
        (b"", "campaign: required"),
    ],
    ids=["missing", "syntax", "encoding", "empty"],
)
async def test_a_campaign_file_that_cannot_be_read(stand: Stand, content: bytes | None, evidence: str) -> None:
    if content is not None:
        stand.write("other.toml", content)
    (await stand.campaign("send", "other.toml")).tells(78, "other.toml", evidence)


async def test_a_mistake_in_the_environment_is_told_by_its_path(stand: Stand) -> None:
    stand.variables["CAMPAIGN__DELIVERY__CONNECTIONS"] = "many"
    (await stand.send()).tells(78, "delivery.connections: ")


async def test_a_folder_is_no_campaign_file(stand: Stand) -> None:
    (await stand.campaign("send", stand.folder)).tells(78, str(stand.folder))


# -- 78: templates and what they need


@pytest.mark.parametrize(
    ("keys", "files", "evidence"),
    [
        ({"text": "none.txt"}, {}, ["none.txt"]),
        ({"text": "letter.txt"}, {"letter.txt": "Dear\n\n{% if name %}\n"}, ["letter.txt:", "if"]),
        ({"text": "letter.txt"}, {"letter.txt": "Dear\n{{ name | nofilter }}\n"}, ["letter.txt:2", "nofilter"]),
        (
            {"text": "letter.txt"},
            {"letter.txt": "Dear\n\n{{ nmae }} of {{ city }}\n"},
            ["letter.txt:3", "nmae", "city", "email", "name"],
        ),
        ({"subject": "Hello {{ nmae }}"}, {}, ["subject", "nmae", "email", "name"]),
        ({"subject": "Hello {{ name"}, {}, ["subject"]),
        ({"html": "a.html", "text": ""}, {"a.html": '<p>Hi</p><img src="none.png" alt="">'}, ["none.png"]),
        ({"html": "a.html", "text": ""}, {"a.html": '<img src="../../etc/hostname" alt="">'}, ["../../etc/hostname"]),
        ({"text": "../../etc/hostname"}, {}, ["etc/hostname"]),
        ({"headers": {"Subject": "once more"}}, {}, ["Subject"]),
        ({"dkim": {"domain": "example.com", "selector": "s1", "key_file": "none.pem"}}, {}, ["none.pem"]),
        ({"dkim": {"domain": "example.com", "selector": "s1", "key_file": "letter.txt"}}, {}, ["letter.txt"]),
    ],
    ids=[
        "missing template", "syntax", "unknown filter", "unknown variables", "unknown variable in the subject",
        "syntax of the subject", "missing image", "image outside root", "template outside root", "our own header",
        "missing key", "no key",
    ],
)  # fmt: skip
async def test_a_template_or_resource_that_cannot_be_used(
    stand: Stand, keys: dict[str, Any], files: dict[str, str], evidence: list[str]
) -> None:
    for name, text in files.items():
        stand.write(name, text)
    (await stand.set(**{f"compose__{key}": value for key, value in keys.items()}).send()).tells(78, *evidence)
    assert not stand.runs


async def test_an_edition_that_cannot_name_a_folder(stand: Stand) -> None:
    (await stand.set(campaign__edition="../2026").send()).tells(78, "../2026")


async def test_a_run_folder_outside_the_edition(stand: Stand, tmp_path: Path) -> None:
    (await stand.send("--run", tmp_path / "elsewhere")).tells(78, "elsewhere", step="--run")


@pytest.mark.parametrize(
    "relay",
    ["http://127.0.0.1", "smtp://ada:password@127.0.0.1", "smtp://127.0.0.1/path", "nosuchpreset", "smtp://", []],
)
async def test_a_relay_that_cannot_be_written_so(stand: Stand, relay: str) -> None:
    ended = (await stand.set(delivery__relay=relay).send()).ends(78)
    assert "password@" not in ended.err


async def test_a_password_file_that_everybody_can_read(stand: Stand, shelf: Shelf) -> None:
    stand.write("relay.password", "secret word\n").chmod(0o644)
    stand.set(delivery__relay=f"smtp://ada@127.0.0.1:{shelf.port}", delivery__password_file="relay.password")
    ended = (await stand.send()).tells(78, "relay.password", step="chmod 600")
    assert "secret word" not in ended.err


# -- 65: the data


def encoded(row: str, encoding: str) -> bytes:
    return f"email,name\n{row}\n".encode(encoding)


@pytest.mark.parametrize(
    ("keys", "files", "evidence"),
    [
        ({"source": "none.csv"}, {}, ["none.csv"]),
        ({}, {"people.csv": ""}, ["people.csv"]),
        ({}, {"people.csv": encoded("z@example.com,Zoë Müller – für 5 €", "cp1252")}, ["people.csv:2", "cp1252", "€"]),
        ({}, {"people.csv": encoded("g@example.com,李小龙 王菲", "gb18030")}, ["people.csv:2", "gb18030", "李小龙"]),
        ({"source": "people.xlsx"}, {"people.xlsx": "not a workbook"}, ["people.xlsx"]),
        ({"source": "people.parquet"}, {"people.parquet": "not parquet"}, ["people.parquet"]),
        ({"source": "sqlite:///none.sqlite", "query": "select 1"}, {}, ["none.sqlite"]),
        ({"source": "sqlite:///shop.sqlite", "query": "select 1 from nowhere"}, {"shop.sqlite": b""}, ["nowhere"]),
        ({"suppress": ["none.csv"]}, {}, ["none.csv"]),
    ],
    ids=["missing", "empty", "cp1252", "gbk", "xlsx", "parquet", "no database", "bad query", "missing suppression"],
)  # fmt: skip
async def test_data_that_cannot_be_read(
    stand: Stand, keys: dict[str, Any], files: dict[str, str | bytes], evidence: list[str]
) -> None:
    for name, text in files.items():
        stand.write(name, text)
    stand.set(**{f"audience__{key}": value for key, value in keys.items()})
    (await stand.send()).tells(65, *evidence)
    assert not stand.runs


@pytest.mark.parametrize(
    ("keys", "evidence"),
    [
        ({"address": "mail"}, ["mail", "email"]),
        ({"display_name": "fullname"}, ["fullname", "name"]),
        ({"key": "invoice_id"}, ["invoice_id", "email"]),
        ({"where": "plan == 'pro'"}, ["plan", "email"]),
        ({"where": "name =="}, ["where"]),
        ({"encoding": "utf-9"}, ["utf-9"]),
        ({"source": "people.doc"}, ["people.doc"]),
    ],
    ids=["address", "display_name", "key", "where", "where syntax", "encoding", "kind"],
)
async def test_a_list_that_lacks_what_the_campaign_file_names(
    stand: Stand, keys: dict[str, str], evidence: list[str]
) -> None:
    stand.write("people.doc", "email,name\n")
    stand.set(**{f"audience__{key}": value for key, value in keys.items()})
    (await stand.send()).tells(78, *evidence)
    assert not stand.runs


async def test_nothing_from_the_list_steers_the_terminal(stand: Stand) -> None:
    stand.write("people.csv", "email,na\x1b]0;gotcha\x07me,\x1b[31mcity\na@example.com,Ada,Bath\n")
    ended = (await stand.send()).ends(78)
    assert "\x1b" not in ended.err
    assert "\x07" not in ended.err


# -- 73 and 74: the run folder


async def test_73_when_a_file_stands_where_the_runs_should_go(stand: Stand) -> None:
    stand.write("runs", "")
    (await stand.send()).tells(73, "runs", "ENOTDIR")


async def test_73_when_the_runs_may_not_be_written(stand: Stand) -> None:
    (stand.folder / "runs").mkdir(mode=0o555)
    if os.geteuid() == 0:  # who may write anywhere, unless this is taken away
        if not shutil.which("setpriv"):
            pytest.skip("root may write anywhere, and there is no setpriv to take that away")
        stand.through = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    (await stand.send()).tells(73, "EACCES", "runs")


@pytest.mark.parametrize("missing", ["runs", "campaign.secret"])
async def test_73_when_what_must_exist_does_not(stand: Stand, missing: str) -> None:
    stand.write("campaign.secret", "0" * 64).chmod(0o600)
    (stand.folder / "runs").mkdir()
    path = stand.folder / missing
    path.rmdir() if path.is_dir() else path.unlink()
    (await stand.set(ledger__must_exist=True).send()).tells(73, missing, "must_exist")
    assert not path.exists()


def flip(run: Path) -> None:
    journal = run / "checkpoint.journal"
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 1
    journal.write_bytes(content)


def empty(run: Path) -> None:
    (run / "checkpoint.journal").write_bytes(b"")


def delete(run: Path) -> None:
    (run / "checkpoint.journal").unlink()


@pytest.mark.parametrize(("damage", "step"), [(flip, "campaign repair"), (empty, ""), (delete, "backup")])
async def test_74_when_the_journal_is_damaged(stand: Stand, damage: Callable[[Path], None], step: str) -> None:
    await stand.send("--relay", "mailbox", "--limit", 3)
    damage(stand.run)
    before = {path: path.read_bytes() for path in stand.run.rglob("*") if path.is_file()}
    (await stand.send()).tells(74, str(stand.run.name), step=step)
    (await stand.send("--fresh")).tells(74, str(stand.run.name))
    assert {path: path.read_bytes() for path in stand.run.rglob("*") if path.is_file()} == before
    assert len(stand.runs) == 1


@pytest.mark.parametrize("flags", [[], ["--accept-changes"]])
async def test_78_when_the_frozen_plan_was_changed(stand: Stand, flags: list[str]) -> None:
    await stand.set(delivery__relay="mailbox").send("--limit", 3)
    plan = stand.run / "plan.jsonl"
    plan.write_bytes(plan.read_bytes().replace(b"p9@example.com", b"q9@example.com"))
    (await stand.send(*flags)).tells(78, "plan.jsonl", step="restore it from a backup")


# -- 78: what changed since the run began


async def test_a_changed_template_is_refused_by_name_until_accepted(stand: Stand) -> None:
    await stand.set(delivery__relay="mailbox").send("--limit", 3)
    stand.write("letter.txt", "Dear {{ name }}, other news.\n")
    stand.set(compose__subject="Other news")
    (await stand.send()).tells(78, "letter.txt changed", "compose.subject changed", step="--accept-changes")
    assert stand.verdicts() == {"accepted": 3, "waiting": 17}
    (await stand.send("--accept-changes")).ends(0, "3 of 20 settled earlier")
    assert sum(b"other news" in letter for letter in stand.kept()) == 17
    assert (await stand.send()).code == 0


# -- 69: the relay's greeting


async def test_a_relay_that_cannot_greet(stand: Stand, shelf: Shelf) -> None:
    shelf.always["banner"] = say("554 5.3.2 we are closed")
    (await stand.send()).tells(69, "we are closed")
    assert sum(stand.verdicts().values()) == 20


async def test_a_relay_whose_certificate_nobody_vouches_for(stand: Stand, shelf: Shelf) -> None:
    (await stand.set(delivery__relay=f"smtps://127.0.0.1:{shelf.port}").send()).tells(69, "no trusted encryption")
