"""Connections to PostgreSQL as the store that several machines share: address, password, TLS and time limits.

The only module that opens such a connection. What is stored is left to the ledger and to pacing.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict

from campaign.errors import ConfigError, StorageError

#: The schema that holds everything of ours.
SCHEMA = "campaign"
#: Seconds that opening a connection, and one statement, may take. A commit that waits for a standby for longer counts
#: as not done: the connection is closed, and the statement is sent again.
CONNECT_SECONDS, STATEMENT_SECONDS = 5, 15
#: Seconds that a command waits for one answer, a commit included.
ANSWER_SECONDS = 60.0
#: A silent connection is given up after about this many seconds (libpq: keepalives, tcp_user_timeout).
SILENT_SECONDS = 8
LOWEST_VERSION = 140_000
#: Where systems keep the certificates of all authorities in one file: Debian, Red Hat, SUSE, Alpine.
AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

Waited = TypeVar("Waited")

logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # its warnings would stand between our own sentences


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is; ``parameters`` are libpq's. ``text`` may be printed: it holds no password."""

    text: str
    parameters: Mapping[str, Any] = field(repr=False)


def store_address(url: str, password: str = "") -> StoreAddress:
    """The address that ``url`` names. Raises ConfigError: unknown form, password in the URL, TLS that can be broken."""
    try:
        found: dict[str, Any] = dict(conninfo_to_dict(url)) if url.startswith("postgresql://") else {}
    except psycopg.ProgrammingError as error:
        raise _wrong_address(str(error)) from None
    if not found:
        raise _wrong_address(f"ledger.store = {url!r}")
    if found.pop("password", None):
        raise ConfigError(
            "The address of the store holds a password, which would be shown in logs and lists of processes.",
            next_step="put it on the first line of a file and set ledger.store_password_file, or set "
            "CAMPAIGN_STORE_PASSWORD",
        )
    if not _is_local(found):
        _demand_tls(found)
    found |= {"password": password} if password else {}
    return StoreAddress(url, {**_limits(), **found})


class LimitedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits no longer than ``limit`` seconds for one answer, then closes and raises OperationalError.

    The server's own limit does not cover a commit that waits for a standby.
    """

    limit = ANSWER_SECONDS

    def wait(self, gen: PQGen[Waited], *words: Any, **named: Any) -> Waited:
        """As psycopg's, which looks at ``gen`` ten times a second, within the limit."""
        return super().wait(self._within_limit(gen), *words, **named)

    def _within_limit(self, gen: PQGen[Waited]) -> PQGen[Waited]:
        until = time.monotonic() + self.limit
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if time.monotonic() > until:
                    self.close()
                    raise psycopg.OperationalError(f"the server has not answered for {self.limit:.0f} s")
                wanted = gen.send(ready)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]


def connect(address: StoreAddress) -> LimitedConnection:
    """An open connection; each statement is a transaction unless a block says otherwise. Raises StorageError."""
    with store_errors(address):
        return LimitedConnection.connect(autocommit=True, **address.parameters)


async def connect_async(address: StoreAddress) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """As `connect`, for an event loop."""
    with store_errors(address):
        return await psycopg.AsyncConnection.connect(autocommit=True, **address.parameters)


@contextmanager
def store_errors(address: StoreAddress) -> Iterator[None]:
    """Raise StorageError for what goes wrong between us and the store inside the block."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        user = address.parameters.get("user", "campaign")
        raise StorageError(
            "The store refuses what is needed there.",
            evidence=_words(error),
            next_step=f"as the database's owner: GRANT CREATE ON DATABASE {address.parameters.get('dbname', user)} "
            f"TO {user}",
        ) from None
    except (psycopg.Error, OSError) as error:
        raise StorageError(
            f"The store {address.text} cannot be used.",
            evidence=_words(error),
            next_step="see that the server runs and can be reached from here, then run the same command again; it "
            "continues where it stopped",
        ) from None


def refuse_unsafe(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Raise ConfigError if this server is too old, may lose what it has confirmed, or cannot hold every character."""
    if connection.info.server_version < LOWEST_VERSION:
        raise ConfigError(
            "The store's PostgreSQL is too old.",
            evidence=f"version {connection.info.server_version // 10_000}; 14 is the oldest that is known to work",
            next_step="upgrade the server, or use another one as the store",
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigError(
            "The store's database is not in UTF-8, so it cannot hold every name and address.",
            evidence=f"its encoding is {encoding}",
            next_step="have another one made: CREATE DATABASE campaign OWNER campaign TEMPLATE template0 "
            "ENCODING 'UTF8' LOCALE 'C'",
        )
    for name in ("fsync", "full_page_writes"):
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        if row and row[0] != "on":
            raise ConfigError(
                "The store may lose what it has confirmed, and then people would be served twice.",
                evidence=f"{name} = {row[0]} on the server",
                next_step=f"have the database's administrator set {name} = on",
            )


def _limits() -> dict[str, Any]:
    """Parameters for every connection. synchronous_commit is set here, so that a role's default does not matter."""
    options = (
        f"-c search_path={SCHEMA} -c synchronous_commit=on -c statement_timeout={STATEMENT_SECONDS}s "
        "-c idle_in_transaction_session_timeout=60s -c timezone=UTC"
    )
    return {
        "application_name": "campaign",
        "client_encoding": "UTF8",  # whatever the role's default, or PGCLIENTENCODING
        "connect_timeout": CONNECT_SECONDS,
        "target_session_attrs": "read-write",  # never a standby that follows
        "keepalives_idle": 2,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENT_SECONDS * 1000,
        "options": options,
    }


def _is_local(found: Mapping[str, Any]) -> bool:
    """Whether every host is this machine: a socket, or a loopback address."""
    hosts = str(found.get("hostaddr") or found.get("host") or "").split(",")
    return all(not host or host.startswith(("/", "@")) or host == "localhost" or _is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _demand_tls(found: dict[str, Any]) -> None:
    mode = found.setdefault("sslmode", "verify-full")
    if mode != "verify-full":
        raise ConfigError(
            "The connection to the store would not be safe from somebody in between.",
            evidence=f"sslmode={mode} in ledger.store; only verify-full checks whom it talks to",
            next_step="leave sslmode out; sslrootcert=FILE names the authority of a certificate of your own",
        )
    found.setdefault("sslrootcert", _authorities())


def _authorities() -> str:
    """What libpq is to take as the system's authorities: the psycopg of PyPI looks for them in a folder of its own."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return "system"  # which reads these
    known = (ssl.get_default_verify_paths().cafile, *AUTHORITIES)
    return next((file for file in known if file and Path(file).is_file()), "system")


def _wrong_address(evidence: str) -> ConfigError:
    return ConfigError(
        "ledger.store is not the address of a PostgreSQL database.",
        evidence=evidence,
        next_step='write it as store = "postgresql://campaign@db.example.com/campaign"',
    )


def _words(error: Exception) -> str:
    """What the server or libpq said, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
