"""What came back about a run, in figures: each recipient once, only what can be trusted, by class and by provider."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.ledger import run_folder
from campaign.ledger.feedback.feedback_store import FeedbackStore
from campaign.ledger.recovery import read_history
from campaign.model import FeedbackEvent, FeedbackOutcome, Verdict
from campaign.pipeline.finish.close_run import gather_facts, walk
from campaign.pipeline.finish.feedback_figures import WINDOW, RunOutcomes
from campaign.report.feedback.feedback_facts import BounceTally, FeedbackFacts, ProviderTally
from tests.support.sent import SentCampaign

HARD, SOFT, OURS = FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.NOT_THEIR_FAULT
DELIVERED, DELAYED, UNKNOWN = FeedbackOutcome.DELIVERED, FeedbackOutcome.DELAYED, FeedbackOutcome.UNKNOWN
COMPLAINT, UNSUBSCRIBE = FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE
NUMBERS = count()
SOURCE = '[[feedback.source]]\nurl = "maildir:bounces"\n'


def event(outcome: FeedbackOutcome, number: int = 0, **more: Any) -> FeedbackEvent:
    given: dict[str, Any] = {"address": "ada@example.com", "matched_by": "return-path"} | more
    return FeedbackEvent("", "imap:bounces@example.com", outcome, 1.0, 1.0, number=number, **given)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ([], {}),
        ([HARD], {HARD: 1}),
        ([HARD, HARD], {HARD: 1}),
        ([DELIVERED, SOFT], {SOFT: 1}),
        ([SOFT, DELIVERED], {SOFT: 1}),
        ([DELAYED, DELIVERED], {DELIVERED: 1}),
        ([DELAYED, SOFT, HARD], {HARD: 1}),
        ([OURS, SOFT], {SOFT: 1}),
        ([SOFT, OURS], {SOFT: 1}),
        ([DELIVERED, COMPLAINT, UNSUBSCRIBE, COMPLAINT], {DELIVERED: 1, COMPLAINT: 1, UNSUBSCRIBE: 1}),
        ([FeedbackOutcome.AUTOMATIC_REPLY, UNKNOWN], {FeedbackOutcome.AUTOMATIC_REPLY: 1, UNKNOWN: 1}),
        ([FeedbackOutcome.RELEASED], {}),
    ],
)
@pytest.mark.parametrize("flags", [lambda: bytearray(3), lambda: defaultdict(int)])
def test_a_recipient_counts_once_for_each_outcome_and_with_the_worst_that_became_of_the_letter(
    told: list[FeedbackOutcome], counts: dict[FeedbackOutcome, int], flags: Any
) -> None:
    outcomes = RunOutcomes(flags(), 3)
    for one in told:
        outcomes.add(event(one, 2))
    assert outcomes.counts() == counts
    assert set(outcomes.outcomes(2)) == set(counts)
    assert outcomes.outcomes(1) == []


@pytest.mark.parametrize("number", [-1, 3, 10**12])
def test_a_number_that_the_plan_does_not_have_is_nobody(number: int) -> None:
    outcomes = RunOutcomes(bytearray(3), 3)
    outcomes.add(event(HARD, number))
    assert not outcomes.counts()


def test_the_class_of_a_bounce_is_that_of_the_worst() -> None:
    outcomes = RunOutcomes(bytearray(9), 9)
    for number, outcome, reason in [
        (0, SOFT, "full"), (0, HARD, "no_such_user"), (1, HARD, "no_such_user"), (1, HARD, "disabled"),
        (2, SOFT, "full"), (3, DELIVERED, "whatever"),
    ]:  # fmt: skip
        outcomes.add(event(outcome, number, reason=reason))
    assert outcomes.bounces() == (BounceTally(HARD, "no_such_user", 2), BounceTally(SOFT, "full", 1))


class Gazette(SentCampaign):
    """A run whose recipients are numbered as they are given."""

    def tell(self, *events: FeedbackEvent) -> None:
        with FeedbackStore(self.runs) as store:
            store.add([one._replace(id=str(next(NUMBERS))) for one in events])

    def figures(self, run: Path, more: str = SOURCE) -> FeedbackFacts | None:
        plan = Plan.open(run / run_folder.PLAN)
        facts = gather_facts(self.job(more=more), run, plan, read_history(run), walk(run))
        return facts.feedback


@pytest.fixture
def gazette(tmp_path: Path) -> Gazette:
    return Gazette(tmp_path)


def name_of(gazette: Gazette) -> str:
    return gazette.newest().name


def test_bounces_are_counted_by_class_and_by_provider(gazette: Gazette) -> None:
    run = gazette.send("a@gmail.com", "b@googlemail.com", "c@example.com", "d@example.com")
    name = name_of(gazette)
    gazette.tell(
        event(HARD, 0, run=name, reason="no_such_user"),
        event(SOFT, 1, run=name, reason="full"),
        event(COMPLAINT, 2, run=name),
        event(DELIVERED, 3, run=name),
    )
    assert gazette.figures(run) == FeedbackFacts(
        events=4,
        accepted=4,
        outcomes={HARD: 1, SOFT: 1, COMPLAINT: 1, DELIVERED: 1},
        bounces=(BounceTally(HARD, "no_such_user", 1), BounceTally(SOFT, "full", 1)),
        providers=(
            ProviderTally("google", 2, {HARD: 1, SOFT: 1}),
            ProviderTally("example.com", 2, {COMPLAINT: 1}),
        ),
        provider_count=2,
    )


def test_a_campaigns_own_groups_of_domains_are_its_providers(gazette: Gazette) -> None:
    run = gazette.send("a@one.example", "b@two.example")
    gazette.tell(*(event(HARD, number, run=name_of(gazette)) for number in range(2)))
    found = gazette.figures(run, '[delivery.domain_groups]\nours = ["one.example", "two.example"]\n')
    assert found is not None
    assert found.providers == (ProviderTally("ours", 2, {HARD: 2}),)


def test_shares_are_of_the_accepted_and_refusals_in_the_session_are_no_bounces(gazette: Gazette) -> None:
    run = gazette.send("a@example.com", "b@example.com", verdicts={"b@example.com": Verdict.REJECTED})
    refusal = event(HARD, 1, run=name_of(gazette), matched_by="reply")._replace(source="smtp")
    gazette.tell(refusal)
    assert gazette.figures(run, more="") is None
    gazette.tell(event(SOFT, 0, run=name_of(gazette)))
    found = gazette.figures(run)
    assert found is not None
    assert (found.accepted, found.events, found.outcomes) == (1, 1, {SOFT: 1})
    assert found.share(found.bounced) == 1.0


def test_what_only_names_an_address_counts_if_the_settings_say_so(gazette: Gazette) -> None:
    run = gazette.send("a@example.com")
    gazette.tell(event(HARD, 0, run=name_of(gazette), matched_by="address"))
    found, trusting = gazette.figures(run), gazette.figures(run, "[feedback]\ntrust_addresses = true\n")
    assert found is not None
    assert trusting is not None
    assert (found.events, found.bounced, found.not_recognised) == (1, 0, 1)
    assert (trusting.events, trusting.bounced, trusting.not_recognised) == (1, 1, 0)


def test_messages_about_no_letter_are_those_of_the_first_week(gazette: Gazette) -> None:
    run = gazette.send("a@example.com")
    at = gazette.newest().opened.at
    stranger = event(UNKNOWN, address="", matched_by="")
    gazette.tell(*(stranger._replace(seen=at + later) for later in (-1, 0, WINDOW - 1, WINDOW)))
    found = gazette.figures(run)
    assert found is not None
    assert (found.not_recognised, found.events) == (2, 0)


def test_events_of_other_runs_are_theirs(gazette: Gazette) -> None:
    first = gazette.send("a@example.com", edition="one")
    gazette.tell(event(HARD, 0, run=name_of(gazette)))
    second = gazette.send("a@example.com", "b@example.com", edition="two")
    found = [gazette.figures(run) for run in (first, second)]
    assert [one and one.bounced for one in found] == [1, 0]


def test_a_run_without_feedback_and_a_rehearsal_have_no_figures(gazette: Gazette) -> None:
    run = gazette.send("a@example.com")
    assert gazette.figures(run, more="") is None
    assert gazette.figures(run) == FeedbackFacts(0, 1)
    rehearsal = gazette.send("a@example.com", edition="another", relay="mailbox")
    assert gazette.figures(rehearsal) is None
