"""Access tokens from Google, by the library ``google-auth``, which only this module imports, and only when needed.

The credentials file is as Google issues it: an ``authorized_user`` (a person has signed in; it holds a refresh token)
or a ``service_account`` with domain-wide delegation, which acts for the mailbox that logs in.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign.delivery.credentials.token_refresh import ANSWER_LIMIT, Token, refused, unreachable
from campaign.errors import CampaignError, ConfigError, install_extra
from campaign.system.private_file import read_private

SCOPE = "https://mail.google.com/"
_NEEDED = {
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "service_account": ("client_email", "private_key", "token_uri"),
}


def source(user: str, file: Path, scope: str = SCOPE) -> Callable[[], Token]:
    """A blocking function that fetches a token for ``user``, with the permission ``scope``. Sends no request yet.

    Raises ConfigError.
    """
    info = _read(file)
    try:
        import google.auth.transport.requests as transport
        from google.auth import exceptions
        from google.oauth2 import credentials, service_account
    except ImportError:
        raise ConfigError(
            "delivery.oauth for Google needs a library that is not installed.",
            next_step=install_extra("google"),
        ) from None
    try:
        held: Any = (
            service_account.Credentials.from_service_account_info(info, scopes=[scope], subject=user)  # type: ignore[no-untyped-call]
            if info["type"] == "service_account"
            else credentials.Credentials.from_authorized_user_info(info, scopes=[scope])  # type: ignore[no-untyped-call]
        )
    except (ValueError, TypeError, exceptions.GoogleAuthError):
        raise ConfigError(
            f"{file} holds a key that cannot be used.", next_step="download it again from the Google Cloud console"
        ) from None
    request = functools.partial(transport.Request(), timeout=ANSWER_LIMIT)

    def fetch() -> Token:
        try:
            held.refresh(request)
        except exceptions.TransportError as error:
            raise unreachable("Google", error) from None
        except exceptions.RefreshError as error:
            if error.retryable:
                raise ConnectionError("Google cannot be asked for an access token: it is not able to answer") from None
            raise _refused(user, file, info, str(error.args[0] if error.args else ""), scope) from None
        left = (held.expiry.replace(tzinfo=dt.UTC) - dt.datetime.now(dt.UTC)).total_seconds() if held.expiry else 0.0
        return Token(held.token, max(0.0, left))

    return fetch


def _read(file: Path) -> dict[str, Any]:
    try:
        info = json.loads(read_private(file))
    except ValueError:
        info = None
    kind = info.get("type", "authorized_user" if "refresh_token" in info else "") if isinstance(info, dict) else ""
    if kind not in _NEEDED:
        raise ConfigError(
            f"{file} is neither an authorised user nor a service account of Google.",
            evidence="it should be JSON whose type is authorized_user or service_account",
            next_step="see docs/relays.md for how to get one",
        )
    missing = [name for name in _NEEDED[kind] if not isinstance(info.get(name), str) or not info[name]]
    if missing:
        raise ConfigError(f"{file} lacks {', '.join(missing)}.", next_step="download it again, or sign in again")
    return {**info, "type": kind}


def _refused(user: str, file: Path, info: dict[str, Any], words: str, scope: str) -> CampaignError:
    secrets = [str(info.get(name, "")) for name in ("refresh_token", "client_secret", "private_key", "token")]
    if info["type"] == "authorized_user":
        step = f"sign in as {user} again and save what you get as {file}"
    elif "unauthorized_client" in words:
        client = info.get("client_id", info["client_email"])
        step = f"allow client {client} the scope {scope} under domain-wide delegation in the Workspace console"
    else:
        step = f"see that {user} is a mailbox of your Workspace, and that the key in {file} has not been revoked"
    return refused("Google", user, words, secrets, step)
