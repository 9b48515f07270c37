"""What a gateway's module offers: requests for letters and about the account, and the reading of their answers.

Pure: no connection, no clock of its own, and no decision about a letter.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

import msgspec

from campaign.config.units import Rate
from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.model import Letter, Reply

#: The module of each gateway.
MODULES = {
    "ses-api": "ses_raw",
    "mailgun-api": "mailgun_mime",
    "sparkpost-api": "sparkpost_rfc822",
    "gmail-api": "gmail_upload",
    "graph-api": "graph_sendmail",
}


class GatewayAccount(msgspec.Struct, frozen=True):
    """What a gateway says about our account. ``facts`` are for people.

    ``obstacles`` stand in the way of letters, ``cautions`` may; each is a sentence and what to do about it. ``left`` is
    how many letters it still takes today, ``None`` if it does not say.
    """

    facts: tuple[str, ...] = ()
    limits: tuple[Rate, ...] = ()
    obstacles: tuple[tuple[str, str], ...] = ()
    cautions: tuple[tuple[str, str], ...] = ()
    left: float | None = None


class GatewayApi(Protocol):
    """One gateway. ``secret`` is the text of its login: keys or a token. ``now`` is POSIX seconds."""

    def letter_request(self, letter: Letter, secret: str, now: float) -> GatewayRequest:
        """The request that sends ``letter``."""

    def letter_reply(self, answer: GatewayAnswer) -> Reply | None:
        """The answer as a reply with the status as its code; ``None`` if it is not in the provider's own form."""

    def account_request(self, secret: str, now: float) -> GatewayRequest | None:
        """The request about the account; ``None`` if this gateway tells nothing with the permission to send."""

    def account(self, answer: GatewayAnswer) -> GatewayAccount | None:
        """What a good answer to it says; ``None`` if it says nothing of use."""


def gateway_api(preset: GatewayPreset, user: str) -> GatewayApi:
    """The gateway of ``preset``, for the mailbox of ``user`` if it sends from one."""
    module = import_module(f"campaign.delivery.http.gateways.{MODULES[preset.name]}")
    return cast("Callable[[GatewayPreset, str], GatewayApi]", module.GATEWAY)(preset, user)
