"""A provider that asked for a pause gets one letter at a time after it, over all its domains."""

from __future__ import annotations

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.pacing.domain_groups import SHIPPED, domain_groups, domains_of
from campaign.delivery.pacing.domain_reopening import ENOUGH, STEP, Reopening
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.queue.admission import NAP, Admission, RelayAccount
from campaign.delivery.queue.backlog import Backlog, QueueItem
from campaign.delivery.replies.classify import Rules
from campaign.model import Recipient

HELD = 600.0


def settings(**keys: object) -> DeliverySection:
    return DeliverySection.model_validate(keys)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def gated(*domains: str) -> tuple[Admission, RelayAccount, Clock]:
    clock, groups = Clock(), domain_groups(settings())
    people = [Recipient(n, f"u{n}@{domain}", f"u{n}", "", n, {}) for n, domain in enumerate(domains)]
    return (
        Admission(Backlog(iter(people), 900.0, {}, groups), clock, 900.0),
        RelayAccount(Throttle((), groups=groups)),
        clock,
    )


def drawn(gate: Admission, account: RelayAccount) -> list[QueueItem]:
    """Every letter that may be under way now; their content has left, their verdicts have not come."""
    found = []
    while isinstance(errand := gate.draw_now(account), QueueItem):
        assert gate.take_turn(errand)
        found.append(errand)
    return found


async def test_after_a_hold_the_domains_of_a_provider_come_back_one_letter_at_a_time() -> None:
    gate, account, clock = gated(*["gmail.com", "googlemail.com"] * 10)
    assert "held for 600 s, then one letter at a time" in account.hold("gmail.com", clock.now, HELD)
    assert drawn(gate, account) == []
    clock.now += HELD + 1
    (first,) = drawn(gate, account)
    clock.now += NAP
    assert drawn(gate, account) == []
    gate.end(first)
    clock.now += NAP
    (second,) = drawn(gate, account)
    clock.now += STEP
    (third,) = drawn(gate, account)
    clock.now += STEP
    assert len(drawn(gate, account)) == 1
    assert (first.domain, second.domain, third.domain) == ("gmail.com", "googlemail.com", "gmail.com")


async def test_other_domains_go_on_while_one_provider_is_held() -> None:
    gate, account, clock = gated("gmail.com", "a.example", "gmail.com", "b.example")
    account.hold("gmail.com", clock.now, HELD)
    assert [one.domain for one in drawn(gate, account)] == ["a.example", "b.example"]


async def test_a_letter_put_back_makes_room_for_another() -> None:
    gate, account, clock = gated("gmail.com", "gmail.com")
    account.hold("gmail.com", clock.now, HELD)
    drawn(gate, account)
    clock.now += HELD + 1
    (first,) = drawn(gate, account)
    gate.put_back(first)
    clock.now += NAP
    assert len(drawn(gate, account)) == 1


def test_a_domain_opens_step_by_step_and_then_for_good() -> None:
    reopening = Reopening()
    assert reopening.most("google", 0.0) is None
    reopening.held("google", 100.0)
    assert [reopening.most("google", 100.0 + STEP * n) for n in (-1, 0, 0.9, 1, 2)] == [1, 1, 1, 2, 3]
    assert reopening.most("google", 100.0 + STEP * ENOUGH) is None
    assert not reopening


def test_a_later_hold_begins_anew_and_an_earlier_one_changes_nothing() -> None:
    reopening = Reopening()
    reopening.held("google", 100.0)
    reopening.held("google", 900.0)
    reopening.held("google", 200.0)
    assert reopening.most("google", 900.0 + STEP) == 2


# -- groups


def test_google_and_microsoft_have_groups_without_being_asked() -> None:
    groups = domain_groups(settings())
    assert groups["gmail.com"] == groups["googlemail.com"] == "google"
    assert groups["hotmail.com"] == groups["outlook.com"] == "microsoft"
    assert "example.com" not in groups


@pytest.mark.parametrize(
    ("keys", "domain", "group"),
    [
        ({"domain_rate": {"Gmail.com": "5/s"}}, "gmail.com", None),
        ({"domain_rate": {"Gmail.com": "5/s"}}, "googlemail.com", "google"),
        ({"domain_rate": {"google": "5/s"}}, "gmail.com", "google"),
        ({"domain_groups": {"mine": ["GMAIL.com"]}}, "gmail.com", "mine"),
        ({"domain_groups": {"google": ["gmail.com"]}}, "googlemail.com", None),
        ({"domain_groups": {"x": ["b\u00fccher.example"]}}, "xn--bcher-kva.example", "x"),
    ],
)
def test_what_a_campaign_names_itself_comes_before_our_groups(keys: dict, domain: str, group: str | None) -> None:
    assert domain_groups(settings(**keys)).get(domain) == group


def test_a_limit_counts_the_domains_of_its_group() -> None:
    assert domains_of(settings(domain_rate={"google": "5/s"}), "google") == list(SHIPPED["google"])
    assert domains_of(settings(), "Example.com") == ["example.com"]


def test_the_rule_for_outlook_covers_the_whole_group() -> None:
    (rule,) = [rule for rule in Rules.load().rules_for() if rule.name == "outlook-unknown-recipient"]
    assert rule.domains == set(SHIPPED["microsoft"])
