"""Errors of connections to a mailbox's server, each with its message."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from campaign.errors import ConfigError, LoginError, UnfinishedError

#: Characters of a server's message that are shown.
LONGEST_WORDS = 300

AGAIN = "run the same command again: what was counted is not counted twice"


@dataclass(frozen=True, slots=True)
class MailboxSecret:
    """Fetches the password, or an access token for XOAUTH2, just before it is needed."""

    password: Callable[[], str] | None = field(default=None, repr=False)
    access_token: Callable[[], str] | None = field(default=None, repr=False)

    def fetch(self, name: str) -> tuple[str, bool]:
        """The secret, and whether it is a token. Raises ConfigError if there is none."""
        for way, token in ((self.access_token, True), (self.password, False)):
            secret = way() if way is not None else ""
            if secret:
                return secret, token
        raise ConfigError(
            f"There is no password for {name}.",
            next_step="name password_file, password_command or oauth in its [[feedback.source]]",
        )


def cannot_reach(name: str, error: Exception) -> UnfinishedError:
    """The error of a connection that cannot be opened."""
    return UnfinishedError(
        f"{name} cannot be reached.", evidence=_reason(error), next_step="run the same command again"
    )


def broke_off(name: str, error: Exception) -> UnfinishedError:
    """The error of a connection that ended, or timed out."""
    return UnfinishedError(f"The connection to {name} broke off.", evidence=_reason(error), next_step=AGAIN)


def misunderstood(name: str, error: Exception) -> UnfinishedError:
    """The error of an answer that violates the protocol, or of a refused command that every server must accept."""
    return UnfinishedError(f"{name} did not do what was asked of it.", evidence=_reason(error), next_step=AGAIN)


def login_refused(name: str, words: str, secret: str) -> LoginError:
    """The error of a refused login; further tries could lock the account."""
    return LoginError(
        f"{name}: the login was refused.",
        evidence=shown(words, secret),
        next_step="correct the password in the source's password_file, password_command or oauth, and see that the "
        "mailbox may be read by this protocol",
    )


def not_now(name: str, words: str, secret: str) -> UnfinishedError:
    """The error of a temporary login failure: another session holds the mailbox, or part of the server is down."""
    return UnfinishedError(
        f"{name} takes no login at present.",
        evidence=shown(words, secret),
        next_step="run the same command again later",
    )


def shown(words: str, secret: str = "") -> str:
    """A server's message, safe for a terminal: shortened, and without the ``secret``, which some servers repeat."""
    if secret:
        for form in (secret, base64.b64encode(secret.encode()).decode("ascii")):
            words = words.replace(form, "[withheld]")
    return "".join(one if one.isprintable() else " " for one in words)[:LONGEST_WORDS]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    said = error.args[0] if len(error.args) == 1 else getattr(error, "strerror", None) or error
    return shown(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) or type(error).__name__
