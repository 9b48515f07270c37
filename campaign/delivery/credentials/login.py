"""Relay passwords and tokens: reading them, and keeping them out of all output.

A secret comes from a file, a command, the environment, or a service manager's credentials folder; never from a command
line and never from a URL. This module speaks no SMTP and stores nothing.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shlex
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from campaign.config.delivery import DeliverySection
from campaign.delivery.credentials.token_refresh import WITHHELD, Token, TokenCache
from campaign.errors import ConfigError
from campaign.system.private_file import LONGEST, read_private

#: Seconds a command may take to print a secret.
COMMAND_LIMIT = 60.0

#: Environment variables passed to a command that prints a secret: the user, the machine, and how to reach the keeper of
#: passwords (pass, gpg, ssh-agent, a desktop's keyring). No others, so the command sees no secret of ours or of others.
PASSED_ON = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "DISPLAY", "WAYLAND_DISPLAY"),
    *("DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "GPG_TTY", "SSH_AUTH_SOCK", "CREDENTIALS_DIRECTORY"),
}
PASSED_ON_BEGINNINGS = ("LC_", "XDG_", "PASSWORD_STORE_")

TRY_IT = (
    "run it yourself in the campaign file's folder: it should print the secret and exit with 0; what it needs of the "
    "environment is named in delivery.command_environment"
)

_WORD = re.compile(r"[A-Za-z0-9+/_-]{6,}={0,2}")

Fetch = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Login:
    """A user name, the kind of secret, and a function that fetches the secret just before it is needed."""

    user: str
    kind: Literal["password", "token", "keys"]
    fetch: Fetch = field(repr=False)

    @contextmanager
    def withheld(self, secret: str) -> Iterator[None]:
        """Remove the secret from errors raised inside: some relays repeat all or part of the login in a refusal."""
        lines = (f"\0{self.user}\0{secret}", secret, f"user={self.user}\1auth=Bearer {secret}\1\1")
        sent = [base64.b64encode(line.encode("utf-8", "surrogateescape")).decode("ascii") for line in lines]

        def clean(value: object) -> object:
            if not isinstance(value, str):
                return value
            text = value.replace(secret, WITHHELD)
            return _WORD.sub(lambda word: WITHHELD if _is_of(word[0], sent) else word[0], text)

        try:
            yield
        except Exception as error:
            error.args = tuple(map(clean, error.args))
            vars(error).update({name: clean(value) for name, value in vars(error).items()})
            raise


def _is_of(word: str, sent: Sequence[str]) -> bool:
    return any(word.rstrip("=") in line for line in sent)


async def find_login(
    user: str, host: str, position: int, settings: DeliverySection, base: Path, environment: Mapping[str, str]
) -> Login:
    """The login for relay number ``position`` (from 1). Passwords are read now, tokens at each login.

    Raises ConfigError when there is no secret or it cannot be read.
    """
    token = find_token(settings, base)
    if token is not None:
        return Login(user, "token", TokenCache(token))
    password = await find_password(host, position, settings, base, environment)
    if not password:
        raise ConfigError(
            f"There is no password for {user} at {host}.",
            next_step="set delivery.password_file or delivery.password_command, or CAMPAIGN_RELAY_PASSWORD",
        )
    return Login(user, "password", _always(password))


async def find_password(
    host: str, position: int, settings: DeliverySection, base: Path, environment: Mapping[str, str]
) -> str:
    """The password, or API key, for relay number ``position`` at ``host``; ``""`` if there is none."""
    for name in (f"CAMPAIGN_RELAY_PASSWORD_{position}", "CAMPAIGN_RELAY_PASSWORD"):
        if given := environment.get(name, "").strip("\r\n"):  # a file that became a variable ends in a line feed
            return given
    if host in settings.password_files:
        return read_secret(base / settings.password_files[host])
    if settings.password_file is not None:
        return read_secret(base / settings.password_file)
    if settings.password_command:
        return await run_for_secret(settings.password_command, base, settings.command_environment)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    offered = Path(folder) / "relay-password" if folder else None
    return read_secret(offered) if offered is not None and offered.exists() else ""


def find_token(settings: DeliverySection, base: Path) -> Callable[[], Awaitable[Token]] | None:
    """What fetches an access token by ``token_command`` or ``token_file``; ``None`` if neither is set."""

    async def from_command() -> Token:
        return Token(await run_for_secret(settings.token_command, base, settings.command_environment), 0.0)

    async def from_file() -> Token:
        return Token(read_secret(base / str(settings.token_file), "token"), 0.0)

    return from_command if settings.token_command else from_file if settings.token_file else None


def read_secret(path: Path, what: str = "password") -> str:
    """The first line of a file that only its owner may read; errors say ``what`` it holds. Raises ConfigError."""
    return first_line(read_private(path, what), str(path))


def clean_environment(environment: Mapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """The part of ``environment`` that a command for a secret gets: `PASSED_ON`, and the variables in ``also``."""
    passed_on = {*PASSED_ON, *also}
    return {
        name: value for name, value in environment.items() if name in passed_on or name.startswith(PASSED_ON_BEGINNINGS)
    }


async def run_for_secret(command: str, base: Path, also: Iterable[str] = ()) -> str:
    """The first line a command prints. Runs it without a shell, in the campaign's folder. Raises ConfigError.

    Its environment is clean except for the variables named in ``also``. The command's output is never shown, not even
    when it fails.
    """
    words = shlex.split(command)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=base,
            env=clean_environment(os.environ, also),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise ConfigError(
            f"The command {words[0]} for a secret cannot be run.",
            evidence=error.strerror or "",
            next_step=TRY_IT,
        ) from None
    try:
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_LIMIT)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ConfigError(
            f"The command {words[0]} for a secret took over {COMMAND_LIMIT:.0f} s.", next_step=TRY_IT
        ) from None
    if process.returncode:
        raise ConfigError(
            f"The command {words[0]} for a secret failed with exit code {process.returncode}.", next_step=TRY_IT
        )
    return first_line(output[:LONGEST].decode("utf-8", "replace"), words[0])


def first_line(text: str, where: str) -> str:
    """The secret that is the first line of ``text``. Raises ConfigError when it is empty or holds a NUL."""
    secret = text.partition("\n")[0].rstrip("\r")
    if not secret:
        raise ConfigError(f"{where} gave an empty secret.", next_step="put the secret into its first line")
    if "\0" in secret:
        raise ConfigError(f"{where} gave a secret with a NUL in it.", next_step="its first line should be the secret")
    return secret


def _always(secret: str) -> Fetch:
    async def fetch() -> str:
        return secret

    return fetch
