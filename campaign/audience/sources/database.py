"""A database source through SQLAlchemy: one read-only select, streamed by a server-side cursor.

The statement comes only from the campaign file, its parameters are bound, the transaction is read-only and the time to
answer is bounded. The password is neither in the URL nor on a command line.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaign.audience.columns.template_names import named_columns
from campaign.audience.sources.cell_values import chunk_of
from campaign.audience.sources.row_chunks import Chunk
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError, install_extra
from campaign.system.private_file import read_private

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
EXTRAS = {"psycopg": "postgresql", "pymysql": "mysql"}
PASSWORD = "CAMPAIGN_DATABASE_PASSWORD"  # noqa: S105  the variable's name, not a password
#: Rows fetched at a time: rows of a database may be wide.
FETCHED = 2_000
#: Seconds to wait for a connection.
CONNECT_TIMEOUT = 15


class DatabaseQuery:
    """The rows of one select. The query runs on creation, because only its result has the column names."""

    value_type = "any"

    def __init__(self, settings: AudienceSection, base: Path, key: str = "audience.source") -> None:
        if not settings.query.strip():
            wanted = "suppress_query" if key.endswith("suppress") else "query"
            raise ConfigError(
                f"{key} is a database, and there is no audience.{wanted}.",
                next_step=f'set {wanted} = "select …" under [audience]',
            )
        self.settings = settings
        self.url = database_url(settings, base, key)
        self.name = f"{self.url.get_backend_name()}:{Path(self.url.database or '').name.partition('?')[0]}"
        self.notes: tuple[str, ...] = (f"dialect {self.url.get_backend_name()}",)
        self._answer: Iterator[Chunk] | None = None
        self.columns = self._begin()

    def identity(self) -> dict[str, str | int]:
        """The statement's SHA-256; a database has no lasting identifier of its state."""
        return {"query_sha256": hashlib.sha256(self.settings.query.encode()).hexdigest()}

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """No rows: the database names the columns."""
        return iter(())

    def chunks(self) -> Iterator[Chunk]:
        """The rows in the order of the result, numbered from 1."""
        if self._answer is None:
            self._begin()
        answer, self._answer = self._answer, None
        assert answer is not None  # noqa: S101  _begin has just set it
        yield from answer

    def _begin(self) -> tuple[str, ...]:
        columns: list[str] = []
        self._answer = _answer(self.url, self.settings, self.name, columns)
        next(self._answer)  # an empty chunk: the statement is accepted and its columns are known
        return tuple(columns)


def _answer(url: URL, settings: AudienceSection, name: str, columns: list[str]) -> Iterator[Chunk]:
    """Yield an empty chunk once ``columns`` is filled, then the rows.

    This generator holds no reference to its `DatabaseQuery`. So an unfinished result is closed as soon as it is
    dropped, instead of by the garbage collector at some later time.
    """
    from sqlalchemy import text

    with _translated(name, url), _connected(url, settings.statement_timeout) as connection:
        raw = connection.connection.dbapi_connection
        result = connection.execute(text(settings.query), settings.parameters)
        try:
            columns += named_columns(list(result.keys()), name)
            yield Chunk()
            first = 1
            for rows in result.partitions(FETCHED):
                yield chunk_of(rows, first)
                first += len(rows)
        finally:
            _let_go(connection, raw)
            result.close()


def database_url(settings: AudienceSection, base: Path, key: str) -> URL:
    """The URL with driver and password, or that of a SQLite file, relative to ``base``. Raises ConfigError."""
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    scheme, colon, _ = settings.source.partition(":")
    if not colon or scheme.partition("+")[0].lower() not in DRIVERS:  # the path of a SQLite file
        return _sqlite_url(URL.create("sqlite", database=settings.source), base, key)
    try:
        url = make_url(settings.source)
    except (ArgumentError, ValueError):
        raise ConfigError(
            f"{key} is no database URL.", next_step="write one such as postgresql://user@host/database"
        ) from None
    if url.password is not None or "password" in url.query:
        raise ConfigError(
            f"{key} carries a password in its URL, where every listing and log would show it.",
            next_step=f"take it out; put it into a file named by audience.password_file, or into {PASSWORD}",
        )
    backend = url.get_backend_name()
    url = url.set(drivername=DRIVERS.get(backend, url.drivername))
    if backend == "sqlite":
        return _sqlite_url(url, base, key)
    secret = _password(settings, base)
    return url.set(password=secret) if secret else url


def _sqlite_url(url: URL, base: Path, key: str) -> URL:
    path = (base / (url.database or "")).resolve()
    if not path.is_file():
        raise InputError(
            f"{key} names {path}, which is no file.",
            next_step=f"correct the path; what is there: ls {shlex.quote(str(path.parent))}",
        )
    return url.set(database=path.as_uri(), query={"mode": "ro", "uri": "true"})


def _password(settings: AudienceSection, base: Path) -> str:
    if not settings.password_file:
        return os.environ.get(PASSWORD, "")
    return read_private(base / settings.password_file, "password").rstrip("\r\n")


@contextmanager
def _translated(name: str, url: URL) -> Iterator[None]:
    """Turn the library's exceptions into errors with one sentence and the driver's message as evidence."""
    from sqlalchemy.exc import SQLAlchemyError, StatementError

    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        if url.password is None and _asks_password(str(cause)):
            raise _without_password(name, url, str(cause)) from None
        kind = ConfigError if type(error) is StatementError else InputError
        raise kind(
            f"The database {name} did not answer the query.",
            evidence=" ".join(str(cause).split())[:500],
            next_step="check that it is up, and the query and its parameters under [audience]",
        ) from None


def _asks_password(said: str) -> bool:
    """Whether an error asks for a password: from libpq, from a PostgreSQL server, or from MySQL and MariaDB."""
    return any(words in said for words in ("no password supplied", "password authentication failed", "using password"))


def _without_password(name: str, url: URL, said: str) -> ConfigError:
    who, where = url.username or "the user of this machine", url.host or url.query.get("host") or "this machine"
    return ConfigError(
        f"The database {name} wants a password, and there is none.",
        evidence=[f"for {who} at {where}", " ".join(said.split())[:500]],
        next_step=f"put the password of {who} into the variable {PASSWORD}, or into a file that is named by "
        "audience.password_file",
    )


@contextmanager
def _connected(url: URL, timeout: float) -> Iterator[Connection]:
    engine = _engine(url, timeout)
    connection = engine.connect().execution_options(stream_results=True, max_row_buffer=FETCHED)
    try:
        _restrain(connection, timeout)
        yield connection
    finally:
        connection.close()
        engine.dispose()


def _let_go(connection: Connection, raw: object) -> None:
    """Drop a MySQL connection at once; PyMySQL would first read the rest of the result, however long it is."""
    if connection.dialect.name not in {"mysql", "mariadb"}:
        return
    answer = getattr(raw, "_result", None)
    if answer is not None:
        answer.unbuffered_active, answer.connection = False, None
    if not connection.invalidated:
        connection.invalidate()


def _engine(url: URL, timeout: float) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    arguments: dict[str, Any] = {}
    if url.get_backend_name() == "postgresql":
        options = f"-c statement_timeout={int(timeout * 1000)} -c default_transaction_read_only=on"
        arguments = {"connect_timeout": CONNECT_TIMEOUT, "options": options}
    elif url.get_backend_name() in {"mysql", "mariadb"}:
        arguments = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": max(1, int(timeout)), "charset": "utf8mb4"}
    try:
        return create_engine(url, poolclass=NullPool, connect_args=arguments)
    except ImportError as error:
        extra = EXTRAS.get(url.get_driver_name(), url.get_driver_name())
        raise ConfigError(
            f"Reading {url.get_backend_name()} needs a driver.",
            evidence=str(error),
            next_step=install_extra(extra),
        ) from None


def _restrain(connection: Connection, timeout: float) -> None:
    """Make the connection read-only and bounded in time, by the database's own means."""
    backend = connection.dialect.name
    if backend == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
        deadline = time.monotonic() + timeout
        raw: Any = connection.connection.dbapi_connection
        raw.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    elif backend in {"mysql", "mariadb"}:
        limit = (
            f"max_statement_time = {timeout:f}"
            if getattr(connection.dialect, "is_mariadb", False)
            else f"max_execution_time = {int(timeout * 1000)}"
        )
        connection.exec_driver_sql(f"SET SESSION {limit}, net_write_timeout = {max(60, int(timeout))}")
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.commit()
