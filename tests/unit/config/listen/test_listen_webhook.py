"""A section names what its provider is verified by, and nothing else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from campaign.config.listen.listen_webhook import ListenWebhookSection
from campaign.feedback.providers.provider_payload import PROVIDERS

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-events"


def mistake(**keys: str) -> str:
    with pytest.raises(ValidationError) as raised:
        ListenWebhookSection.model_validate(keys)
    return raised.value.errors()[0]["msg"]


def test_every_provider_whose_events_are_read_has_a_section_and_no_other() -> None:
    assert set(PROVIDERS) == set(ListenWebhookSection.model_fields["provider"].annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("provider", "needs"),
    [
        ("ses", "topic"),
        ("sendgrid", "key_file"),
        ("mailgun", "secret_file"),
        ("resend", "secret_file"),
        ("standard-webhooks", "secret_file"),
        ("postmark", "user and password_file"),
        ("brevo", "user and password_file"),
        ("sparkpost", "user and password_file"),
        ("mailjet", "user and password_file"),
    ],
)
def test_a_section_without_its_key_says_which_it_needs(provider: str, needs: str) -> None:
    assert mistake(provider=provider).endswith(f"{provider} needs {needs}")


def test_a_key_that_would_verify_nothing_is_an_error() -> None:
    assert "secret_file has no meaning here; ses is verified by topic" in mistake(
        provider="ses", topic=TOPIC, secret_file="s"
    )
    assert "header has no meaning here" in mistake(provider="mailgun", secret_file="s", header="X-Token")
    assert "secret_file has no meaning here" in mistake(
        provider="postmark", user="u", password_file="p", secret_file="s"
    )


@pytest.mark.parametrize("path", ["short", "with/slash/and/enough/letters", "ü" * 20, "x" * 129])
def test_a_path_is_hard_to_guess_and_fits_an_address(path: str) -> None:
    assert "path is 16 to 128 letters" in mistake(provider="ses", topic=TOPIC, path=path)


@pytest.mark.parametrize(
    "topic", ["ses-events", TOPIC.replace("sns", "sqs"), TOPIC + "\n", "arn:aws:sns::123456789012:t"]
)
def test_a_topic_is_an_arn(topic: str) -> None:
    assert "is no ARN of a topic" in mistake(provider="ses", topic=topic)


def test_a_header_has_the_name_of_one() -> None:
    assert "is no name of a header" in mistake(provider="brevo", secret_file="s", header="X Token:")
    kept = ListenWebhookSection.model_validate({"provider": "brevo", "secret_file": "s", "header": "X-Token"})
    assert kept.header == "x-token"


def test_the_address_ends_in_the_path_if_there_is_one() -> None:
    plain = ListenWebhookSection.model_validate({"provider": "ses", "topic": TOPIC})
    hidden = ListenWebhookSection.model_validate({"provider": "ses", "topic": TOPIC, "path": "0123456789abcdef"})
    assert (plain.address, hidden.address) == ("/webhooks/ses", "/webhooks/ses/0123456789abcdef")
