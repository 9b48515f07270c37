"""The schema of the store: made at first use, brought up to date, and refused if a later release has changed it."""

from __future__ import annotations

from importlib import resources
from typing import Any

import psycopg

from campaign.errors import ConfigError
from campaign.system.postgres import refuse_unsafe

VERSION = 4
#: What each number of the schema added to the one before; it takes nothing away from workers of an earlier release.
_ADDED = {2: ("feedback",), 3: ("forgotten", "canary"), 4: ("segment",)}
#: Held while the schema is made, so that two first commands do not both make it.
_LOCK = 0x63616D70


def ensure_schema(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Make what is missing, also in the schema of an earlier release.

    Raises ConfigError if the server or the schema does not suit, else psycopg's errors.
    """
    refuse_unsafe(connection)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if not _exists(connection):
            connection.execute(_script("schema"))
            connection.execute(_script("pace"))
            connection.execute("INSERT INTO campaign.meta (version) VALUES (1)")
        row = connection.execute("SELECT version FROM campaign.meta").fetchone()
        for number in range(row[0] + 1, VERSION + 1) if row else ():
            for name in _ADDED[number]:
                connection.execute(_script(name))
            row = connection.execute("UPDATE campaign.meta SET version = %s RETURNING version", (number,)).fetchone()
    if row is None or row[0] != VERSION:
        raise ConfigError(
            "The store belongs to another release of this program, so nothing is done with it.",
            evidence=f"its schema has number {row[0] if row else '?'}, this release knows {VERSION}",
            next_step="use the same release on all machines",
        )


def _exists(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    return connection.execute("SELECT to_regclass('campaign.meta')").fetchone() != (None,)


def _script(name: str) -> bytes:
    return resources.files(__package__).joinpath("sql", f"{name}.sql").read_bytes()
