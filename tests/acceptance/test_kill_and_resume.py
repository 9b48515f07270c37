"""``kill -9`` at any moment: the same command goes on, nobody is lost, and nobody gets a letter twice unasked."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from tests.support.servers.shelf import FIN, STALL, Shelf
from tests.support.stand import Stand, message_id, recipient, until

EVERYBODY = sorted(f"p{n}@example.com" for n in range(20))


@pytest.fixture
async def killed(stand: Stand, shelf: Shelf) -> Stand:
    """Five letters accepted; the relay has the sixth and has not answered; then the sender was killed."""
    shelf.break_at("dot", STALL, after=5)
    sending = await stand.sending()
    await until(lambda: len(shelf.letters) == 6, "the sixth letter has arrived")
    await sending.kill()
    return stand


def copies(shelf: Shelf) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = {}
    for _, to, content in shelf.letters:
        found.setdefault(to, set()).add(content)
    return found


def listed(run: Path) -> list[dict[str, str]]:
    with (run / "in-doubt.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


async def test_hold_goes_on_with_the_others_and_lists_the_one_in_doubt(killed: Stand, shelf: Shelf) -> None:
    (await killed.send()).ends(
        4,
        "continuing run",
        "5 of 20 settled earlier, 1 in doubt, 14 to go",
        "they are listed and not sent again (in_doubt = hold); the others go on",
    )
    assert sorted(shelf.recipients) == EVERYBODY
    assert killed.verdicts() == {"accepted": 19, "in_doubt": 1}
    doubtful = shelf.letters[5]
    assert [row["address"] for row in listed(killed.run)] == [doubtful[1]]
    assert [row["message_id"] for row in listed(killed.run)] == [message_id(doubtful[2])]
    (await killed.send()).ends(0, "Nobody is left", "1 in doubt")
    assert len(shelf.letters) == 20


async def test_resend_sends_the_same_bytes(killed: Stand, shelf: Shelf) -> None:
    ended = await killed.send("--in-doubt", "resend")
    ended.ends(0, "1 in doubt", "sent again with the same Message-ID and bytes")
    twice = [to for to, count in Counter(shelf.recipients).items() if count > 1]
    assert twice == [shelf.letters[5][1]]
    assert len(shelf.letters) == 21
    assert sorted(copies(shelf)) == EVERYBODY
    assert all(len(different) == 1 for different in copies(shelf).values())
    assert killed.verdicts() == {"accepted": 20}


async def test_skip_never_sends_it_again(killed: Stand, shelf: Shelf) -> None:
    (await killed.send("--in-doubt", "skip")).ends(3, "1 in doubt", "never sent again")
    assert sorted(shelf.recipients) == EVERYBODY
    assert killed.verdicts() == {"accepted": 19, "in_doubt": 1}


async def test_a_doubtful_letter_that_cannot_be_made_again_is_not_sent(killed: Stand, shelf: Shelf) -> None:
    killed.write("letter.txt", "Dear {{ name }}, the news is better.\n")
    ended = await killed.send("--in-doubt", "resend", "--accept-changes")
    ended.ends(4)
    assert sorted(shelf.recipients) == EVERYBODY
    assert killed.verdicts() == {"accepted": 19, "in_doubt": 1}
    killed.write("letter.txt", "Dear {{ name }},\nthe news is good.\n")
    (await killed.send("--in-doubt", "resend", "--accept-changes")).ends(0)
    assert copies(shelf)[shelf.letters[5][1]] == {shelf.letters[5][2]}


async def test_retry_in_doubt_sends_those_in_doubt_again(killed: Stand, shelf: Shelf) -> None:
    await killed.send()
    (await killed.campaign("retry", killed.file, "--in-doubt")).ends(0)
    assert len(shelf.letters) == 21
    assert all(len(different) == 1 for different in copies(shelf).values())


async def test_retry_in_doubt_serves_no_newcomer(stand: Stand, shelf: Shelf) -> None:
    await stand.send()
    stand.people(range(25))
    (await stand.campaign("retry", stand.file, "--in-doubt")).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY


async def test_retry_in_doubt_reaches_doubts_of_a_run_before_the_newest(killed: Stand, shelf: Shelf) -> None:
    await killed.send()
    killed.people(range(22))
    (await killed.send()).ends(0)
    assert len(killed.runs) == 2
    (await killed.campaign("retry", killed.file, "--in-doubt")).ends(0, "20 to go"[3:])
    assert Counter(shelf.recipients) == Counter([*EVERYBODY, shelf.recipients[5], "p20@example.com", "p21@example.com"])
    assert killed.verdicts(killed.runs[0]) == {"accepted": 20}


async def test_the_policy_of_the_file_sends_doubts_again_with_the_next_command(stand: Stand, shelf: Shelf) -> None:
    shelf.break_at("dot", FIN, after=4)
    stand.set(ledger__in_doubt="resend")
    (await stand.send()).ends(4)
    (await stand.send()).ends(0, "1 in doubt", "sent again with the same Message-ID")
    assert len(shelf.letters) == 21
    assert sorted(copies(shelf)) == EVERYBODY
    (await stand.send()).ends(0, "Nobody is left")


async def test_what_a_fresh_run_left_behind_is_never_sent_again(killed: Stand, shelf: Shelf) -> None:
    """Those who waited in it were served by the fresh run; its doubt stays listed."""
    (await killed.send("--fresh")).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY
    (await killed.send("--in-doubt", "resend")).ends(0, "Nobody is left")
    assert sorted(shelf.recipients) == EVERYBODY


async def test_retry_refuses_while_the_run_is_unfinished(stand: Stand, shelf: Shelf) -> None:
    await stand.send("--limit", 5)
    for flags in ([], ["--in-doubt"]):
        (await stand.campaign("retry", stand.file, *flags)).tells(75, "unfinished", step="campaign send")
    assert len(shelf.letters) == 5


async def test_resolve_settles_doubts_from_a_relays_log(killed: Stand, shelf: Shelf) -> None:
    await killed.send()
    log = killed.write("relay.log", f"Nov 24 postfix/cleanup: 4F: message-id={message_id(shelf.letters[5][2])}\n")
    (await killed.campaign("resolve", killed.run, "--accepted", log)).ends(0, "1 settled as accepted, 0 still in doubt")
    assert killed.verdicts() == {"accepted": 20}
    assert killed.summary()["exit_code"] == 0
    (await killed.send()).ends(0, "Nobody is left")
    assert len(shelf.letters) == 20


async def test_resolve_leaves_in_doubt_whom_the_log_does_not_name(killed: Stand, shelf: Shelf) -> None:
    await killed.send()
    log = killed.write("relay.log", "<someone.else@example.com>\n")
    (await killed.campaign("resolve", killed.run, "--accepted", log)).ends(4, "0 settled as accepted, 1 still in doubt")
    (await killed.campaign("resolve", killed.run, "--accepted", "none.log")).ends(65, "none.log")
    assert killed.verdicts() == {"accepted": 19, "in_doubt": 1}


async def test_kills_one_after_another_lose_nobody(stand: Stand) -> None:
    """Through the embedded mailbox, which dies with its sender; its files then settle every doubt."""
    stand.people(range(60))
    stand.set(delivery__connections=5, delivery__rate="60/s")
    for kill in range(1, 4):
        sending = await stand.sending()
        await until(lambda kill=kill: len(stand.kept()) >= 12 * kill, "letters are kept")
        await sending.kill()
    await stand.set(delivery__rate=[]).send()
    everybody = {f"p{n}@example.com" for n in range(60)}
    kept = list(map(recipient, stand.kept()))
    assert max(Counter(kept).values()) == 1
    doubtful = {row["address"] for row in listed(stand.run)}
    assert len(doubtful) <= 3 * 5
    assert set(kept) | doubtful == everybody
    assert stand.summary()["verdicts"]["accepted"] == 60 - len(doubtful)
    missing = everybody - set(kept)
    maildir = stand.run / "mailbox"
    (await stand.campaign("resolve", stand.run, "--accepted", maildir)).ends(
        4 if missing else 0, f"{len(missing)} still"
    )
    assert stand.summary()["verdicts"]["accepted"] == len(kept)
    if missing:
        (await stand.send("--in-doubt", "resend")).ends(0)
    assert sorted(map(recipient, stand.kept())) == sorted(everybody)


async def test_a_kill_while_the_list_is_read_leaves_no_half_run(stand: Stand, shelf: Shelf) -> None:
    stand.people(range(60_000))
    stand.set(audience__where="name == 'Person 7'")
    sending = await stand.sending()
    await until(lambda: list(stand.folder.glob("runs/gazette/*/*")), "the plan is being written")
    await sending.kill()
    (await stand.send()).ends(0)
    assert shelf.recipients == ["p7@example.com"]
    assert len(stand.runs) == 1


async def test_a_torn_last_line_is_cut_off_with_a_notice(killed: Stand, shelf: Shelf) -> None:
    with (killed.run / "checkpoint.journal").open("ab") as journal:
        journal.write(b'0123abcd {"is":"intent","number":6,"sha2')
    (await killed.send()).ends(4, "The last 40 octets of the journal were torn", "5 of 20 settled earlier, 1 in doubt")
    assert sorted(shelf.recipients) == EVERYBODY


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_a_relay_that_fails_now_and_then_costs_no_letter(stand: Stand, shelf: Shelf, durability: str) -> None:
    shelf.break_at("rcpt", FIN, after=3)
    shelf.break_at("data", FIN, after=8)
    (await stand.set(ledger__durability=durability, delivery__connections=3).send()).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY


# -- a damaged journal


async def test_repair_saves_what_can_be_saved(stand: Stand, shelf: Shelf) -> None:
    await stand.send("--limit", 8)
    journal = stand.run / "checkpoint.journal"
    lines = journal.read_bytes().split(b"\n")
    lost = next(at for at, line in enumerate(lines) if b'"verdict":"accepted"' in line)
    lines[lost] = lines[lost].replace(b"accepted", b"rejected")
    damaged = b"\n".join(lines)
    journal.write_bytes(damaged)
    (await stand.send()).tells(74, f"checkpoint.journal:{lost + 1}", step="campaign repair")
    (await stand.campaign("report", stand.run)).tells(74, f":{lost + 1}", step="campaign repair")
    (await stand.campaign("status", stand.run)).tells(74, f":{lost + 1}", step="campaign repair")
    (await stand.campaign("repair", stand.run, "--dry-run")).ends(0, f"1 lost (line {lost + 1})", "would be in doubt")
    assert journal.read_bytes() == damaged
    (await stand.campaign("repair", stand.run)).ends(0, "are in doubt", "campaign resolve")
    assert (stand.run / "checkpoint.journal.damaged-1").read_bytes() == damaged
    (await stand.send()).ends(0, "in doubt; from the relay's log: ", "campaign resolve")
    assert len(shelf.recipients) == 8
    ids = stand.write("ids.txt", "".join(f"{message_id(content)}\n" for _, _, content in shelf.letters))
    await stand.campaign("resolve", stand.run, "--accepted", ids)
    await stand.send("--in-doubt", "resend")
    assert sorted(shelf.recipients) == EVERYBODY
    (await stand.campaign("repair", stand.run)).ends(0, "nothing needs repair")
