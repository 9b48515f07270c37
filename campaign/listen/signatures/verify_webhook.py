"""Verifies a webhook's request by its provider's scheme. Keys are read once, at the start.

The web service calls `verify_webhook` with the body as it was received, stores the body unless there is an answer, and
calls `OpenedWebhook.stored` when it is durable. It may take seconds when a certificate of Amazon must be fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from campaign.config.listen.listen_webhook import BY_SECRET, ListenWebhookSection
from campaign.listen.signatures.amazon_fetch import fetch_document
from campaign.listen.signatures.ecdsa_signature import EcdsaSignature
from campaign.listen.signatures.hmac_token import HmacToken
from campaign.listen.signatures.replay_memory import ReplayMemory
from campaign.listen.signatures.shared_secret import basic_secret, token_secret
from campaign.listen.signatures.sns_signature import Fetch, SnsSignature
from campaign.listen.signatures.standard_webhooks import StandardSignature
from campaign.listen.signatures.webhook_keys import signing_keys, verification_key, webhook_secrets
from campaign.listen.signatures.webhook_request import WebhookRequest, WebhookScheme


@dataclass(frozen=True, slots=True)
class OpenedWebhook:
    """A section with its keys read. ``memory`` has the ids of its requests."""

    section: ListenWebhookSection
    scheme: WebhookScheme = field(repr=False)
    memory: ReplayMemory = field(repr=False)

    def stored(self, request: WebhookRequest) -> None:
        """Remember that ``request`` is durable: if it comes again, it is answered and not stored."""
        self.memory.stored(request.id)


def open_webhook(section: ListenWebhookSection, base: Path, fetch: Fetch = fetch_document) -> OpenedWebhook:
    """Read the keys; their files may be relative to ``base``. ``fetch`` gets Amazon's documents. Raises ConfigError."""
    memory = ReplayMemory()
    return OpenedWebhook(section, _scheme(section, base, fetch, memory), memory)


def verify_webhook(webhook: OpenedWebhook, headers: Mapping[str, str], body: bytes, now: float) -> WebhookRequest:
    """The request, if it comes from the provider. Names of ``headers`` are in lower case. Raises WebhookRefused."""
    request = webhook.scheme.verify(headers, body, now)
    if request.answer is None:
        webhook.memory.is_other(request.id, body)
        if webhook.memory.is_stored(request.id, body):
            return replace(request, answer=b"")
    return request


def _scheme(section: ListenWebhookSection, base: Path, fetch: Fetch, memory: ReplayMemory) -> WebhookScheme:
    if section.provider == "ses":
        return SnsSignature(section.topic, fetch)
    if section.key_file:
        return EcdsaSignature(verification_key(base / section.key_file))
    if section.secret_file and section.provider == "mailgun":
        return HmacToken(webhook_secrets(base / section.secret_file), memory)
    if section.secret_file and section.provider in BY_SECRET:
        return StandardSignature(signing_keys(base / section.secret_file))
    if section.secret_file:
        return token_secret(section.header, webhook_secrets(base / section.secret_file))
    assert section.password_file is not None  # noqa: S101 - the section is complete
    return basic_secret(section.user, webhook_secrets(base / section.password_file))
