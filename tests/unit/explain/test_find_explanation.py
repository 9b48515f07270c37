"""A name or the beginning of a sentence finds its explanation, and a wrong one the closest names."""

from __future__ import annotations

import pytest

from campaign.explain.find_explanation import MOST, closest, find_explanations, names
from campaign.explain.message_match import Fit, fit


def found(typed: str) -> list[str]:
    return [one.name for one in find_explanations(typed)]


@pytest.mark.parametrize(
    ("text", "message", "expected"),
    [
        ("The journal is damaged", "The journal is damaged.", Fit(True, 22)),
        ("the JOURNAL  is damaged.", "The journal is damaged.", Fit(True, 22)),
        ("The journal", "The journal is damaged.", Fit(False, 11)),
        ("The journal is lost", "The journal is damaged.", None),
        ("The journal is damaged. Help", "The journal is damaged.", None),
        ("The plan a.jsonl cannot be read.", "The plan … cannot be read.", Fit(True, 24)),
        ("The plan a.js", "The plan … cannot be read.", Fit(False, 9)),
        ("a.toml has 3 mistakes.", "… has … mistake….", Fit(True, 13)),
        ("a.toml has", "… has … mistake….", None),
        ("", "The journal is damaged.", None),
        ("anything", "… …", None),
        ("The journal is damged", "The … file … cannot be read.", None),
    ],
)
def test_a_text_fits_a_message_wholly_or_as_its_beginning(text: str, message: str, expected: Fit | None) -> None:
    assert fit(text, message) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("spf-missing", ["spf-missing"]),
        ("SPF_missing", ["spf-missing"]),
        ("in doubt", ["in_doubt", "ledger.in_doubt"]),
        ("75", ["75"]),
        ("exit 75", ["75"]),
        ("exit code 130", ["130"]),
        ("delivery", ["delivery"]),
        ("[delivery]", ["delivery"]),
        ("[[feedback.source]]", ["feedback.source"]),
        ("delivery.rate", ["delivery.rate"]),
        ("rate", ["delivery.rate"]),
        ("dot", ["delivery.timeouts.dot"]),
        ("locale", ["audience.locale", "compose.locale"]),
        ("CAMPAIGN__DELIVERY__RATE", ["delivery.rate"]),
        ("delivery.relay.0.weight", ["delivery.relay.weight"]),
        ('delivery.domain_rate."gmail.com"', ["delivery.domain_rate"]),
        ("delivery.rate: 'fast' is not a rate; write one such as '50/s'", ["delivery.rate"]),
        ("delivery.conections", []),
        ("The journal is damaged", ["The journal is damaged, so nothing is sent."]),
        ("a.toml has 2 mistakes.\n  audience.where: wrong", ["… has … mistake…."]),
        ("The", []),
        ("", []),
    ],
)
def test_a_name_finds_what_is_called_so(typed: str, expected: list[str]) -> None:
    assert found(typed) == expected


def test_a_beginning_that_several_messages_share_finds_all_of_them() -> None:
    several = found("The pacing state")
    assert 1 < len(several) <= MOST
    assert all(one.startswith("The pacing state") for one in several)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("spf-mising", "spf-missing"),
        ("delivery.conections", "delivery.connections"),
        ("conections", "delivery.connections"),
        ("The journal is damged", "The journal is damaged, so nothing is sent."),
    ],
)
def test_a_wrong_name_leads_to_the_closest(typed: str, first: str) -> None:
    assert find_explanations(typed) == []
    assert closest(typed)[0] == first
    assert len(closest(typed)) <= 3


def test_a_part_of_names_leads_to_those_that_have_it() -> None:
    assert find_explanations("spf") == []
    assert set(closest("spf")) == {one for one in names() if one.startswith("spf-")}
    assert "dmarc-policy" in closest("DMARC")


def test_names_are_listed_without_sentences_and_once() -> None:
    listed = names()
    assert {"spf-missing", "accepted", "75", "delivery", "delivery.rate"} <= set(listed)
    assert len(set(listed)) == len(listed)
    assert not [one for one in listed if " " in one]
