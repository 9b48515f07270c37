"""Each provider's requests are verified by the scheme of its section, and stored once."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.config.listen.listen_webhook import ListenWebhookSection
from campaign.errors import ConfigError
from campaign.listen.signatures.amazon_fetch import FetchError
from campaign.listen.signatures.ecdsa_signature import EcdsaSignature
from campaign.listen.signatures.hmac_token import HmacToken
from campaign.listen.signatures.shared_secret import SharedSecret
from campaign.listen.signatures.sns_signature import SnsSignature
from campaign.listen.signatures.standard_webhooks import StandardSignature
from campaign.listen.signatures.verify_webhook import OpenedWebhook, open_webhook, verify_webhook
from campaign.listen.signatures.webhook_request import WebhookRefused

KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6w"
    "EA3F+g=="
)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-events"
GOOD = {"authorization": "Basic " + base64.b64encode(b"postmark:hunter2").decode()}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name, content in (("key", KEY), ("whsec", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ("password", "hunter2")):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(content)
    return tmp_path


def postmark(base: Path) -> OpenedWebhook:
    section = {"provider": "postmark", "user": "postmark", "password_file": "password"}
    return open_webhook(ListenWebhookSection.model_validate(section), base)


@pytest.mark.parametrize(
    ("section", "scheme"),
    [
        ({"provider": "ses", "topic": TOPIC}, SnsSignature),
        ({"provider": "sendgrid", "key_file": "key"}, EcdsaSignature),
        ({"provider": "mailgun", "secret_file": "password"}, HmacToken),
        ({"provider": "resend", "secret_file": "whsec"}, StandardSignature),
        ({"provider": "standard-webhooks", "secret_file": "whsec"}, StandardSignature),
        ({"provider": "brevo", "secret_file": "password"}, SharedSecret),
        ({"provider": "postmark", "secret_file": "password", "header": "X-Token"}, SharedSecret),
        ({"provider": "sparkpost", "user": "u", "password_file": "password"}, SharedSecret),
        ({"provider": "mailjet", "user": "u", "password_file": "password"}, SharedSecret),
    ],
)
def test_each_provider_has_its_scheme(base: Path, section: dict[str, str], scheme: type) -> None:
    opened = open_webhook(ListenWebhookSection.model_validate(section), base)
    assert isinstance(opened.scheme, scheme)
    with pytest.raises(WebhookRefused):
        verify_webhook(opened, {}, b"{}", 0)
    assert "hunter2" not in repr(opened)


def test_a_request_that_comes_again_is_stored_only_if_it_was_not_durable(base: Path) -> None:
    webhook = postmark(base)
    first = verify_webhook(webhook, GOOD, b"{}", 0)
    again = verify_webhook(webhook, GOOD, b"{}", 0)  # the disk was full
    assert (first.answer, again.answer) == (None, None)
    webhook.stored(again)
    assert verify_webhook(webhook, GOOD, b"{}", 0).answer == b""
    assert verify_webhook(webhook, GOOD, b'{"another": 1}', 0).answer is None


def test_a_stored_request_is_still_asked_for_its_secret(base: Path) -> None:
    webhook = postmark(base)
    webhook.stored(verify_webhook(webhook, GOOD, b"{}", 0))
    with pytest.raises(WebhookRefused):
        verify_webhook(webhook, {}, b"{}", 0)


def test_a_secret_that_is_not_there_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"The webhook secret file .* cannot be read"):
        postmark(tmp_path)


SECTIONS = (
    {"provider": "ses", "topic": TOPIC},
    {"provider": "sendgrid", "key_file": "key"},
    {"provider": "mailgun", "secret_file": "password"},
    {"provider": "resend", "secret_file": "whsec"},
    {"provider": "postmark", "user": "postmark", "password_file": "password"},
)
NAMES = (
    *(f"{prefix}-{part}" for prefix in ("svix", "webhook") for part in ("id", "timestamp", "signature")),
    *(f"x-twilio-email-event-webhook-{part}" for part in ("signature", "timestamp")),
    "authorization",
)
KEYS = (
    *("Type", "TopicArn", "MessageId", "Message", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL"),
    *("SubscribeURL", "signature", "token", "timestamp", "event-data"),
)
WORDS = (
    *("Notification", "SubscriptionConfirmation", TOPIC, "1", "2", "1970-01-01T00:00:00.000Z", "0", "v1,AAAA v1,"),
    *("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem", "Basic !", "Basic AAAA", "https://["),
)
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(max_codepoint=255), max_size=20)
MESSAGES = st.dictionaries(st.sampled_from(KEYS), TEXTS | st.integers() | st.none(), max_size=9)
BODIES = (MESSAGES | st.fixed_dictionaries({"signature": MESSAGES})).map(lambda one: json.dumps(one).encode())


def unreachable(_: str) -> bytes:
    raise FetchError("no route to host")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda one: one["provider"])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=st.dictionaries(st.sampled_from(NAMES), TEXTS), body=BODIES | st.binary(max_size=40))
def test_whatever_strangers_send_is_refused_with_a_status_and_a_sentence(
    base: Path, section: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    opened = open_webhook(ListenWebhookSection.model_validate(section), base, unreachable)
    with pytest.raises(WebhookRefused) as refused:
        verify_webhook(opened, headers, body, 0.0)
    assert refused.value.status in (400, 401, 403, 406, 503)
    assert refused.value.why.endswith((".", "?"))
