"""Bounces of our own letters as Postfix, Exim and OpenSMTPD make them: whom they are about, and what they mean."""

from __future__ import annotations

import pwd
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from campaign.ledger.feedback.feedback_store import read_events
from campaign.model import FeedbackEvent, FeedbackOutcome
from tests.support.bounces import Maildir
from tests.support.servers.real import exim, opensmtpd, postfix_in_folder, program
from tests.support.servers.shelf import EXTENSIONS, Shelf
from tests.support.stand import Stand, until

EACH = 6  #: people for each way of being refused
HEAVY = 70_000  #: octets of a letter above `LIMIT`
LIMIT = 60_000

Meaning = tuple[FeedbackOutcome, str]
NO_SUCH_USER = (FeedbackOutcome.HARD, "no_such_user")
TOO_BIG = (FeedbackOutcome.NOT_THEIR_FAULT, "too_big")
#: Local part of an address -> what the next server replies to it, and what a bounce that quotes this means.
REFUSED: dict[str, tuple[str, Meaning]] = {
    "unknown": ("550 5.1.1 <{}>: Recipient address rejected: User unknown", NO_SUCH_USER),
    "nobody": ("550 No such user here", NO_SUCH_USER),
    "denied": ("554 5.7.1 <{}>: Relay access denied", (FeedbackOutcome.NOT_THEIR_FAULT, "relay_denied")),
    "large": ("552 5.3.4 Message size exceeds fixed limit", TOO_BIG),
    "full": ("552 5.2.2 <{}>: mailbox is full", (FeedbackOutcome.SOFT, "full")),
}
#: Letters that the servers refuse by themselves: to an address of their own, and because of their size.
BY_ITSELF: dict[str, Meaning] = {"gone@local.example": NO_SUCH_USER, "heavy@example.com": TOO_BIG}
#: Exim does not say why it did not send a letter that is above the limit of its transport.
BY_EXIM = {**BY_ITSELF, "heavy@example.com": (FeedbackOutcome.SOFT, "other")}
WELL = "well@example.com"
TOKEN = re.compile(rb"bounce\+[a-z2-7]{24}@")


@asynccontextmanager
async def our_postfix(oracle: int) -> AsyncIterator[int]:
    program("postfix", needs_root=True)
    user = pwd.getpwnam("postfix")
    settings = f"""
virtual_mailbox_domains = local.example
virtual_mailbox_base = /nonexistent
virtual_mailbox_maps = inline:{{ {{somebody@local.example=somebody/}} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{user.pw_uid}
virtual_gid_maps = static:{user.pw_gid}
smtpd_reject_unlisted_recipient = no
smtp_connection_cache_on_demand = no
"""
    async with postfix_in_folder(oracle, settings, "virtual unix - n n - - virtual") as (port, _):
        yield port


@asynccontextmanager
async def our_exim(oracle: int, settings: str = "") -> AsyncIterator[int]:
    common = "dsn_advertise_hosts = *\nsmtp_accept_queue_per_connection = 0\nbounce_return_size_limit = 20K\n"
    router = "local:\n  driver = redirect\n  domains = local.example\n  data = :fail: User unknown\n  allow_fail\n"
    limit = f"  message_size_limit = {LIMIT}\n"
    async with exim(oracle, settings=common + settings, routers=router, transport=limit) as port:
        yield port


@asynccontextmanager
async def exim_without_the_letter(oracle: int) -> AsyncIterator[int]:
    async with our_exim(oracle, "bounce_return_message = false") as port:
        yield port


@asynccontextmanager
async def our_opensmtpd(oracle: int) -> AsyncIterator[int]:
    """Leaves nothing in its queue, which the next one would deliver."""

    def queued() -> set[Path]:
        return {path for path in Path("/var/spool/smtpd/queue").rglob("*") if path.is_file()}

    async with opensmtpd(oracle) as port:
        before = queued()
        yield port
        await until(lambda: queued() <= before, "its queue is empty")


@dataclass(frozen=True)
class Postman:
    """A server that bounces; ``asked`` is what the campaign asks it for, ``each`` the people for each refusal."""

    name: str
    start: Callable[[int], AbstractAsyncContextManager[int]]
    by_itself: dict[str, Meaning] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    each: int = EACH


HEADER = {"delivery__dsn": ["failure"]}
WHOLE = {"delivery__dsn": ["failure", "success"], "delivery__dsn_return": "full"}
POSTMEN = [
    Postman("postfix", our_postfix, BY_ITSELF),
    Postman("postfix, header asked for", our_postfix, BY_ITSELF, HEADER),
    Postman("postfix, whole letter asked for", our_postfix, BY_ITSELF, WHOLE),
    Postman("exim", our_exim, BY_EXIM),
    Postman("exim, header asked for", our_exim, BY_EXIM, HEADER),
    Postman("exim, whole letter asked for", our_exim, BY_EXIM, WHOLE),
    Postman("exim, without the letter", exim_without_the_letter, BY_EXIM),
    Postman("opensmtpd", our_opensmtpd, each=2),  # it sends one bounce a second
    Postman("opensmtpd, whole letter asked for", our_opensmtpd, asked=WHOLE, each=2),
]


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    stand = Stand(tmp_path)
    yield stand
    await stand.leave()


def refused_people(postman: Postman) -> dict[str, tuple[str, Meaning]]:
    """Address -> the next server's reply, empty where the first one refuses by itself; and what it means."""
    people = {}
    for number in range(postman.each):
        for name, (reply, meaning) in REFUSED.items():
            address = f"{name}{number}@example.com"
            people[address] = (reply.format(address), meaning)
        for one, meaning in postman.by_itself.items():
            people[one.replace("@", f"{number}@")] = ("", meaning)
    return people


def came_back(shelf: Shelf) -> list[tuple[str, bytes]]:
    """Envelope recipient and content of what a server sent with the empty return path."""
    return [(to, content) for sender, to, content in shelf.letters if not sender]


async def bounced(stand: Stand, postman: Postman) -> tuple[dict[str, Meaning], list[tuple[str, bytes]]]:
    """Send a letter to each; gives what has to be found, and what came back."""
    people = refused_people(postman)
    reports_success = "success" in postman.asked.get("delivery__dsn", ())
    expected = {address: meaning for address, (_, meaning) in people.items()}
    expected |= {WELL: (FeedbackOutcome.DELIVERED, "")} if reports_success else {}
    rows = "".join(f"{one},{'x' * HEAVY if one.startswith('heavy') else 'short'}\n" for one in (*people, WELL))
    stand.write("people.csv", "email,name\n" + rows)
    stand.write("letter.txt", "Dear reader,\nhere is {{ name }}.\n")
    stand.set(audience__display_name="", compose__subject="The news")
    async with Shelf((*(one for one in EXTENSIONS if not one.startswith("SIZE")), f"SIZE {LIMIT}")) as onward:
        onward.refuse = {address: reply for address, (reply, _) in people.items() if reply}
        async with postman.start(onward.port) as port:
            stand.set(
                campaign__return_path="bounce+{token}@bounces.example", delivery__relay=f"smtp://127.0.0.1:{port}"
            )
            (await stand.set(**postman.asked).send()).ends(0)
            await until(lambda: len(came_back(onward)) >= len(expected), "all of them have come back")
            await until(lambda: WELL in onward.recipients, "a letter has arrived")
        return expected, came_back(onward)


def found(stand: Stand, source: str) -> dict[str, FeedbackEvent]:
    events = [one for one in read_events(stand.folder / "runs") if one.source.endswith(source)]
    assert len({one.address for one in events}) == len(events)
    return {one.address: one for one in events}


@pytest.mark.parametrize("postman", POSTMEN, ids=lambda one: one.name)
async def test_each_bounce_finds_its_person_by_token_or_message_id_and_is_hard_or_soft_as_it_should_be(
    stand: Stand, postman: Postman
) -> None:
    expected, messages = await bounced(stand, postman)
    whole, without = Maildir(stand.folder / "whole"), Maildir(stand.folder / "without")
    whole.put(*(f"Delivered-To: {to}\r\n".encode() + content for to, content in messages))
    without.put(*(TOKEN.sub(b"bounce@", content) for _, content in messages))
    stand.set(feedback__source=[{"url": "maildir:whole"}, {"url": "maildir:without"}])
    (await stand.campaign("collect", stand.file)).ends(0)
    for source, key in (("whole", "return-path"), ("without", "message-id")):
        events = found(stand, source)
        recognised = [one for address, one in events.items() if address in expected and one.matched_by == key]
        assert len(recognised) >= 0.99 * len(expected), source
        assert {one.address: (one.outcome, one.reason) for one in recognised} == {
            one.address: expected[one.address] for one in recognised
        }
