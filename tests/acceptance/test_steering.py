"""A run is watched and steered from outside while it runs: status, set, pause, resume, cancel."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support.servers.shelf import Shelf
from tests.support.stand import Stand, until

EVERYBODY = sorted(f"p{n}@example.com" for n in range(20))


@pytest.fixture
async def slow(stand: Stand, shelf: Shelf) -> Stand:
    """A letter a second: a run that is still there when somebody looks."""
    return stand.set(delivery__rate="1/s", report__interval="500ms")


async def test_status_tells_where_a_run_stands_while_it_runs_and_after(slow: Stand, shelf: Shelf) -> None:
    sending = await slow.sending()
    await until(lambda: len(shelf.letters) >= 2, "some letters are there")
    during = json.loads((await slow.campaign("status", "--json")).ends(0).out)
    assert during["running"]
    assert not during["finished"]
    assert sum(during["verdicts"].values()) == 20
    assert during["verdicts"]["accepted"] >= 1
    (await slow.campaign("set", slow.run, "rate=500/s")).ends(0, "set")
    (await sending.end()).ends(0)
    after = json.loads((await slow.campaign("status", slow.file, "--json")).ends(0).out)
    assert not after["running"]
    assert after["finished"]
    assert after["verdicts"]["accepted"] == 20
    assert "finished" in (await slow.campaign("status")).ends(0).out


async def test_a_watch_goes_on_until_the_run_is_left_and_says_how_fast_it_is(slow: Stand, shelf: Shelf) -> None:
    sending = await slow.sending()
    await until(lambda: len(shelf.letters) >= 1, "a letter is there")
    watching = asyncio.create_task(slow.campaign("status", slow.run, "--watch", "1s"))
    await until(lambda: len(shelf.letters) >= 4, "some letters are there")
    (await slow.campaign("set", slow.run, "rate=500/s")).ends(0, "set")
    (await sending.end()).ends(0)
    told = (await watching).ends(0).out
    first, *_, last = [line for line in told.splitlines() if line.startswith(str(slow.run))]
    assert ": running, " in first
    assert last.endswith(": finished")
    assert ": running, " in told
    assert "\x1b" not in told


async def test_an_outage_is_told_by_status_with_what_is_waited_for(slow: Stand, shelf: Shelf) -> None:
    async with Shelf() as gone:
        slow.set(delivery__relay=gone.url, delivery__relay_patience="10m")
    sending = await slow.sending()
    await until(lambda: any("waiting" in one.read_text() for one in slow.folder.rglob("live.json")), "it says so")
    told = json.loads((await slow.campaign("status", "--json")).ends(0).out)
    assert (told["state"], told["rate"]) == ("waiting", 0.0)
    assert told["reason"].startswith(f"waiting for {gone.url} until ")
    assert f": waiting for {gone.url} until " in (await slow.campaign("status")).ends(0).out
    (await slow.campaign("stop", slow.run)).ends(0)
    (await sending.end()).ends(5)
    assert not list(slow.folder.rglob("*live.json*"))


async def test_a_run_is_told_when_another_process_shares_the_rate_of_its_account(slow: Stand, shelf: Shelf) -> None:
    sending = await slow.sending()
    await until(lambda: len(shelf.letters) >= 1, "a letter is there")
    which = f"another process sends through 127.0.0.1:{shelf.port}: its rate is for both"
    (await slow.set(campaign__name="bulletin").send("--max-duration", "2s")).ends(75, which)
    (await slow.campaign("stop", slow.folder / "runs" / "gazette")).ends(0)
    assert which not in (await sending.end()).ends(5).err


async def test_pause_and_resume(slow: Stand, shelf: Shelf) -> None:
    sending = await slow.sending()
    await until(lambda: len(shelf.letters) >= 1, "a letter is there")
    (await slow.campaign("pause", slow.run)).ends(0, "paused")
    await slow.campaign("set", slow.run, "rate=1000/s")
    await until(lambda: "ended" not in sending.talk and (slow.run / "log.jsonl").read_text().count("paus"), "it obeys")
    taken = len(shelf.letters)
    await slow.campaign("status", slow.run)
    assert len(shelf.letters) == taken < 20
    (await slow.campaign("resume", slow.run)).ends(0, "released")
    (await sending.end()).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY


async def test_cancel_ends_a_running_campaign_for_good(slow: Stand, shelf: Shelf) -> None:
    sending = await slow.sending()
    await until(lambda: len(shelf.letters) >= 2, "some letters are there")
    (await slow.campaign("cancel", slow.run)).ends(0, "cancelled")
    (await sending.end()).ends(3)
    taken = len(shelf.letters)
    assert slow.verdicts() == {"accepted": taken, "cancelled": 20 - taken}
    (await slow.send()).ends(0, "Nobody is left")
    assert len(shelf.letters) == taken < 20


async def test_cancel_ends_a_run_whose_process_has_left(stand: Stand, shelf: Shelf) -> None:
    await stand.send("--limit", 5)
    (await stand.campaign("cancel", stand.run)).ends(0, "cancelled", "failed.csv")
    assert stand.verdicts() == {"accepted": 5, "cancelled": 15}
    (await stand.send()).ends(0, "Nobody is left")
    (await stand.campaign("retry", stand.file)).ends(0, "15 recipients planned")
    assert sorted(shelf.recipients) == EVERYBODY


async def test_commands_about_a_run_that_is_not_there(stand: Stand) -> None:
    for command in ("status", "pause", "resume", "stop", "cancel", "report", "repair"):
        (await stand.campaign(command, "runs/none")).tells(78, "runs/none")


async def test_a_paused_run_can_be_stopped(slow: Stand, shelf: Shelf) -> None:
    sending = await slow.sending()
    await until(lambda: len(shelf.letters) >= 1, "a letter is there")
    await slow.campaign("pause", slow.run)
    await slow.campaign("stop", slow.run)
    (await sending.end()).ends(5, "campaign resume")
    assert slow.verdicts() == {"accepted": len(shelf.letters), "waiting": 20 - len(shelf.letters)}


async def test_a_run_resumed_while_it_stops_goes_on_with_the_same_command(stand: Stand, shelf: Shelf) -> None:
    shelf.waits["dot"] = 2.0
    sending = await stand.sending()
    await until(lambda: shelf.letters, "a letter is on its way")
    await stand.campaign("stop", stand.run)
    await until(lambda: "asked to stop" in sending.talk, "it stops")
    await stand.campaign("resume", stand.run)
    shelf.waits.clear()
    (await sending.end()).ends(75, "campaign send")
    (await stand.send()).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY


async def test_a_run_that_only_waits_for_those_put_off_can_be_stopped(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "451 a local error in processing"
    await stand.set(delivery__retry_after="10m").send("--max-duration", "2s")
    assert stand.verdicts() == {"accepted": 19, "deferred": 1}
    sending = await stand.sending()
    await until(lambda: "continuing" in sending.talk and "started" in sending.talk, "it waits")
    await stand.campaign("stop", stand.run)
    (await sending.end()).ends(5, "campaign resume")


async def test_a_run_held_for_its_canary_goes_on_once_it_is_released(stand: Stand, shelf: Shelf) -> None:
    for number in range(0, 20, 5):
        shelf.refuse[f"p{number}@example.com"] = "550 5.7.1 not you"
    (await stand.set(delivery__canary=4).send()).ends(5, "campaign resume")
    (await stand.send()).ends(5, "campaign resume")
    (await stand.campaign("resume", stand.run)).ends(0, "released")
    (await stand.send()).ends(3)
    assert stand.verdicts() == {"accepted": 16, "rejected": 4}


async def test_a_run_that_never_began_takes_no_wishes_that_would_vanish_with_it(stand: Stand, shelf: Shelf) -> None:
    stand.write("begun.csv", "")
    frozen = stand.folder / "runs" / "gazette" / "20200101T000000Z"
    frozen.mkdir(parents=True)
    (frozen / "plan.jsonl").write_text("{}", encoding="utf-8")
    for command in ("cancel", "stop", "status", "repair"):
        (await stand.campaign(command, frozen)).tells(78, "has not begun", "checkpoint.journal")
    assert sorted(path.name for path in frozen.iterdir()) == ["plan.jsonl"]
    (await stand.send()).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY


async def test_a_domain_s_limit_of_ours_rejects_nobody(stand: Stand, shelf: Shelf) -> None:
    stand.set(delivery__domain_rate={"example.com": ["1/h"]}, delivery__give_up_after="30m")
    (await stand.send("--max-duration", "3s")).ends(75)
    assert stand.verdicts() == {"accepted": 1, "deferred": 19}
