"""Gateways by name: what may be written, and what may not."""

from __future__ import annotations

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.http.gateway_api import MODULES, gateway_api
from campaign.delivery.pacing.effective_rate import limits_of
from campaign.delivery.relays.gateway_presets import find_gateway, gateway_names
from campaign.delivery.relays.relay import find
from campaign.delivery.relays.relay_rewrites import idempotency_header, return_paths, rewritten
from campaign.errors import ConfigError

EXAMPLES = {
    "ses-api": "ses-api:eu-west-1",
    "mailgun-api": "mailgun-api:example.com",
    "sparkpost-api": "sparkpost-api",
    "gmail-api": "gmail-api",
    "graph-api": "graph-api",
}


@pytest.mark.parametrize(
    ("written", "user", "url"),
    [
        ("ses-api:eu-west-1", "", "https://email.eu-west-1.amazonaws.com"),
        ("AKIAEXAMPLE@ses-api:us-gov-west-1", "AKIAEXAMPLE", "https://email.us-gov-west-1.amazonaws.com"),
        ("mailgun-api:mail.example.com", "", "https://api.mailgun.net"),
        ("mailgun-api:eu:mail.example.com", "", "https://api.eu.mailgun.net"),
        ("sparkpost-api", "", "https://api.sparkpost.com"),
        ("sparkpost-api:eu", "", "https://api.eu.sparkpost.com"),
        ("you@example.com@gmail-api", "you@example.com", "https://gmail.googleapis.com"),
        ("graph-api", "", "https://graph.microsoft.com"),
        ("ses-api+http://127.0.0.1:8080/eu-west-1", "", "http://127.0.0.1:8080"),
        ("sparkpost-api+https://[::1]:8443/eu", "", "https://[::1]:8443"),
        ("gmail-api+http://you%40example.com@localhost", "you@example.com", "http://localhost"),
    ],
)
def test_a_gateway_is_found_by_its_name(written: str, user: str, url: str) -> None:
    found = find_gateway(written)
    assert found is not None
    assert (found[0], found[1].url) == (user, url)


@pytest.mark.parametrize("written", ["gmail", "ses:eu-west-1", "smtp://127.0.0.1:25", "mailbox", "user@mailgun"])
def test_other_relays_are_no_gateways(written: str) -> None:
    assert find_gateway(written) is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("ses-api", "needs its region"),
        ("ses-api:paris", "has no such region"),
        ("ses-api:eu-west-1.evil.example/", "has no such region"),
        ("mailgun-api", "needs its domain"),
        ("mailgun-api:eu", "has no such domain"),
        ("sparkpost-api:us", "has no such place"),
        ("ses-api+https://email.example.com/eu-west-1", "only on this machine"),
        ("ses-api+http://127.0.0.1.evil.example/eu-west-1", "only on this machine"),
        ("ses-api+http://user:secret@127.0.0.1/eu-west-1", "only on this machine"),
        ("ses-api+ftp+http://127.0.0.1/eu-west-1", "only on this machine"),
        ("ses+http://127.0.0.1/eu-west-1", "There is no gateway 'ses'"),
    ],
)
def test_what_is_wrong_is_said_and_an_example_given(written: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        find(written)
    assert "-api" in caught.value.next_step
    assert "secret" not in str(caught.value)


def test_an_almost_right_name_is_suggested() -> None:
    with pytest.raises(ConfigError) as caught:
        find("sparkpost-apo")
    assert "did you mean 'sparkpost-api'?" in str(caught.value)


def test_every_gateway_has_its_module_and_sources() -> None:
    assert sorted(EXAMPLES) == sorted(MODULES) == gateway_names()
    for written in EXAMPLES.values():
        _, preset = find_gateway(written) or ("", None)
        assert preset is not None
        assert gateway_api(preset, "you@example.com")
        assert any("." in source for source in preset.sources)


def test_what_a_gateway_does_with_letters_counts_like_a_relays() -> None:
    delivery = DeliverySection.model_validate({"relay": ["ses-api:eu-west-1", "sparkpost-api"]})
    assert rewritten(delivery) == ("Date", "Message-ID")
    assert return_paths(delivery) == {
        "email.eu-west-1.amazonaws.com": "rewritten",
        "api.sparkpost.com": "kept",
    }
    assert idempotency_header(delivery) == ""
    assert [str(one) for one in limits_of(DeliverySection(relay=("graph-api",)), "graph-api")] == [
        "30/min",
        "10000/day",
    ]


def test_gateways_on_this_machine_do_with_letters_what_the_real_ones_do() -> None:
    assert rewritten(DeliverySection(relay=("ses-api+http://127.0.0.1:1/eu-west-1",))) == ("Date", "Message-ID")
