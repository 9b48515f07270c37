"""The login at a gateway: an access key for Amazon, an API key, or an OAuth2 token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from campaign.config.delivery import DeliverySection
from campaign.delivery.credentials.login import Login, find_password, find_token
from campaign.delivery.credentials.oauth import oauth_login
from campaign.delivery.credentials.token_refresh import Fetch, Token, TokenCache, in_thread
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.errors import ConfigError

NAME_IT = "set delivery.password_file or delivery.password_command, or CAMPAIGN_RELAY_PASSWORD"
_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}")


async def gateway_login(
    gateway: GatewayPreset,
    user: str,
    position: int,
    settings: DeliverySection,
    base: Path,
    environment: Mapping[str, str],
) -> Login:
    """The login of ``user``, if it needs one, at relay number ``position`` (from 1). Sends no request yet.

    Raises ConfigError when there is none, or it cannot be read.
    """
    if gateway.login == "token":
        return await _by_token(gateway, user or settings.user, settings, base)
    if gateway.login == "aws":
        return await _by_aws_keys(gateway, user, position, settings, base, environment)
    key = await find_password(gateway.host, position, settings, base, environment)
    if not key:
        raise ConfigError(f"There is no API key for {gateway.written}.", next_step=NAME_IT)
    return Login("", "keys", TokenCache(_same(Token(key, float("inf")))))


async def _by_aws_keys(
    gateway: GatewayPreset,
    user: str,
    position: int,
    settings: DeliverySection,
    base: Path,
    environment: Mapping[str, str],
) -> Login:
    from campaign.delivery.credentials.aws_keys import find_aws_keys, keys_as_token, refuse_half_a_key
    from campaign.system.aws_signature import AwsCredentials

    key_id = user or (settings.user if _ACCESS_KEY.fullmatch(settings.user) else "")
    if not key_id:
        refuse_half_a_key(environment)
        return Login("", "keys", TokenCache(in_thread(lambda: find_aws_keys(environment))))
    secret = await find_password(gateway.host, position, settings, base, environment)
    if not secret:
        raise ConfigError(f"There is no secret access key for {key_id} at {gateway.written}.", next_step=NAME_IT)
    return Login(key_id, "keys", TokenCache(_same(keys_as_token(AwsCredentials(key_id, secret)))))


async def _by_token(gateway: GatewayPreset, user: str, settings: DeliverySection, base: Path) -> Login:
    if not user:
        raise ConfigError(
            f"The relay {gateway.written!r} needs to know who logs in.",
            evidence=f"the user of {gateway.title} is {gateway.user}",
            next_step='set user = "…" under [delivery], and oauth',
        )
    if settings.oauth is not None:
        return await oauth_login(user, settings.oauth, base, gateway.scope, gateway.application_scope)
    token = find_token(settings, base)
    if token is None:
        raise ConfigError(
            f"There is no access token for {user} at {gateway.written}.",
            next_step="set delivery.oauth, or delivery.token_command; see docs/gateways.md",
        )
    return Login(user, "token", TokenCache(token))


def _same(token: Token) -> Fetch:
    async def fetch() -> Token:
        return token

    return fetch
