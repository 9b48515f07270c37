"""Access tokens from Microsoft, by the library ``msal``, which only this module imports, and only when needed.

The content of the file decides the kind of login. A client secret or a certificate with its key: the application itself
sends, by client credentials. An MSAL token cache or a refresh token as JSON: a person has signed in. The latter two are
written back when Microsoft replaces the refresh token, or they would expire.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from campaign.config.delivery import OauthSection
from campaign.delivery.credentials.login import first_line
from campaign.delivery.credentials.token_refresh import ANSWER_LIMIT, Token, refused, unreachable
from campaign.errors import CampaignError, ConfigError, install_extra
from campaign.system.atomic_file import write_atomically
from campaign.system.private_file import read_private

log = logging.getLogger(__name__)
logging.getLogger("msal").setLevel(logging.CRITICAL)  # it logs whole answers, tokens included

AUTHORITY = "https://login.microsoftonline.com/"
#: Scopes for the application itself, and for a person who has signed in (learn.microsoft.com, "Authenticate an IMAP,
#: POP or SMTP connection using OAuth").
APPLICATION_SCOPE = "https://outlook.office365.com/.default"
USER_SCOPE = "https://outlook.office.com/SMTP.Send"
#: For a person whose mailbox is read, by protocol.
MAILBOX_SCOPES = {
    "imap": "https://outlook.office.com/IMAP.AccessAsUser.All",
    "pop3": "https://outlook.office.com/POP.AccessAsUser.All",
}

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
_PASSING = frozenset({"temporarily_unavailable", "server_error"})


def source(
    user: str,
    settings: OauthSection,
    file: Path,
    scope: str = USER_SCOPE,
    application_scope: str = APPLICATION_SCOPE,
) -> Callable[[], Token]:
    """A blocking function that fetches a token for ``user``. Sends no request yet. Raises ConfigError.

    ``scope`` is the permission that a signed-in person has given us. An application has all that it was granted at the
    service of ``application_scope``.
    """
    try:
        import msal
    except ImportError:
        raise ConfigError(
            "delivery.oauth for Microsoft needs a library that is not installed.",
            next_step=install_extra("microsoft"),
        ) from None
    return _Source(msal, user, settings, file, read_private(file), scope, application_scope).fetch


class _Source(msgspec.Struct, eq=False):
    """``text`` is the file's content. The application is created at the first fetch, because that sends a request."""

    msal: Any
    user: str
    settings: OauthSection
    file: Path
    text: str
    scope: str = USER_SCOPE
    application_scope: str = APPLICATION_SCOPE
    _ask: Callable[[], dict[str, Any] | None] | None = None

    def __post_init__(self) -> None:
        if _BLOCK.search(self.text):
            self._certificate()  # report a bad certificate before any request
        elif self._signed_in() is None:
            first_line(self.text, str(self.file))

    def fetch(self) -> Token:
        """A token from Microsoft. Raises LoginError, ConfigError, or ConnectionError when a later try may succeed."""
        try:
            self._ask = self._ask or self._prepare()
            answer = self._ask() or {"error": "no_account", "error_description": "the file holds no account to renew"}
        except OSError as error:  # the base class of what the HTTP library raises
            raise unreachable("Microsoft", error) from None
        except self.msal.exceptions.MsalServiceError as error:  # raised by msal for a status of 500 or more
            status = str(error).rpartition(" ")[2]
            raise ConnectionError(f"Microsoft cannot be asked for an access token: it answered {status}") from None
        except json.JSONDecodeError:
            raise ConnectionError("Microsoft cannot be asked for an access token: somebody else answered") from None
        except ValueError:
            raise ConfigError(
                f"Microsoft knows no directory {self.settings.tenant}.",
                next_step="set delivery.oauth.tenant to the directory's ID or its domain",
            ) from None
        if answer.get("error") in _PASSING:
            raise ConnectionError("Microsoft cannot be asked for an access token: it is not able to answer")
        if not answer.get("access_token"):
            raise self._refused(answer)
        return Token(answer["access_token"], float(answer.get("expires_in") or 0))

    def _prepare(self) -> Callable[[], dict[str, Any] | None]:
        signed_in = self._signed_in()
        if signed_in is None:
            credential = self._certificate() if _BLOCK.search(self.text) else first_line(self.text, str(self.file))
            application = self._application(self.msal.ConfidentialClientApplication, client_credential=credential)
            return lambda: application.acquire_token_for_client([self.application_scope])
        if "refresh_token" in signed_in:
            return self._by_refresh_token(signed_in)
        cache = self.msal.SerializableTokenCache()
        cache.deserialize(self.text)
        return self._by_cache(cache, self._application(self.msal.PublicClientApplication, token_cache=cache))

    def _application(self, kind: Callable[..., Any], **more: Any) -> Any:
        return kind(self.settings.client_id, authority=AUTHORITY + self.settings.tenant, timeout=ANSWER_LIMIT, **more)

    def _by_cache(self, cache: Any, application: Any) -> Callable[[], dict[str, Any] | None]:
        def ask() -> dict[str, Any] | None:
            accounts = application.get_accounts()
            own = [one for one in accounts if one.get("username", "").lower() == self.user.lower()]
            account = own[0] if own else accounts[0] if len(accounts) == 1 else None  # one person, another's mailbox
            answer = application.acquire_token_silent_with_error([self.scope], account=account)
            if cache.has_state_changed:
                self._write_back(cache.serialize())
            return answer  # type: ignore[no-any-return]

        return ask

    def _by_refresh_token(self, held: dict[str, Any]) -> Callable[[], dict[str, Any] | None]:
        application = self._application(self.msal.PublicClientApplication)

        def ask() -> dict[str, Any] | None:
            answer: dict[str, Any] = application.acquire_token_by_refresh_token(held["refresh_token"], [self.scope])
            if answer.get("refresh_token", held["refresh_token"]) != held["refresh_token"]:
                held["refresh_token"] = answer["refresh_token"]
                self._write_back(json.dumps(held, indent=2))
            return answer

        return ask

    def _signed_in(self) -> dict[str, Any] | None:
        """A token cache or a refresh token if the file is JSON; ``None`` if it is a client secret or a key."""
        if not self.text.lstrip().startswith("{"):
            return None
        try:
            held = json.loads(self.text)
        except ValueError:
            held = {}
        if not isinstance(held, dict) or not ("RefreshToken" in held or isinstance(held.get("refresh_token"), str)):
            raise ConfigError(
                f"{self.file} is JSON, but neither a token cache of MSAL nor a refresh token.",
                evidence='a cache holds RefreshToken; otherwise write {"refresh_token": "..."}',
                next_step="sign in again, see docs/relays.md",
            )
        return held

    def _certificate(self) -> dict[str, str]:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509 import load_pem_x509_certificate

        blocks = {found[1]: found[0] for found in reversed([*_BLOCK.finditer(self.text)])}
        key = next((block for name, block in blocks.items() if name in ("PRIVATE KEY", "RSA PRIVATE KEY")), "")
        if not key or "CERTIFICATE" not in blocks:
            raise ConfigError(
                f"{self.file} should hold a private key and its certificate, both as PEM and without a passphrase.",
                next_step=f"cat key.pem certificate.pem > {self.file}",
            )
        try:
            load_pem_private_key(key.encode(), None)
            load_pem_x509_certificate(blocks["CERTIFICATE"].encode())
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigError(
                f"{self.file} holds a key or a certificate that cannot be read.",
                next_step="export both anew as PEM, without a passphrase",
            ) from None
        return {"private_key": key, "public_certificate": blocks["CERTIFICATE"]}

    def _write_back(self, text: str) -> None:
        """Store the new refresh token. If the file cannot be written, the old token serves until it expires."""
        try:
            write_atomically(self.file.resolve(), text.encode())
        except OSError as error:
            log.warning("the new refresh token cannot be kept in %s: %s", self.file, error.strerror)

    def _refused(self, answer: dict[str, Any]) -> CampaignError:
        description = str(answer.get("error_description") or "").partition("Trace ID:")[0]
        known = [self.text.strip(), self.text.partition("\n")[0].strip(), *_strings(self.text)]
        if self._signed_in() is not None:
            step = f"sign in as {self.user} again and save what you get as {self.file}"
        elif answer.get("error") == "invalid_client":
            step = f"make a new secret (or upload the certificate) for application {self.settings.client_id}"
        else:
            needs = "SMTP.SendAsApp" if self.application_scope == APPLICATION_SCOPE else "Mail.Send"
            step = f"look at application {self.settings.client_id}: it needs {needs}, with admin consent"
        return refused("Microsoft", self.user, f"{answer.get('error')}: {description}", known, step)


def _strings(text: str) -> list[str]:
    """Long values of JSON: those that may be secrets."""
    return re.findall(r'"([^"\\]{16,})"', text)
