"""A login by OAuth2 without a helper program: which provider gives the token, as ``delivery.oauth`` says."""

from __future__ import annotations

import asyncio
from pathlib import Path

from campaign.config.delivery import OauthSection
from campaign.delivery.credentials import google, microsoft
from campaign.delivery.credentials.login import Login
from campaign.delivery.credentials.token_refresh import TokenCache, in_thread


async def oauth_login(user: str, settings: OauthSection, base: Path) -> Login:
    """The login of ``user`` by tokens that are fetched when first needed and kept for the run. Raises ConfigError."""
    file = base / settings.file
    if settings.provider == "google":
        fetch = await asyncio.to_thread(google.source, user, file)
    else:
        fetch = await asyncio.to_thread(microsoft.source, user, settings, file)
    return Login(user, "token", TokenCache(in_thread(fetch)))
