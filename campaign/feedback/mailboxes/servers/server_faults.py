"""What goes wrong between us and a mailbox's server, each in its sentence."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from campaign.errors import ConfigError, LoginError, UnfinishedError

#: Characters of a server's own words that are shown.
LONGEST_WORDS = 300

AGAIN = "run the same command again: what was counted is not counted twice"


@dataclass(frozen=True, slots=True)
class MailboxSecret:
    """How to get at the password, or at an access token for XOAUTH2, just before it is needed."""

    password: Callable[[], str] | None = field(default=None, repr=False)
    access_token: Callable[[], str] | None = field(default=None, repr=False)

    def fetch(self, name: str) -> tuple[str, bool]:
        """The secret, and whether it is a token. Raises ConfigError where there is none."""
        for way, token in ((self.access_token, True), (self.password, False)):
            secret = way() if way is not None else ""
            if secret:
                return secret, token
        raise ConfigError(
            f"There is no password for {name}.",
            next_step="name password_file, password_command or oauth in its [[feedback.source]]",
        )


def cannot_reach(name: str, error: Exception) -> UnfinishedError:
    """No connection came about."""
    return UnfinishedError(
        f"{name} cannot be reached.", evidence=_reason(error), next_step="run the same command again"
    )


def broke_off(name: str, error: Exception) -> UnfinishedError:
    """The connection ended, or went silent, in the middle of it."""
    return UnfinishedError(f"The connection to {name} broke off.", evidence=_reason(error), next_step=AGAIN)


def misunderstood(name: str, error: Exception) -> UnfinishedError:
    """The server's answer is not what the protocol says, or it refused a command that any server takes."""
    return UnfinishedError(f"{name} did not do what was asked of it.", evidence=_reason(error), next_step=AGAIN)


def login_refused(name: str, words: str, secret: str) -> LoginError:
    """The server does not let us in; asking again locks accounts."""
    return LoginError(
        f"{name}: the login was refused.",
        evidence=shown(words, secret),
        next_step="correct the password in the source's password_file, password_command or oauth, and see that the "
        "mailbox may be read by this protocol",
    )


def not_now(name: str, words: str, secret: str) -> UnfinishedError:
    """The login failed for a reason that passes: another session holds the mailbox, or a part of the server is down."""
    return UnfinishedError(
        f"{name} takes no login at present.",
        evidence=shown(words, secret),
        next_step="run the same command again later",
    )


def shown(words: str, secret: str = "") -> str:
    """A server's words, fit for a terminal: without the ``secret``, which some repeat, and cut."""
    if secret:
        for form in (secret, base64.b64encode(secret.encode()).decode("ascii")):
            words = words.replace(form, "[withheld]")
    return "".join(one if one.isprintable() else " " for one in words)[:LONGEST_WORDS]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    said = error.args[0] if len(error.args) == 1 else getattr(error, "strerror", None) or error
    return shown(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) or type(error).__name__
