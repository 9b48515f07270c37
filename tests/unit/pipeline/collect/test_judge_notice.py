"""What is kept of a message, a log line or an event."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest

from campaign.delivery.replies.bounce_meaning import bounce_meaning
from campaign.delivery.replies.classify import Rules
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Received
from campaign.ledger.journal.journal_records import Opened
from campaign.model import FeedbackEvent, FeedbackOutcome, Reply
from campaign.pipeline.collect.find_recipient import FoundRecipient
from campaign.pipeline.collect.judge_notice import RECIPIENT, Judge, Judged, nameless, sensible_time
from campaign.pipeline.collect.sent_runs import SentRun

NOW, BEGAN = 1_800_000_000.0, 1_799_990_000.0
RUN = SentRun(
    "gazette/20261128T080000Z", Path("/"), Opened("gazette", "", "run", 1, 2, "", {}, "shape", BEGAN, "trace"), b""
)
ADA = FoundRecipient("ada@example.com", "return-path", RUN, 3, "<1@example.com>", "gazette")
BOB = FoundRecipient("bob@example.com", "message-id", RUN, 4, "<2@example.com>", "gazette")
NO_SUCH_USER = Reply(550, "5.1.1", "No such user here")


def judged(*notices: FeedbackNotice, found: dict[str, FoundRecipient] | None = None, ours: bool = True) -> Judged:
    """What ``notices`` are kept as; the first address each was sent to says who is found."""
    people = {"ada": ADA, "bob": BOB} if found is None else found

    def find(notice: FeedbackNotice) -> FoundRecipient | None:
        return people.get(notice.sent_to[0]) if notice.sent_to else None

    judge = Judge("maildir:/bounces", partial(bounce_meaning, Rules.load()), find, lambda: NOW, ours)
    return judge.judged(Received("digest", notices))


def notice(who: str = "ada", outcome: FeedbackOutcome | None = None, **more) -> FeedbackNotice:
    return msgspec.structs.replace(FeedbackNotice(outcome, sent_to=(who,)), **more)


def test_a_bounce_is_judged_by_the_rules_for_replies() -> None:
    [event] = judged(notice(reply=NO_SUCH_USER, permanent=True, at=BEGAN + 60, mta="mx.example.net")).events
    assert event == FeedbackEvent(
        "digest",
        "maildir:/bounces",
        FeedbackOutcome.HARD,
        BEGAN + 60,
        NOW,
        "ada@example.com",
        "return-path",
        "gazette",
        "gazette/20261128T080000Z",
        3,
        "<1@example.com>",
        "no_such_user",
        550,
        "5.1.1",
        "No such user here",
        "mx.example.net",
    )


@pytest.mark.parametrize(
    ("outcome", "unsubscribes", "kept"),
    [
        (FeedbackOutcome.UNKNOWN, True, FeedbackOutcome.UNSUBSCRIBE),
        (FeedbackOutcome.UNSUBSCRIBE, True, FeedbackOutcome.UNSUBSCRIBE),
        (FeedbackOutcome.COMPLAINT, True, FeedbackOutcome.COMPLAINT),
        (FeedbackOutcome.UNKNOWN, False, FeedbackOutcome.UNKNOWN),
        (FeedbackOutcome.DELIVERED, False, FeedbackOutcome.DELIVERED),
        (FeedbackOutcome.AUTOMATIC_REPLY, False, FeedbackOutcome.AUTOMATIC_REPLY),
    ],
)
def test_what_is_sent_to_an_unsubscribe_address_unsubscribes(
    outcome: FeedbackOutcome, unsubscribes: bool, kept: FeedbackOutcome
) -> None:
    person = ADA._replace(unsubscribes=unsubscribes)
    [event] = judged(notice(outcome=outcome), found={"ada": person}).events
    assert event.outcome is kept


def test_a_message_about_two_people_is_two_events() -> None:
    found = judged(notice("ada", reply=NO_SUCH_USER), notice("bob", FeedbackOutcome.DELAYED))
    assert found.recognised
    assert [(one.id, one.address, one.outcome) for one in found.events] == [
        ("digest", "ada@example.com", FeedbackOutcome.HARD),
        ("digest/2", "bob@example.com", FeedbackOutcome.DELAYED),
    ]


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (notice(outcome=FeedbackOutcome.DELIVERED), FeedbackOutcome.DELIVERED),
        (notice(reply=Reply(552, "5.2.2", "mailbox full")), FeedbackOutcome.SOFT),
        (notice(outcome=FeedbackOutcome.UNSUBSCRIBE), FeedbackOutcome.UNSUBSCRIBE),
        (notice(outcome=FeedbackOutcome.UNKNOWN), FeedbackOutcome.HARD),
    ],
)
def test_of_several_things_about_one_letter_the_mildest_counts(other: FeedbackNotice, kept: FeedbackOutcome) -> None:
    for order in ((notice(reply=NO_SUCH_USER), other), (other, notice(reply=NO_SUCH_USER))):
        [event] = judged(*order).events
        assert event.outcome is kept


def test_what_is_ours_of_a_message_counts_beside_what_is_not() -> None:
    assert [one.address for one in judged(notice("nobody"), notice("bob")).events] == ["bob@example.com"]


@pytest.mark.parametrize("notices", [(), (notice("nobody", reply=NO_SUCH_USER, addresses=("x@example.com",)),)])
def test_a_message_in_a_mailbox_about_nobody_of_ours_is_one_unknown_event(notices: tuple[FeedbackNotice, ...]) -> None:
    found = judged(*notices)
    assert not found.recognised
    assert [(one.id, one.outcome, one.address, one.matched_by) for one in found.events] == [
        ("digest/unknown", FeedbackOutcome.UNKNOWN, "", "")
    ]


@pytest.mark.parametrize("outcome", [None, FeedbackOutcome.DELIVERED, FeedbackOutcome.DELAYED, FeedbackOutcome.UNKNOWN])
def test_what_a_log_says_of_other_peoples_mail_is_not_kept(outcome: FeedbackOutcome | None) -> None:
    found = judged(notice("nobody", outcome, addresses=("x@example.com",)), ours=False)
    assert (found.events, found.recognised) == ((), False)


@pytest.mark.parametrize("outcome", [FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE])
def test_what_a_person_wants_is_kept_although_no_plan_holds_the_address(outcome: FeedbackOutcome) -> None:
    [event] = judged(notice("nobody", outcome, addresses=("x@example.com",)), ours=False).events
    assert (event.outcome, event.address, event.matched_by) == (outcome, "x@example.com", "")


@pytest.mark.parametrize(
    ("at", "kept"),
    [(BEGAN, BEGAN), (BEGAN - 1, NOW), (NOW, NOW), (NOW + 1, NOW), (0.0, NOW), (-5.0, NOW), (float("nan"), NOW)],
)
def test_a_strangers_clock_is_neither_ahead_nor_before_the_run(at: float, kept: float) -> None:
    assert sensible_time(at, BEGAN, NOW) == kept


def test_a_strangers_words_are_one_short_line_that_steers_no_terminal() -> None:
    reply = Reply(550, "5.1.1", "no\r\n\x1b[2J such\tuser " + "x" * 10_000)
    [event] = judged(notice(reply=reply)).events
    assert event.diagnostic.startswith("no \\x1b[2J such user x")
    assert len(event.diagnostic) == 500


@pytest.mark.parametrize(
    ("believed_as", "matched_by"),
    [("own-program", ["own-program"] * 2), ("provider-list", ["provider-list"] * 2), ("", ["address", ""])],
)
def test_an_address_counts_where_only_the_operators_own_program_or_the_provider_can_have_named_it(
    believed_as: str, matched_by: list[str]
) -> None:
    planned = FoundRecipient("ada@example.com", "address", RUN, 3)
    kept = []
    for found in (planned, None):
        judge = Judge("events:x", Rules.load(), lambda _, one=found: one, lambda: NOW, False, believed_as)
        kept += judge.judged(Received("1", (notice(outcome=FeedbackOutcome.UNSUBSCRIBE, addresses=("eve@x",)),))).events
    assert [event.matched_by for event in kept] == matched_by


@pytest.mark.parametrize(
    ("text", "addresses", "kept"),
    [
        ("<Spam.Full@x.example>: no", ("Spam.Full@x.example",), f"<{RECIPIENT}>: no"),
        ("spam.full@x.example is unknown", ("Spam.Full@x.example",), f"{RECIPIENT} is unknown"),
        ("mailbox unavailable", ("a@x.example",), "mailbox unavailable"),
        ("mailbox a is unavailable", ("a", ""), "mailbox a is unavailable"),
    ],
)
def test_the_recipients_address_is_no_part_of_what_is_judged(text: str, addresses: tuple[str, ...], kept: str) -> None:
    assert nameless(Reply(550, "5.1.1", text), addresses) == Reply(550, "5.1.1", kept)


def test_the_name_of_a_mailbox_is_no_verdict_on_it() -> None:
    reply = Reply(550, "5.1.1", "<blocked.for.spam@example.com>: User unknown")
    person = ADA._replace(address="blocked.for.spam@example.com")
    [event] = judged(notice(reply=reply), found={"ada": person}).events
    assert event.outcome is FeedbackOutcome.HARD
    assert "blocked.for.spam@" in event.diagnostic
