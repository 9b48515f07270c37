"""Whoever may have a letter already is sent another only where somebody asks for it, whatever happens meanwhile."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.servers.shelf import FIN, STALL, Shelf, say
from tests.support.stand import Stand, until

EVERYBODY = sorted(f"p{n}@example.com" for n in range(20))
DOUBTFUL = ["p2@example.com", "p3@example.com"]


@pytest.fixture
async def doubtful(stand: Stand, shelf: Shelf) -> Stand:
    """Two are served, two in doubt (the relay has their letters), sixteen wait."""
    shelf.break_at("dot", FIN, after=2, times=2)
    (await stand.send("--limit", 4)).ends(75)
    assert stand.verdicts() == {"accepted": 2, "in_doubt": 2, "waiting": 16}
    return stand


def listed(run: Path) -> dict[str, str]:
    rows = csv.DictReader((run / "in-doubt.csv").read_text(encoding="utf-8-sig").splitlines())
    return {row["address"]: row["message_id"] for row in rows}


def twice(shelf: Shelf) -> list[str]:
    return sorted(address for address, copies in Counter(shelf.recipients).items() if copies > 1)


async def test_a_run_left_behind_stays_behind_when_some_of_its_doubts_are_resolved(
    doubtful: Stand, shelf: Shelf
) -> None:
    left = doubtful.run
    (await doubtful.send("--fresh")).ends(0, "16 recipients planned")
    log = doubtful.write("relay.log", listed(left)[DOUBTFUL[0]])
    (await doubtful.campaign("resolve", left, "--accepted", log)).ends(4)
    (await doubtful.send("--in-doubt", "resend")).ends(0, "Nobody is left")
    assert sorted(shelf.recipients) == EVERYBODY


async def test_a_run_left_behind_cannot_be_cancelled(doubtful: Stand, shelf: Shelf) -> None:
    left = doubtful.run
    await doubtful.send("--fresh", "--limit", 5)
    (await doubtful.campaign("cancel", left)).tells(78, "has taken over", step="cancel the one")
    (await doubtful.send("--fresh")).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY


async def test_a_cancelled_run_keeps_its_doubts_and_can_send_them_again(doubtful: Stand, shelf: Shelf) -> None:
    (await doubtful.set(ledger__in_doubt="resend").campaign("cancel", doubtful.run)).ends(4)
    assert doubtful.verdicts() == {"accepted": 2, "in_doubt": 2, "cancelled": 16}
    (await doubtful.campaign("retry", doubtful.file, "--in-doubt")).ends(3, "16 recipients planned")
    assert doubtful.verdicts(doubtful.runs[0]) == {"accepted": 4, "cancelled": 16}
    assert twice(shelf) == DOUBTFUL
    copies = [content for _, address, content in shelf.letters if address in DOUBTFUL]
    assert len(set(copies)) == 2


async def test_a_doubt_does_not_expire(doubtful: Stand, shelf: Shelf) -> None:
    over = datetime.now(UTC) - timedelta(days=1)
    doubtful.set(ledger__in_doubt="resend", campaign__not_after=over.isoformat(timespec="milliseconds"))
    (await doubtful.send()).ends(4, "the rest expire")
    assert doubtful.verdicts() == {"accepted": 2, "in_doubt": 2, "expired": 16}
    assert sorted(listed(doubtful.run)) == DOUBTFUL


async def test_a_doubt_is_not_withdrawn(doubtful: Stand, shelf: Shelf) -> None:
    doubtful.write("gone.csv", f"email\n{DOUBTFUL[0]}\n")
    (await doubtful.set(audience__suppress=["gone.csv"]).send("--in-doubt", "resend")).ends(4)
    assert doubtful.verdicts() == {"accepted": 19, "in_doubt": 1}
    assert twice(shelf) == DOUBTFUL[1:]


async def test_a_relay_that_knows_the_first_copy_has_accepted_it(doubtful: Stand, shelf: Shelf) -> None:
    for _ in DOUBTFUL:
        shelf.break_at("dot", say("550 5.2.0 storage error, DuplicateDelivery: it is there"))
    (await doubtful.send("--in-doubt", "resend")).ends(0)
    assert doubtful.verdicts() == {"accepted": 20}


async def test_a_kill_before_the_second_sending_leaves_the_doubt_as_it_was(doubtful: Stand, shelf: Shelf) -> None:
    shelf.always["mail"] = STALL
    sending = await doubtful.sending("--in-doubt", "resend")
    await until(lambda: shelf.told("MAIL") > 4, "the second sending has begun")
    await sending.kill()
    del shelf.always["mail"]
    (await doubtful.send("--fresh")).ends(0, "16 recipients planned")
    (await doubtful.send()).ends(0, "Nobody is left")
    assert sorted(shelf.recipients) == EVERYBODY


async def test_who_is_put_off_at_the_second_sending_is_not_planned_anew(doubtful: Stand, shelf: Shelf) -> None:
    shelf.refuse = dict.fromkeys(DOUBTFUL, "451 4.7.1 come back later")
    (await doubtful.send("--in-doubt", "resend", "--limit", 18)).ends(75)
    assert doubtful.verdicts() == {"accepted": 18, "deferred": 2}
    shelf.refuse = {}
    (await doubtful.send("--fresh")).ends(0, "Nobody is left")
    assert not twice(shelf)
    await doubtful.campaign("report", doubtful.run)
    assert sorted(listed(doubtful.run)) == DOUBTFUL


async def test_a_run_stopped_and_cancelled_while_it_drains_has_ended(stand: Stand, shelf: Shelf) -> None:
    shelf.always["dot"] = STALL
    sending = await stand.set(delivery__drain="3s").sending()
    await until(lambda: shelf.letters, "a letter is in flight")
    await stand.campaign("stop", stand.run)
    await until(lambda: "asked to stop" in sending.talk, "it drains")
    await stand.campaign("cancel", stand.run)
    (await sending.end()).ends(4)
    assert stand.verdicts() == {"in_doubt": 1, "cancelled": 19}


async def test_doubts_are_resolved_although_the_campaign_file_was_edited(doubtful: Stand, shelf: Shelf) -> None:
    log = doubtful.write("relay.log", "\n".join(listed(doubtful.run).values()))
    doubtful.set(campaign__name="renamed", campaign__from="Ada <news@elsewhere.example>")
    (await doubtful.campaign("resolve", doubtful.run, "--accepted", log)).ends(0)
    assert doubtful.verdicts() == {"accepted": 4, "waiting": 16}


async def test_a_run_held_until_its_time_is_over_is_no_longer_held(doubtful: Stand, shelf: Shelf) -> None:
    await doubtful.campaign("stop", doubtful.run)
    over = datetime.now(UTC) - timedelta(days=1)
    doubtful.set(campaign__not_after=over.isoformat(timespec="milliseconds"))
    (await doubtful.send()).ends(4)
    assert doubtful.verdicts() == {"accepted": 2, "in_doubt": 2, "expired": 16}


async def test_a_doubt_is_listed_under_the_message_id_its_letter_had(doubtful: Stand, shelf: Shelf) -> None:
    before = listed(doubtful.run)
    assert all(one.endswith("@example.com>") for one in before.values())
    doubtful.set(campaign__from="news@example.net")
    (await doubtful.campaign("report", doubtful.run)).ends(0)
    assert listed(doubtful.run) == before
    (await doubtful.send("--accept-changes")).ends(4)
    assert listed(doubtful.run) == before


async def test_a_retry_with_no_doubts_to_send_again_tries_nobody_twice(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "550 5.7.1 not you"
    (await stand.send()).ends(3)
    (await stand.campaign("retry", stand.file, "--in-doubt")).ends(3, "1 recipient planned")
    assert tries(shelf, "p3@example.com") == 2
    assert len(stand.runs) == 2


async def test_a_retry_that_goes_on_with_an_unfinished_one_tries_nobody_twice(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse = dict.fromkeys(("p3@example.com", "p4@example.com"), "550 5.7.1 not you")
    (await stand.send()).ends(3)
    shelf.always["mail"] = STALL
    retrying = await stand.begin("retry", stand.file)
    await until(lambda: "new run" in retrying.talk, "the retry has begun")
    await retrying.kill()
    del shelf.always["mail"]
    (await stand.campaign("retry", stand.file, "--in-doubt")).ends(3, "continuing run")
    assert tries(shelf, "p3@example.com") == 2


def tries(shelf: Shelf, address: str) -> int:
    return sum(address in command for command in shelf.commands if command.upper().startswith("RCPT"))


async def test_no_doubt_is_settled_by_what_a_run_itself_wrote(doubtful: Stand) -> None:
    told = doubtful.run / "in-doubt.csv"
    (await doubtful.campaign("resolve", doubtful.run, "--accepted", told)).tells(65, "does not say what a relay took")
    assert doubtful.verdicts()["in_doubt"] == 2
