"""What goes out comes back, and who cannot be reached gets no further letter: the whole circle, by its commands."""

from __future__ import annotations

import json
import pwd
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from campaign.ledger.feedback.feedback_store import read_events
from campaign.model import FeedbackEvent, FeedbackOutcome
from tests.support.bounces import Maildir, attached, bounce, complaint, plain_mail
from tests.support.servers import certificates
from tests.support.servers.dovecot import PASSWORD, dovecot
from tests.support.servers.real import open_folder, postfix_in_folder, program
from tests.support.servers.shelf import FIN, Shelf
from tests.support.stand import ROOT, Stand, clean_environment, until


@pytest.fixture
def bounces(stand: Stand) -> Maildir:
    """A mailbox for what comes back, and a campaign that has its letters come back to it."""
    stand.set(
        campaign__return_path="bounce+{token}@example.com",
        feedback__source=[{"url": "maildir:bounces"}],
    )
    return Maildir(stand.folder / "bounces")


def events(stand: Stand) -> dict[str, FeedbackEvent]:
    return {one.address: one for one in read_events(stand.folder / "runs")}


def letter_of(shelf: Shelf, address: str) -> tuple[str, bytes]:
    return next((sender, content) for sender, recipient, content in shelf.letters if recipient == address)


def bounced(shelf: Shelf, address: str, **more: Any) -> bytes:
    sender, content = letter_of(shelf, address)
    return bounce(sender, content, recipient=address, **more)


async def test_who_bounced_is_left_out_of_the_next_edition(stand: Stand, shelf: Shelf, bounces: Maildir) -> None:
    (await stand.set(campaign__edition="one").send()).ends(0)
    bounces.put(
        bounced(shelf, "p1@example.com"),
        bounced(shelf, "p2@example.com", status="5.2.2", said="552 5.2.2 mailbox full"),
        bounced(shelf, "p3@example.com", status="5.7.1", said="550 5.7.1 rejected as spam"),
        plain_mail("news@example.com", "hello"),
    )
    (await stand.campaign("collect", stand.file)).ends(0, "4 new events", "1 not recognised")
    found = events(stand)
    assert {address: one.outcome for address, one in found.items()} == {
        "p1@example.com": FeedbackOutcome.HARD,
        "p2@example.com": FeedbackOutcome.SOFT,
        "p3@example.com": FeedbackOutcome.NOT_THEIR_FAULT,
        "": FeedbackOutcome.UNKNOWN,
    }
    assert found["p1@example.com"].matched_by == "return-path"
    assert found["p1@example.com"].run == f"gazette/one/{stand.run.name}"
    assert not bounces.waiting
    assert [len(bounces.kept(name)) for name in ("collected", "not-recognised")] == [3, 1]
    shelf.letters.clear()
    (await stand.set(campaign__edition="two").send()).ends(0)
    assert sorted(shelf.recipients) == sorted(f"p{n}@example.com" for n in range(20) if n != 1)


async def test_a_second_collect_finds_nothing_and_a_message_moved_back_counts_once(
    stand: Stand, shelf: Shelf, bounces: Maildir
) -> None:
    (await stand.send()).ends(0)
    bounces.put(bounced(shelf, "p1@example.com"))
    (await stand.campaign("collect", stand.file)).ends(0, "1 new event")
    (await stand.campaign("collect", stand.file)).ends(0, "collected 0 messages")
    [kept] = bounces.kept("collected")
    kept.rename(bounces.folder / "new" / kept.name)
    (await stand.campaign("collect", stand.file)).ends(0, "0 new events", "1 known before")
    assert len(list(read_events(stand.folder / "runs"))) == 1


async def test_a_letter_in_doubt_that_bounced_is_settled_and_sent_to_nobody_again(
    stand: Stand, shelf: Shelf, bounces: Maildir
) -> None:
    shelf.break_at("dot", FIN, after=2, times=2)
    (await stand.send("--limit", 4)).ends(75)
    doubtful = ["p2@example.com", "p3@example.com"]
    assert stand.verdicts()["in_doubt"] == 2
    bounces.put(bounced(shelf, doubtful[0], status="5.2.2", said="552 5.2.2 mailbox full"))
    (await stand.campaign("collect", stand.file)).ends(0, "1 letter in doubt settled as accepted")
    assert stand.verdicts() == {"accepted": 3, "in_doubt": 1, "waiting": 16}
    (await stand.campaign("collect", stand.file)).ends(0)
    assert stand.verdicts() == {"accepted": 3, "in_doubt": 1, "waiting": 16}
    (await stand.send("--in-doubt", "resend")).ends(0)
    assert stand.verdicts() == {"accepted": 20}
    assert shelf.recipients.count(doubtful[0]) == 1


async def test_complaints_and_unsubscribes_by_mail_are_found_by_what_the_letter_held(
    stand: Stand, shelf: Shelf, bounces: Maildir
) -> None:
    stand.set(campaign__edition="one", compose__unsubscribe_mailto="unsub+{token}@example.com")
    (await stand.send()).ends(0)
    header = letter_of(shelf, "p5@example.com")[1].partition(b"<mailto:")[2].partition(b">")[0].decode()
    passed_on = letter_of(shelf, "p6@example.com")[1]
    bounces.put(
        attached("news@example.com", passed_on),
        complaint("abuse@example.com", letter_of(shelf, "p4@example.com")[1]),
        plain_mail(header, "whatever"),
        plain_mail("unsub+aaaaaaaaaaaaaaaaaaaaaaaa@example.com", "unsubscribe"),
    )
    ended = (await stand.campaign("collect", stand.file, "--json")).ends(0)
    assert json.loads(ended.out)["not_recognised"] == 1
    found = events(stand)
    assert found["p6@example.com"].outcome is FeedbackOutcome.UNKNOWN
    assert found["p4@example.com"].outcome is FeedbackOutcome.COMPLAINT
    assert (found["p5@example.com"].outcome, found["p5@example.com"].matched_by) == (
        FeedbackOutcome.UNSUBSCRIBE,
        "unsubscribe-token",
    )
    shelf.letters.clear()
    (await stand.set(campaign__edition="two").send()).ends(0)
    assert sorted(shelf.recipients) == sorted(f"p{n}@example.com" for n in range(20) if n not in (4, 5))


async def test_a_mailbox_that_is_gone_keeps_no_other_from_being_read(
    stand: Stand, shelf: Shelf, bounces: Maildir
) -> None:
    (await stand.send()).ends(0)
    stand.set(feedback__source=[{"url": "maildir:gone"}, {"url": "maildir:bounces"}])
    bounces.put(bounced(shelf, "p1@example.com"))
    (await stand.campaign("collect", stand.file)).tells(65, "gone", step="")
    assert events(stand)["p1@example.com"].outcome is FeedbackOutcome.HARD


POSTMAN = "postfix"
WHO_BOUNCES = {
    "p1@example.com": "550 5.1.1 <p1@example.com>: user unknown",
    "p2@example.com": "552 5.2.2 <p2@example.com>: mailbox full, over quota",
    "p3@example.com": "554 5.7.1 <p3@example.com>: rejected as spam",
    "ada@gone.example": "556 5.1.10 the domain gone.example accepts no mail (null MX)",
}


@pytest.fixture
async def returning(stand: Stand) -> AsyncIterator[tuple[Maildir, Shelf]]:
    """A Postfix that takes every letter, learns from the next server who refuses, and bounces into a Maildir."""
    with open_folder("bounces") as folder:
        async with Shelf() as onward:
            onward.refuse = dict(WHO_BOUNCES)
            program("postfix", needs_root=True)
            user = pwd.getpwnam(POSTMAN)
            mail = folder / "mail"
            bounces = Maildir(mail / "bounces")
            for one in (mail, *mail.rglob("*")):
                shutil.chown(one, user.pw_uid, user.pw_gid)
            settings = f"""
virtual_mailbox_domains = bounces.example
virtual_mailbox_base = {mail}
virtual_mailbox_maps = inline:{{ {{bounce@bounces.example=bounces/}} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{user.pw_uid}
virtual_gid_maps = static:{user.pw_gid}
recipient_delimiter = +
"""
            service = "virtual unix - n n - - virtual"
            async with postfix_in_folder(onward.port, settings, service) as (port, _):
                stand.set(
                    campaign__return_path="bounce+{token}@bounces.example",
                    delivery__relay=f"smtp://127.0.0.1:{port}",
                    feedback__source=[{"url": f"maildir:{mail}/bounces"}],
                )
                yield bounces, onward
                await stand.leave()


async def test_a_real_servers_bounces_find_their_people_and_the_next_edition_leaves_them_out(
    stand: Stand, returning: tuple[Maildir, Shelf]
) -> None:
    bounces, onward = returning
    with (stand.folder / "people.csv").open("a", encoding="utf-8") as people:
        people.write("ada@gone.example,Ada\n")
    (await stand.set(campaign__edition="one").send()).ends(0)
    await until(lambda: len(bounces.waiting) == 4, "four letters have come back")
    (await stand.campaign("collect", stand.file)).ends(0, "4 new events")
    found = events(stand)
    assert {address: (one.outcome, one.matched_by) for address, one in found.items()} == {
        "p1@example.com": (FeedbackOutcome.HARD, "return-path"),
        "p2@example.com": (FeedbackOutcome.SOFT, "return-path"),
        "p3@example.com": (FeedbackOutcome.NOT_THEIR_FAULT, "return-path"),
        "ada@gone.example": (FeedbackOutcome.HARD, "return-path"),
    }
    assert found["p1@example.com"].reason == "no_such_user"
    assert not bounces.waiting
    onward.letters.clear()
    onward.refuse.clear()
    (await stand.set(campaign__edition="two").send()).ends(0)
    await until(lambda: len(onward.letters) >= 19, "the second edition has gone on")
    assert sorted(onward.recipients) == sorted(f"p{n}@example.com" for n in range(20) if n != 1)


@pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
async def test_bounces_are_collected_from_a_mailbox_on_a_real_server(stand: Stand, shelf: Shelf, protocol: str) -> None:
    with dovecot() as server:
        certificates.ca_file(stand.folder)
        stand.write("mailbox.password", f"{PASSWORD}\n").chmod(0o600)
        source = {"url": server.url(protocol), "password_file": "mailbox.password", "tls_ca_file": "ca.pem"}
        stand.set(campaign__return_path="bounce+{token}@example.com", feedback__source=[source])
        (await stand.send()).ends(0)
        server.deliver([bounced(shelf, f"p{number}@example.com") for number in (1, 2)])
        server.deliver([plain_mail("news@example.com", "hello")])
        (await stand.campaign("collect", stand.file)).ends(0, "3 new events", "1 not recognised")
        (await stand.campaign("collect", stand.file)).ends(0, "0 new events")
        assert {one.address for one in read_events(stand.folder / "runs")} == {"p1@example.com", "p2@example.com", ""}
        if protocol == "imaps":
            assert [len(server.files(name)) for name in ("", ".collected", ".not-recognised")] == [0, 2, 1]
        stand.write("mailbox.password", "wrong\n")
        (await stand.campaign("collect", stand.file)).tells(77, "the login was refused")
    (await stand.campaign("collect", stand.file)).tells(75, "cannot be reached")


def test_the_demonstration_does_what_it_says(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, ROOT / "sample_data" / "feedback_demo.py", tmp_path / "demo"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
    )
    assert "Left out of the second edition: bob@example.com, finn@example.com, gwen@example.com\n" in told.stdout
