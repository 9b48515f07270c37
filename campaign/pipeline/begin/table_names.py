"""Finds the tables of a SQLite or DuckDB file, from which a list is read by a select statement."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from pathlib import Path

from campaign.audience.sources.source_factory import open_rows
from campaign.config.audience import AudienceSection
from campaign.errors import CampaignError
from campaign.pipeline.begin.found_list import OPTION, is_database, needs_query

#: Tables that are named, at most.
MOST_TABLES = 8
#: Both kinds of files answer it.
_ALL = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY name"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def tables_in(source: str) -> list[str]:
    """The first tables and views of a file; none of a server, or if it cannot be read, which is told elsewhere."""
    if not needs_query(source) or (is_database(source) and not source.startswith("sqlite:")):
        return []
    with suppress(CampaignError):
        rows = open_rows(AudienceSection(source=source, query=_ALL), Path(), OPTION)
        names = (str(row[0]) for chunk in rows.chunks() for row in chunk.rows)
        return list(islice(names, MOST_TABLES))
    return []


def select_all(table: str) -> str:
    """The statement that reads all of a table."""
    return f"SELECT * FROM {table if _PLAIN.fullmatch(table) else _quoted(table)}"  # noqa: S608 - for the operator, who sees it


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
