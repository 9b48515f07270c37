"""OAuth2 login with a token from the provider named in ``delivery.oauth``, without a helper program."""

from __future__ import annotations

import asyncio
from pathlib import Path

from campaign.config.delivery import OauthSection
from campaign.delivery.credentials import google, microsoft
from campaign.delivery.credentials.login import Login
from campaign.delivery.credentials.token_refresh import TokenCache, in_thread
from campaign.errors import UnfinishedError


async def oauth_login(
    user: str, settings: OauthSection, base: Path, scope: str = "", application_scope: str = ""
) -> Login:
    """A login for ``user`` with tokens that are fetched on first use and kept for the run. Raises ConfigError.

    Without a ``scope`` the tokens are for SMTP.
    """
    file = base / settings.file
    if settings.provider == "google":
        fetch = await asyncio.to_thread(google.source, user, file, scope or google.SCOPE)
    else:
        scopes = (scope or microsoft.USER_SCOPE, application_scope or microsoft.APPLICATION_SCOPE)
        fetch = await asyncio.to_thread(microsoft.source, user, settings, file, *scopes)
    return Login(user, "token", TokenCache(in_thread(fetch)))


def mailbox_token(user: str, protocol: str, settings: OauthSection, base: Path) -> str:
    """A token for reading ``user``'s mailbox by ``protocol``, ``imap`` or ``pop3``.

    Raises ConfigError, LoginError, and UnfinishedError if the provider cannot be reached now.
    """
    file = base / settings.file
    try:
        if settings.provider == "google":
            return google.source(user, file)().text
        return microsoft.source(user, settings, file, microsoft.MAILBOX_SCOPES[protocol])().text
    except ConnectionError as error:
        raise UnfinishedError(
            f"There is no access token for {user} now.",
            evidence=str(error),
            next_step="run the same command again later",
        ) from None
