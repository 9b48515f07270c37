"""Everything short of the run, and what is made from it afterwards: check, preview, test, report."""

from __future__ import annotations

import json

from tests.support.servers.shelf import Shelf
from tests.support.stand import Stand, message_id, parsed, recipient


async def test_report_is_written_again_from_plan_and_journal(stand: Stand) -> None:
    await stand.send()
    names = ("report.html", "summary.json", "failed.csv", "in-doubt.csv")
    before = {name: (stand.run / name).read_bytes() for name in names}
    for name in names:
        (stand.run / name).unlink()
    assert "20 of 20 accepted" in (await stand.campaign("report", stand.run)).ends(0).out
    assert {name: (stand.run / name).read_bytes() for name in names} == before


async def test_test_letters_reach_only_the_one_who_asked(stand: Stand, shelf: Shelf) -> None:
    ended = await stand.campaign("test", stand.file, "--to", "me@example.com", "--row", 3, "--row", 5)
    ended.ends(0, "2 of 2 test letters accepted")
    assert shelf.recipients == ["me@example.com"] * 2
    assert not stand.runs
    (await stand.send()).ends(0, "20 recipients planned")
    ids = {message_id(content) for _, _, content in shelf.letters}
    assert len(ids) == 22
    assert parsed(shelf.letters[0][2])["Subject"] == "News for Person 1"


async def test_check_finds_a_sound_campaign_sound_and_sends_nothing(stand: Stand, shelf: Shelf) -> None:
    ended = (await stand.campaign("check", stand.file)).ends(0)
    assert "20" in ended.out
    assert not shelf.told("MAIL")
    assert not stand.runs


async def test_preview_writes_letters_and_a_page(stand: Stand) -> None:
    ended = (await stand.campaign("preview", stand.file, "--row", 2)).ends(0)
    page = stand.folder / ended.out.strip()
    assert page.name == "index.html"
    assert "Person 0" in page.read_text(encoding="utf-8")
    assert recipient((page.parent / "row-2.eml").read_bytes()) == "p0@example.com"
    assert not stand.runs


async def test_check_finds_what_would_fail_and_says_where(stand: Stand, shelf: Shelf) -> None:
    stand.write("letter.txt", "{{ 100 // (name|length - 8) }} for {{ name }}\n")
    ended = (await stand.campaign("check", stand.file)).ends(78)
    assert "letter.txt:1" in ended.out
    assert "unrenderable" in ended.out
    assert not shelf.told("MAIL")
    findings = json.loads((await stand.campaign("check", stand.file, "--json", "--no-relay")).ends(78).out)
    assert "unrenderable" in json.dumps(findings)


async def test_check_greets_the_relay(stand: Stand) -> None:
    async with Shelf() as gone:
        stand.set(delivery__relay=gone.url)
    ended = await stand.campaign("check", stand.file)
    assert ended.code == 78
    assert str(gone.port) in ended.out
    (await stand.campaign("check", stand.file, "--no-relay")).ends(0)


async def test_an_unsubscribe_token_tells_whom_it_stands_for(stand: Stand, shelf: Shelf) -> None:
    await stand.set(compose__unsubscribe="https://example.com/u/{{ unsubscribe_token }}").send("--limit", 1)
    await stand.campaign("test", stand.file, "--to", "me@example.com")
    tokens = [parsed(content)["List-Unsubscribe"][1:-1].rpartition("/")[2] for _, _, content in shelf.letters]
    said = [json.loads((await stand.campaign("unsubscribe-token", stand.file, "--open", one)).out) for one in tokens]
    assert said[0] == {"subject": shelf.recipients[0], "campaign": "gazette", "edition": "", "test": False}
    assert said[1]["test"] is True
    assert said[1]["subject"] == ""
    altered = ("B" if tokens[0][0] == "A" else "A") + tokens[0][1:]
    refused = await stand.campaign("unsubscribe-token", stand.file, "--open", altered)
    refused.ends(65, "was not made with this campaign's secret")


async def test_quiet_says_nothing_but_errors(stand: Stand) -> None:
    assert (await stand.send("--quiet", "--limit", 5)).err == ""
    stand.write("letter.txt", "changed")
    (await stand.send("--quiet")).tells(78, "letter.txt changed")
