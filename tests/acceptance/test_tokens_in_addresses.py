"""A return path and an address for unsubscribing of each recipient's own, as relays and readers get them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from campaign.compose.tokens.recipient_token import NOBODY, Purpose, RecipientTokens
from campaign.ledger.feedback.feedback_store import read_events
from campaign.model import FeedbackOutcome
from tests.support.bounces import Maildir, plain_mail
from tests.support.servers.shelf import STALL, Shelf
from tests.support.stand import Stand, parsed, until

RETURN_PATH, MAILTO = "bounce+{token}@news.example.com", "unsub+{token}@news.example.com"


@pytest.fixture
def with_tokens(stand: Stand, shelf: Shelf) -> Stand:
    return stand.set(campaign__return_path=RETURN_PATH, compose__unsubscribe_mailto=MAILTO)


def tokens(stand: Stand, purpose: Purpose) -> RecipientTokens:
    return RecipientTokens((stand.folder / "campaign.secret").read_bytes(), purpose)


def trace(run: Path) -> str:
    """The run's trace id, from the first record of its journal."""
    first = (run / "checkpoint.journal").read_text(encoding="utf-8").split("\n", 1)[0]
    return str(json.loads(first.partition(" ")[2])["trace"])


def opened(stand: Stand, sender: str, traces: list[str]) -> tuple[str, int] | None:
    found = re.fullmatch(r"bounce\+([a-z2-7]{24})@news\.example\.com", sender)
    assert found, sender
    return tokens(stand, "return path").open(found[1], traces)


def mailto(letter: bytes) -> str:
    found = re.fullmatch(r"<mailto:unsub\+([a-z2-7]{24})@news\.example\.com>", str(parsed(letter)["List-Unsubscribe"]))
    assert found
    return found[1]


@pytest.mark.parametrize("processes", [1, 2])
async def test_every_envelope_sender_is_its_recipients_own(with_tokens: Stand, shelf: Shelf, processes: int) -> None:
    (await with_tokens.set(delivery__processes=processes).send()).ends(0)
    senders = [sender for sender, _, _ in shelf.letters]
    assert len(senders) == len(set(senders)) == 20
    run, by_mail = trace(with_tokens.run), tokens(with_tokens, "unsubscribe by mail")
    for sender, to, letter in shelf.letters:
        number = int(to[1:].partition("@")[0])  # the list names them in the order of the plan
        assert opened(with_tokens, sender, [run]) == (run, number)
        assert by_mail.open(mailto(letter), [run]) == (run, number)
        assert by_mail.open(sender[7:31], [run]) is None
        assert sender.encode() not in letter


async def test_a_letter_that_is_made_again_has_the_same_addresses(with_tokens: Stand, shelf: Shelf) -> None:
    shelf.break_at("dot", STALL, after=5)
    sending = await with_tokens.sending()
    await until(lambda: len(shelf.letters) == 6, "the sixth letter has arrived")
    await sending.kill()
    (await with_tokens.send("--in-doubt", "resend")).ends(0, "sent again with the same Message-ID and bytes")
    doubtful = shelf.letters[5]
    assert [letter for letter in shelf.letters if letter[1] == doubtful[1]] == [doubtful, doubtful]
    assert len({sender for sender, _, _ in shelf.letters}) == 20
    run = trace(with_tokens.run)
    assert {opened(with_tokens, sender, [run]) for sender, _, _ in shelf.letters} == {(run, n) for n in range(20)}


async def test_a_further_run_has_tokens_of_its_own(with_tokens: Stand, shelf: Shelf) -> None:
    (await with_tokens.send()).ends(0)
    (await with_tokens.send("--again")).ends(0)
    first, second = (trace(run) for run in with_tokens.runs)
    found = [opened(with_tokens, sender, [first, second]) for sender, _, _ in shelf.letters]
    assert set(found) == {(run, number) for run in (first, second) for number in range(20)}
    assert {run for run, _ in filter(None, found[:20])} == {first}


async def test_a_letter_of_a_test_bounces_for_nobody(with_tokens: Stand, shelf: Shelf) -> None:
    (await with_tokens.campaign("test", with_tokens.file, "--to", "me@example.com")).ends(0)
    ((sender, _, letter),) = shelf.letters
    assert opened(with_tokens, sender, []) is None
    assert opened(with_tokens, sender, [NOBODY]) == (NOBODY, 0)
    assert tokens(with_tokens, "unsubscribe by mail").open(mailto(letter), [NOBODY]) == (NOBODY, 0)


async def test_a_brace_that_is_no_token_is_told_before_anything_is_sent(with_tokens: Stand, shelf: Shelf) -> None:
    (await with_tokens.set(campaign__return_path="bounce+{number}@news.example.com").send()).tells(
        78, "campaign.return_path", "a brace can only be part of {token}"
    )
    assert not shelf.letters


async def test_a_token_in_the_subject_unsubscribes_whoever_the_letter_was_for(stand: Stand, shelf: Shelf) -> None:
    stand.set(
        campaign__edition="one",
        compose__unsubscribe_mailto="leave@news.example.com?subject=out%20{token}",
        feedback__source=[{"url": "maildir:inbox"}],
    )
    inbox = Maildir(stand.folder / "inbox")
    (await stand.send()).ends(0)
    letter = next(content for _, to, content in shelf.letters if to == "p5@example.com")
    token = str(parsed(letter)["List-Unsubscribe"]).rpartition("%20")[2].rstrip(">")
    inbox.put(plain_mail("leave@news.example.com", f"out {token}"), plain_mail("leave@news.example.com", "hello"))
    (await stand.campaign("collect", stand.file)).ends(0)
    assert [
        one.address for one in read_events(stand.folder / "runs") if one.outcome is FeedbackOutcome.UNSUBSCRIBE
    ] == ["p5@example.com"]
    shelf.letters.clear()
    (await stand.set(campaign__edition="two").send()).ends(0)
    assert "p5@example.com" not in shelf.recipients
    assert len(shelf.letters) == 19


async def test_an_address_that_bounces_have_shown_to_strangers_unsubscribes_nobody(
    with_tokens: Stand, shelf: Shelf
) -> None:
    with_tokens.set(campaign__edition="one", feedback__source=[{"url": "maildir:inbox"}])
    inbox = Maildir(with_tokens.folder / "inbox")
    (await with_tokens.send()).ends(0)
    sender = shelf.letters[5][0]
    token = sender[7:31]
    inbox.put(
        plain_mail(sender, "unsubscribe"),
        plain_mail(f"unsub+{token}@news.example.com", "unsubscribe"),
        plain_mail("leave@news.example.com", f"unsubscribe {token}"),
    )
    (await with_tokens.campaign("collect", with_tokens.file)).ends(0)
    shelf.letters.clear()
    (await with_tokens.set(campaign__edition="two").send()).ends(0)
    assert len(shelf.letters) == 20
