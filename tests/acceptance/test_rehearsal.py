"""Everything short of the run, and what is made from it afterwards: check, preview, test, report."""

from __future__ import annotations

from tests.acceptance.stand import Stand, message_id, parsed, recipient
from tests.integration.servers.shelf import Shelf


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
    assert parsed(shelf.letters[0][2])["Subject"] == "News for Person 2"


async def test_check_finds_a_sound_campaign_sound_and_sends_nothing(stand: Stand, shelf: Shelf) -> None:
    ended = (await stand.campaign("check", stand.file)).ends(0)
    assert "20" in ended.out
    assert not shelf.told("MAIL")
    assert not stand.runs


async def test_preview_writes_letters_and_a_page(stand: Stand) -> None:
    ended = (await stand.campaign("preview", stand.file, "--row", 2)).ends(0)
    page = stand.folder / ended.out.strip()
    assert page.name == "index.html"
    assert "Person 1" in page.read_text(encoding="utf-8")
    assert recipient((page.parent / "row-2.eml").read_bytes()) == "p1@example.com"
    assert not stand.runs
