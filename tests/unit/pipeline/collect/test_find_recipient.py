"""Whom a notice is about, by each of its keys and in their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.model import FeedbackOutcome
from campaign.pipeline.collect import find_recipient
from campaign.pipeline.collect.find_recipient import FoundRecipient, RecipientFinder
from campaign.pipeline.collect.run_lookup import reply_names
from campaign.pipeline.collect.sent_runs import SentRun, sent_runs
from tests.support.sent import SentCampaign

ADA, BOB, EVE = "ada@example.com", "Bob@example.com", "eve@example.com"
SES_ID = "0102018d5c4b7f6e-1f0c8e52-5b5a-4f43-8a9e-6f1f0f8a2c11-000000"


@pytest.fixture
def gazette(tmp_path: Path) -> SentCampaign:
    gazette = SentCampaign(tmp_path)
    gazette.send(ADA, BOB, replies={ADA: f"Ok {SES_ID}", BOB: "Ok: queued as 4F2A91C03B"})
    return gazette


@pytest.fixture
def run(gazette: SentCampaign) -> SentRun:
    return gazette.newest()


def finder(gazette: SentCampaign, unsubscribe_id: str = "") -> RecipientFinder:
    runs = sent_runs(gazette.runs, gazette.secret)
    return RecipientFinder(runs, gazette.secret, "gazette", unsubscribe_id)


def find(
    gazette: SentCampaign, notice: FeedbackNotice, *, relays_own: bool = False, unsubscribe_id: str = ""
) -> FoundRecipient | None:
    return finder(gazette, unsubscribe_id).find(notice, relays_own=relays_own)


def bounce(**keys: tuple[str, ...]) -> FeedbackNotice:
    return FeedbackNotice(None, **keys)  # type: ignore[arg-type] # all keys are tuples of text


@pytest.mark.parametrize("wrap", ["{}", "{0.upper}", "prvs=12ab={}", "srs0=x=y={}"])
def test_a_return_path_is_opened_whatever_a_server_made_of_it(gazette: SentCampaign, run: SentRun, wrap: str) -> None:
    address = gazette.return_path(run, 1)
    wrapped = address.upper() if "upper" in wrap else wrap.format(address)
    found = find(gazette, bounce(sent_to=("other@example.com", wrapped), addresses=("forwarded@example.org",)))
    assert found is not None
    assert (found.address, found.number, found.matched_by, found.run) == (BOB, 1, "return-path", run)
    assert found.message_id.strip("<>") == gazette.message_id(run, run_key(BOB))


def run_key(address: str) -> str:
    return address.lower()


@pytest.mark.parametrize("change", [lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"), lambda text: text[:-1]])
def test_a_token_that_we_did_not_make_is_nobodys(gazette: SentCampaign, run: SentRun, change) -> None:
    local, _, domain = gazette.return_path(run, 0).partition("@")
    assert find(gazette, bounce(sent_to=(f"{change(local)}@{domain}",))) is None


def test_a_message_id_is_known_by_its_keyed_part_alone(gazette: SentCampaign, run: SentRun) -> None:
    name = gazette.message_id(run, ADA).partition("@")[0]
    found = find(gazette, bounce(message_ids=("strange@example.net", f"{name}@elsewhere.example")))
    assert found is not None
    assert (found.address, found.matched_by) == (ADA, "message-id")
    assert find(gazette, bounce(message_ids=(f"{'0' * 40}@example.com",))) is None


def test_runs_of_other_campaigns_with_the_same_secret_are_known_too(gazette: SentCampaign) -> None:
    gazette.send(EVE, name="other", edition="one")
    other = gazette.newest()
    found = find(gazette, bounce(message_ids=(gazette.message_id(other, EVE),)))
    assert found is not None
    assert (found.run, found.campaign) == (other, "other")


def test_an_address_alone_counts_last_and_only_where_the_campaign_planned_it(gazette: SentCampaign) -> None:
    gazette.send(EVE, name="other")
    found = find(gazette, bounce(addresses=("nobody@example.com", "BOB@example.com")))
    assert found is not None
    assert (found.address, found.matched_by) == (BOB, "address")
    assert find(gazette, bounce(addresses=(EVE, "nobody@example.com"))) is None


@pytest.mark.parametrize(
    ("outcome", "message_ids", "believed", "known"),
    [
        (None, (), False, True),
        (None, ("1@example.net",), False, False),
        (FeedbackOutcome.DELIVERED, (), False, False),
        (FeedbackOutcome.DELAYED, (), False, False),
        (None, ("1@example.net",), True, True),
        (FeedbackOutcome.DELIVERED, (), True, True),
    ],
)
def test_a_log_that_tells_of_other_mail_to_our_recipients_is_not_about_our_letters(
    gazette: SentCampaign,
    outcome: FeedbackOutcome | None,
    message_ids: tuple[str, ...],
    believed: bool,
    known: bool,
) -> None:
    notice = FeedbackNotice(outcome, message_ids=message_ids, addresses=(ADA,))
    found = finder(gazette).find(notice, relays_own=True, believed=believed)
    assert (found is not None) is known


def test_an_unsubscribe_token_names_its_person_and_the_newest_run_of_its_edition(
    gazette: SentCampaign, run: SentRun
) -> None:
    token = gazette.unsubscribe_token(run, BOB)
    found = find(gazette, bounce(unsubscribe_tokens=("x" * 47, token)))
    assert found is not None
    assert (found.address, found.number, found.matched_by) == (BOB, 1, "unsubscribe-token")


def test_an_unsubscribe_token_of_somebody_no_plan_holds_any_more_still_counts(
    gazette: SentCampaign, run: SentRun
) -> None:
    found = find(gazette, bounce(unsubscribe_tokens=(gazette.unsubscribe_token(run, EVE),)))
    assert found == FoundRecipient(EVE, "unsubscribe-token", campaign="gazette")


def test_an_unsubscribe_token_may_stand_for_a_column(gazette: SentCampaign, run: SentRun) -> None:
    notice = bounce(unsubscribe_tokens=(gazette.unsubscribe_token(run, "101"),))
    found = find(gazette, notice, unsubscribe_id="member")
    assert found is not None
    assert found.address == BOB
    assert find(gazette, bounce(unsubscribe_tokens=(gazette.unsubscribe_token(run, "999"),))) is None


def test_an_unsubscribe_address_is_its_persons_whatever_is_written_to_it(gazette: SentCampaign, run: SentRun) -> None:
    address = f"unsub+{gazette.mail_token(run, 0)}@example.com"
    for notice in (
        FeedbackNotice(FeedbackOutcome.UNKNOWN, sent_to=(address,)),
        FeedbackNotice(FeedbackOutcome.UNSUBSCRIBE, unsubscribe_tokens=(gazette.mail_token(run, 0),)),
    ):
        found = find(gazette, notice)
        assert found is not None
        assert (found.address, found.unsubscribes) == (ADA, True)


@pytest.mark.parametrize("outcome", [None, FeedbackOutcome.AUTOMATIC_REPLY, FeedbackOutcome.DELAYED])
def test_machines_that_answer_an_unsubscribe_address_unsubscribe_nobody(
    gazette: SentCampaign, run: SentRun, outcome: FeedbackOutcome | None
) -> None:
    address = f"unsub+{gazette.mail_token(run, 0)}@example.com"
    assert find(gazette, FeedbackNotice(outcome, sent_to=(address,))) is None


def test_the_token_of_an_unsubscribe_address_that_a_bounce_brings_back_says_whose_letter_it_was(
    gazette: SentCampaign, run: SentRun
) -> None:
    found = find(gazette, bounce(unsubscribe_tokens=(gazette.mail_token(run, 1),)))
    assert found is not None
    assert (found.address, found.matched_by, found.unsubscribes) == (BOB, "unsubscribe-token", False)


def test_a_return_path_unsubscribes_nobody(gazette: SentCampaign, run: SentRun) -> None:
    sent_to = (gazette.return_path(run, 0),)
    found = find(gazette, FeedbackNotice(FeedbackOutcome.UNKNOWN, sent_to=sent_to))
    assert found is not None
    assert not found.unsubscribes
    assert find(gazette, FeedbackNotice(FeedbackOutcome.UNSUBSCRIBE, sent_to=sent_to)) is None


def test_what_a_relay_called_a_letter_counts_where_the_relay_itself_says_so(gazette: SentCampaign) -> None:
    notice = bounce(reply_ids=(SES_ID,))
    found = find(gazette, notice, relays_own=True)
    assert found is not None
    assert (found.address, found.matched_by) == (ADA, "reply-id")
    assert find(gazette, notice) is None


def test_a_short_queue_id_is_not_taken_for_ours_where_the_letter_has_a_strangers_message_id(
    gazette: SentCampaign,
) -> None:
    found = find(gazette, bounce(reply_ids=("4F2A91C03B",)), relays_own=True)
    assert found is not None
    assert found.address == BOB
    strange = bounce(reply_ids=("4F2A91C03B",), message_ids=("1@example.net",))
    assert find(gazette, strange, relays_own=True) is None


def test_a_name_that_a_relay_gave_to_two_letters_is_nobodys(gazette: SentCampaign) -> None:
    gazette.send(ADA, BOB, edition="two", replies=dict.fromkeys((ADA, BOB), "Ok mx17.example.com 20261128"))
    assert find(gazette, bounce(reply_ids=("mx17.example.com",)), relays_own=True) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Ok: queued as 4F2A91C03B", ["4F2A91C03B"]),
        (f"Ok {SES_ID}", [SES_ID]),
        ("OK  1700000000 d2e1a72fcca58-6cb2ba1si4.12 - gsmtp", ["d2e1a72fcca58-6cb2ba1si4.12", "1700000000"]),
        ("2.6.0 <x1y2z3@host> [InternalId=123] Queued", ["InternalId=123", "x1y2z3@host"]),
        ("Ok", []),
    ],
)
def test_names_in_a_reply_are_its_long_words_with_a_digit_the_last_first(text: str, names: list[str]) -> None:
    assert reply_names(text) == names


def test_a_run_whose_plan_is_gone_leads_to_nobody_and_no_further(gazette: SentCampaign, run: SentRun) -> None:
    address = gazette.return_path(run, 0)
    name = gazette.message_id(run, ADA)
    (run.folder / "plan.jsonl").unlink()
    assert find(gazette, bounce(sent_to=(address,), message_ids=(name,), addresses=(ADA,))) is None


def test_a_number_beyond_the_plan_is_nobodys(gazette: SentCampaign, run: SentRun) -> None:
    assert find(gazette, bounce(sent_to=(gazette.return_path(run, 2),))) is None


def test_a_message_of_a_hundred_notices_is_searched_for_tokens_once(
    gazette: SentCampaign, run: SentRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched, one = [], finder(gazette)
    monkeypatch.setattr(find_recipient, "possible_tokens", lambda text: searched.append(text) or iter(()))
    for number in range(100):
        keys = {"sent_to": ("a@example.org",), "unsubscribe_tokens": ("a2" * 990,)}
        assert one.find(bounce(**keys, addresses=(f"{number}@example.org",)), relays_own=False) is None
    assert sorted(searched) == ["a2" * 990, "a@example.org"]
