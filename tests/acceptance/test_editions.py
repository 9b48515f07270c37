"""Within one edition everybody is served once, over all runs, however often and by however many it is sent."""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from campaign.ledger.feedback.feedback_store import FeedbackStore
from campaign.model import FeedbackEvent, FeedbackOutcome
from tests.support.servers.shelf import STALL, Shelf, say
from tests.support.stand import Stand, message_id, recipient, until

EVERYBODY = sorted(f"p{n}@example.com" for n in range(20))


def inside(**later: float) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat(timespec="milliseconds")


async def test_only_the_newcomer_is_served(stand: Stand, shelf: Shelf) -> None:
    await stand.send()
    stand.people([*range(19, -1, -1), 20])
    (await stand.send()).ends(0, "1 recipient planned of 21 rows read")
    assert sorted(shelf.recipients) == sorted([*EVERYBODY, "p20@example.com"])
    assert shelf.recipients[-1] == "p20@example.com"
    assert (stand.run / "screened.csv").read_text(encoding="utf-8").count("already") == 20


async def test_another_edition_serves_everybody(stand: Stand, shelf: Shelf) -> None:
    await stand.set(campaign__edition="2026-11").send()
    (await stand.set(campaign__edition="2026-12").send()).ends(0, "20 recipients planned")
    assert Counter(shelf.recipients) == dict.fromkeys(EVERYBODY, 2)
    assert len(set(map(message_id, (content for _, _, content in shelf.letters)))) == 40


async def test_an_edition_left_unfinished_is_told_of_until_somebody_ends_it(stand: Stand, shelf: Shelf) -> None:
    stand.variables["CAMPAIGN__CAMPAIGN__EDITION"] = "2026-10"
    await stand.set(campaign__edition="%Y-%m").send("--limit", 5)
    left = stand.run
    del stand.variables["CAMPAIGN__CAMPAIGN__EDITION"]
    (await stand.send()).ends(
        0, "The edition 2026-10 was left unfinished", f"campaign cancel {left.relative_to(left.parents[3])}"
    )
    await stand.campaign("cancel", left)
    assert "left unfinished" not in (await stand.send()).err
    assert max(Counter(shelf.recipients).values()) == 2


async def test_a_campaign_file_means_the_newest_run_also_after_its_edition_has_turned(stand: Stand) -> None:
    stand.variables["CAMPAIGN__CAMPAIGN__EDITION"] = "2026-10"
    await stand.set(campaign__edition="%Y-%m").send("--limit", 5)
    del stand.variables["CAMPAIGN__CAMPAIGN__EDITION"]
    which = "has no run yet; this is the newest of the edition 2026-10"
    assert json.loads((await stand.campaign("status", stand.file, "--json")).ends(0, which).out)["passes"] == 1
    (await stand.campaign("stop", stand.file)).ends(0, which, "stopped")
    (await stand.campaign("report", stand.file)).ends(0, which)
    (await stand.send()).ends(0, "The edition 2026-10 was left unfinished")
    assert which not in (await stand.campaign("status", stand.file)).ends(0).err


async def test_again_serves_all_once_more_with_new_message_ids(stand: Stand, shelf: Shelf) -> None:
    await stand.send()
    (await stand.send("--again")).ends(0, "20 recipients planned")
    assert Counter(shelf.recipients) == dict.fromkeys(EVERYBODY, 2)
    assert len({message_id(content) for _, _, content in shelf.letters}) == 40
    (await stand.send()).ends(0, "Nobody is left")
    assert len(shelf.letters) == 40


async def test_again_continues_its_own_unfinished_run(stand: Stand, shelf: Shelf) -> None:
    await stand.send()
    await stand.send("--again", "--limit", 5)
    (await stand.send("--again")).ends(0, "continuing run", "5 of 20 settled earlier")
    assert Counter(shelf.recipients) == dict.fromkeys(EVERYBODY, 2)


async def test_fresh_leaves_the_unfinished_run_behind(stand: Stand, shelf: Shelf) -> None:
    await stand.send("--limit", 5)
    stand.write("letter.txt", "Another letter for {{ name }}.\n")
    (await stand.send("--fresh", "--limit", 3)).ends(75, "new run", "15 recipients planned of 20 rows read")
    (await stand.send("--fresh")).ends(0, "continuing run", "3 of 15 settled earlier")
    assert sorted(shelf.recipients) == EVERYBODY
    assert len(stand.runs) == 2
    (await stand.send()).ends(0, "Nobody is left")


async def test_two_sends_at_once_make_one_run(stand: Stand, shelf: Shelf) -> None:
    shelf.break_at("dot", STALL, after=19)
    both = await asyncio.gather(stand.sending(), stand.sending())
    await until(lambda: any(one.process.returncode is not None for one in both), "one of them has given up")
    loser = next(one for one in both if one.process.returncode is not None)
    (await loser.end()).tells(75, "Another process", step="campaign status")
    await until(lambda: len(shelf.letters) == 20, "the other goes on")
    for one in both:
        await one.kill()
    assert sorted(shelf.recipients) == EVERYBODY
    assert len(stand.runs) == 1


async def test_who_unsubscribed_between_two_runs_is_withdrawn(stand: Stand, shelf: Shelf) -> None:
    stand.write("unsubscribed.csv", "email\n")
    await stand.set(audience__suppress=["unsubscribed.csv"]).send("--limit", 5)
    waiting = sorted(set(EVERYBODY) - set(shelf.recipients))
    stand.write("unsubscribed.csv", f"email\n{waiting[0].upper()}\n")
    (await stand.send()).ends(0, "withdrawn")
    assert sorted(shelf.recipients) == sorted(set(EVERYBODY) - {waiting[0]})
    assert stand.verdicts() == {"accepted": 19, "withdrawn": 1}


async def test_an_address_that_a_relay_called_dead_is_suppressed_in_every_later_run(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p4@example.com"] = "550 5.1.1 no such user here"
    (await stand.send()).ends(3)
    assert "p4@example.com" in (stand.folder / "runs" / "suppressed.csv").read_text(encoding="utf-8")
    shelf.refuse.clear()
    (await stand.set(campaign__name="another").send()).ends(0, "19 recipients planned")
    assert shelf.recipients.count("p4@example.com") == 0


async def test_a_dead_address_that_could_not_be_written_down_is_suppressed_by_the_next_command(
    stand: Stand, shelf: Shelf
) -> None:
    shelf.refuse["p4@example.com"] = "550 5.1.1 no such user here"
    store, file = stand.folder / "runs" / "feedback.jsonl", stand.folder / "runs" / "suppressed.csv"
    store.parent.mkdir()
    with store.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (await stand.send()).tells(73, "feedback.jsonl cannot be written", "another process holds it")
    (await stand.send()).ends(3)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line.partition(",")[0] for line in lines] == ["address", "p4@example.com"]
    assert shelf.recipients.count("p4@example.com") == 0
    (await stand.campaign("suppression", stand.file, "--release", "P4@example.com")).ends(
        0
    )  # the operator knows better
    (await stand.send()).ends(0, "Nobody is left")
    assert "p4" not in file.read_text(encoding="utf-8")
    shelf.refuse.clear()
    (await stand.set(campaign__name="another").send()).ends(0, "20 recipients planned")
    assert shelf.recipients.count("p4@example.com") == 1


async def test_a_line_added_to_the_list_by_hand_keeps_an_address_out_from_then_on(stand: Stand, shelf: Shelf) -> None:
    file = stand.folder / "runs" / "suppressed.csv"
    file.parent.mkdir()
    file.write_text("p4@example.com\n", encoding="utf-8")
    (await stand.send()).ends(0, "19 recipients planned")
    assert file.read_text(encoding="utf-8").splitlines()[1].startswith("p4@example.com,listed by hand,")
    (await stand.set(campaign__name="another").send()).ends(0, "19 recipients planned")
    assert shelf.recipients.count("p4@example.com") == 0
    told = (await stand.campaign("suppression", stand.file, "--why", "p4@example.com", "--json")).ends(0)
    assert json.loads(told.out)["left_out"]["reason"] == "hard"


async def test_who_complains_while_a_run_goes_on_is_withdrawn(stand: Stand, shelf: Shelf) -> None:
    await stand.send("--limit", 5)
    waiting = sorted(set(EVERYBODY) - set(shelf.recipients))
    event = FeedbackEvent("1", "test", FeedbackOutcome.COMPLAINT, 1.0, 1.0, waiting[0].upper(), "message-id")
    with FeedbackStore(stand.folder / "runs") as store:
        store.add([event])
    (await stand.send()).ends(0, "withdrawn")
    assert sorted(shelf.recipients) == sorted(set(EVERYBODY) - {waiting[0]})


async def test_nothing_is_sent_where_the_store_of_feedback_is_damaged(stand: Stand, shelf: Shelf) -> None:
    store = stand.folder / "runs" / "feedback.jsonl"
    store.parent.mkdir()
    store.write_text("{}\n{}\n", encoding="utf-8")
    (await stand.send()).tells(74, "feedback.jsonl:1:", "sed -i.damaged 1d")
    assert shelf.recipients == []


async def test_retry_sends_only_to_those_who_failed(stand: Stand, shelf: Shelf) -> None:
    for number in (3, 4):
        shelf.refuse[f"p{number}@example.com"] = "550 5.7.1 not today"
    (await stand.send()).ends(3, "campaign retry")
    shelf.refuse.clear()
    stand.people(range(25))
    (await stand.campaign("retry", stand.file)).ends(0, "2 recipients planned")
    assert sorted(shelf.recipients) == EVERYBODY
    first = {message_id(content) for _, _, content in shelf.letters}
    assert len(first) == 20
    (await stand.campaign("retry", stand.file)).ends(0, "Nobody is left")
    (await stand.send()).ends(0, "5 recipients planned")
    assert max(Counter(shelf.recipients).values()) == 1


async def test_failed_csv_can_be_fed_back(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "550 5.7.1 not today"
    await stand.send()
    shelf.refuse.clear()
    (stand.folder / "people.csv").write_bytes((stand.run / "failed.csv").read_bytes())
    (await stand.set(campaign__edition="corrected").send()).ends(0, "1 recipient planned of 1 row read")
    assert shelf.recipients[-1] == "p3@example.com"


async def test_a_deferred_letter_has_its_later_pass(stand: Stand, shelf: Shelf) -> None:
    shelf.break_at("rcpt", say("451 a local error in processing"), after=2)
    (await stand.set(delivery__retry_after="1s").send()).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY
    assert stand.summary()["passes"] == 2


async def test_attempts_run_out(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "451 a local error in processing"
    (await stand.set(delivery__retry_after="10ms", delivery__attempts=3).send()).ends(3)
    assert stand.verdicts() == {"accepted": 19, "rejected": 1}
    assert shelf.told("RCPT TO:<P3@") == 3


async def test_one_who_is_put_off_for_ever_does_not_make_the_relay_look_dead(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "451 a local error in processing"
    (await stand.set(delivery__retry_after="10ms", delivery__attempts=7).send()).ends(3)
    assert stand.verdicts() == {"accepted": 19, "rejected": 1}
    assert shelf.told("RCPT TO:<P3@") == 7


async def test_who_unsubscribed_between_two_passes_is_withdrawn(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "451 a local error in processing"
    lists = stand.write("unsubscribed.csv", "email\n")
    sending = await stand.set(audience__suppress=["unsubscribed.csv"], delivery__retry_after="1s").sending()
    await until(lambda: shelf.told("RCPT TO:<P3@"), "it was put off")
    lists.write_text("email\np3@example.com\n", encoding="utf-8")
    shelf.refuse.clear()
    (await sending.end()).ends(0)
    assert stand.verdicts() == {"accepted": 19, "withdrawn": 1}


async def test_a_suppression_list_that_vanishes_stops_the_run(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "451 a local error in processing"
    lists = stand.write("unsubscribed.csv", "email\n")
    sending = await stand.set(audience__suppress=["unsubscribed.csv"], delivery__retry_after="1s").sending()
    await until(lambda: shelf.told("RCPT TO:<P3@"), "it was put off")
    lists.unlink()
    (await sending.end()).tells(65, "unsubscribed.csv")
    assert stand.verdicts() == {"accepted": 19, "deferred": 1}


async def test_letters_of_one_person_are_told_apart_by_their_key(stand: Stand) -> None:
    rows = "".join(f"i{n},p{n // 2}@example.com,Person {n // 2}\n" for n in range(6))
    stand.write("people.csv", f"invoice,email,name\n{rows}i0,p0@example.com,Person 0\n")
    (await stand.set(audience__key="invoice").send()).ends(0, "6 recipients planned of 7 rows read")
    assert Counter(map(recipient, stand.kept())) == {f"p{n}@example.com": 2 for n in range(3)}
    assert len(set(map(message_id, stand.kept()))) == 6


async def test_what_tells_letters_apart_may_change_and_still_nobody_is_served_twice(stand: Stand, shelf: Shelf) -> None:
    rows = "".join(f"i{n},p.{n}@gmail.com,Person {n}\n" for n in range(6))
    stand.write("people.csv", f"invoice,email,name\n{rows}")
    (await stand.send()).ends(0, "6 recipients planned")
    (await stand.set(audience__provider_rules=True).send()).ends(0, "Nobody is left")
    (await stand.set(audience__key="invoice").send()).ends(0, "Nobody is left")
    stand.write("people.csv", f"invoice,email,name\n{rows}i6,p.0@gmail.com,Person 0\n")
    (await stand.send()).ends(0, "1 recipient planned of 7 rows read")
    (await stand.set(audience__key="").send()).ends(0, "Nobody is left")
    assert len(shelf.letters) == 7


async def test_78_when_nobody_can_tell_who_was_served(stand: Stand, shelf: Shelf) -> None:
    await stand.send()
    stand.write("people.csv", "email,name,invoice\np0@example.com,Person 0,i0\n")
    (await stand.set(audience__key="invoice").send()).tells(78, "'invoice'", "audience.key", step="leave audience.key")
    (await stand.send("--again")).ends(0, "1 recipient planned")
    assert len(shelf.letters) == 21


async def test_run_never_takes_over_a_folder_that_is_no_run(stand: Stand, shelf: Shelf) -> None:
    await stand.set(campaign__edition="2026-11").send()
    journal = stand.run / "checkpoint.journal"
    stand.set(campaign__edition="", audience__source="none.csv")
    (await stand.send("--run", "2026-11")).tells(78, "2026-11", step="give a name")
    assert journal.exists()


# -- the time of a campaign


async def test_78_once_its_time_is_over(stand: Stand, shelf: Shelf) -> None:
    stand.set(campaign__not_after=inside(days=-1))
    (await stand.send()).tells(78, "is over", "not_after")
    assert not stand.runs
    assert not shelf.letters


async def test_the_rest_expire_when_its_time_ends_during_the_run(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "451 a local error in processing"
    sending = await stand.set(campaign__not_after=inside(seconds=6)).sending()
    (await sending.end()).ends(3, "not_after has passed")
    assert stand.verdicts() == {"accepted": 19, "expired": 1}
    assert "expired" in (stand.run / "failed.csv").read_text(encoding="utf-8")


async def test_the_rest_of_an_unfinished_run_expires_when_it_is_taken_up_too_late(stand: Stand, shelf: Shelf) -> None:
    await stand.send("--limit", 5)
    stand.set(campaign__not_after=inside(days=-1))
    (await stand.send("--fresh")).tells(78, "is over")
    (await stand.send()).ends(3, "not_after has passed", "expired")
    assert stand.verdicts() == {"accepted": 5, "expired": 15}
    assert len(shelf.letters) == 5
    (await stand.send()).tells(78, "is over")


async def test_a_run_waits_for_its_time(stand: Stand, shelf: Shelf) -> None:
    (await stand.set(campaign__not_before=inside(seconds=4)).send()).ends(0, "waiting until")
    assert sorted(shelf.recipients) == EVERYBODY


async def test_a_retry_that_can_serve_nobody_says_that_they_are_suppressed(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse = dict.fromkeys(EVERYBODY, "550 5.1.1 no such user")
    ended = (await stand.send()).ends(3)
    assert "campaign retry" not in ended.out + ended.err
    (await stand.campaign("retry", stand.file)).ends(0, "20 failed, and none of them can be tried again")
