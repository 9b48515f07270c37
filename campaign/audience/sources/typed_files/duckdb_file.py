"""A DuckDB file, read by one select, which is streamed.

The file is opened for reading only. A statement reaches no other file and loads no extension, and its time is bounded.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaign.audience.columns.template_names import named_columns
from campaign.audience.sources.cell_values import chunk_of
from campaign.audience.sources.row_chunks import Chunk
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError, install_extra

#: Rows fetched at a time: rows of a database may be wide.
FETCHED = 2_000
#: What the library may do: one file, one processor, and no more memory than that.
RESTRAINED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "1GB",
    "threads": "1",
    "lock_configuration": "true",
}
#: A text or a quoted name, which stays as it is; or a parameter.
_BOUND = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<![:\w\\]):(\w+)""")


class DuckDbFile:
    """The rows of one select. The query runs on creation, because only its result has the column names."""

    value_type = "any"

    def __init__(self, path: Path, settings: AudienceSection, key: str = "audience.source") -> None:
        if not settings.query.strip():
            wanted = "suppress_query" if key.endswith("suppress") else "query"
            raise ConfigError(
                f"{key} is a database, and there is no audience.{wanted}.",
                next_step=f'set {wanted} = "select …" under [audience]',
            )
        self.path, self.name = path, path.name
        self.notes: tuple[str, ...] = ("DuckDB",)
        self._settings = settings
        self._begun: Iterator[tuple[tuple[str, ...], Chunk]] | None = self._answer()
        self.columns = next(self._begun)[0]

    def identity(self) -> dict[str, str | int]:
        """The statement's SHA-256; a database has no lasting identifier of its state."""
        return {"query_sha256": hashlib.sha256(self._settings.query.encode()).hexdigest()}

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """No rows: the database names the columns."""
        return iter(())

    def chunks(self) -> Iterator[Chunk]:
        """The rows in the order of the result, numbered from 1."""
        begun, self._begun = self._begun or self._answer(), None
        for _, chunk in begun:
            if chunk.rows or chunk.bad:
                yield chunk

    def _answer(self) -> Iterator[tuple[tuple[str, ...], Chunk]]:
        return _answer(self.path, self._settings)


def _answer(path: Path, settings: AudienceSection) -> Iterator[tuple[tuple[str, ...], Chunk]]:
    """The columns with an empty chunk, then the rows.

    This generator holds no reference to its `DuckDbFile`, so an unfinished result is closed as soon as it is dropped.
    """
    query, values = bound(settings.query, settings.parameters)
    with _translated(path.name), _connected(path, settings.statement_timeout) as connection:
        result = connection.execute(query, values)
        columns = named_columns([str(one[0]) for one in result.description or ()], path.name)
        yield columns, Chunk()
        first = 1
        while rows := result.fetchmany(FETCHED):
            yield columns, chunk_of(rows, first)
            first += len(rows)


def bound(query: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The statement with ``:name`` of each parameter written as the library does, ``$name``, and those it has."""
    used: dict[str, Any] = {}

    def written(found: re.Match[str]) -> str:
        name = found[1]
        if name not in parameters:
            return found[0]
        used[name] = parameters[name]
        return f"${name}"

    return _BOUND.sub(written, query), used


@contextmanager
def _connected(path: Path, timeout: float) -> Iterator[Any]:
    try:
        import duckdb
    except ImportError:
        raise ConfigError("DuckDB files need a library.", next_step=install_extra("duckdb")) from None
    with duckdb.connect(str(path), read_only=True, config=RESTRAINED) as connection:
        late = threading.Timer(timeout, connection.interrupt)
        late.daemon = True
        late.start()
        try:
            yield connection
        finally:
            late.cancel()


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn the library's exceptions into errors with one sentence and its message as evidence."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("duckdb", "_duckdb"):
            raise
        raise InputError(
            f"The database {name} did not answer the query.",
            evidence=" ".join(str(error).split())[:500],
            next_step=_next_step(str(error)),
        ) from None


def _next_step(said: str) -> str:
    if "Conflicting lock" in said or "Could not set lock" in said:
        return "another program has the file open for writing: end it, or copy the file"
    if "Interrupted" in said:
        return "make the query quicker, or set a longer audience.statement_timeout"
    return "check the file, and the query and its parameters under [audience]"
