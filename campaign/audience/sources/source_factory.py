"""Opens the source that ``[audience] source`` names: a text or JSON file, workbook, Parquet file or database.

It chooses the module for the kind of source, imports it only when needed, and checks that the source has the columns
that the settings name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from campaign.audience.columns.address_column import names_row
from campaign.audience.columns.group_columns import GroupColumns
from campaign.audience.columns.template_names import NamedSource
from campaign.audience.sources.csv_source import DelimitedFile
from campaign.audience.sources.file_set import FileSet, names_files
from campaign.audience.sources.kept_lists.https_list import fetched_list, is_web_address
from campaign.audience.sources.kept_lists.piped_list import SOURCE, kept_input
from campaign.audience.sources.row_chunks import CHUNK_ROWS, BadRow, Chunk, Source
from campaign.audience.sources.source_file import bare_suffix, locate
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, close_matches

__all__ = ["CHUNK_ROWS", "BadRow", "Chunk", "Source", "open_source", "template_columns"]

TEXT = {".csv", ".tsv", ".tab", ".txt"}
WORKBOOKS = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}
JSON_LINES, JSON = {".jsonl", ".ndjson"}, {".json"}
FRAMES = {".parquet", ".dta", ".sas7bdat", ".xpt"}
DATABASES = {"sqlite", "postgresql", "postgres", "mysql", "mariadb"}
#: Endings of SQLite files, which may be named by their paths.
DATABASE_FILES = {".sqlite", ".sqlite3", ".db", ".db3"}
DUCKDB_FILES = {".duckdb", ".ddb"}


def open_source(settings: AudienceSection, base: Path) -> NamedSource:
    """The source that ``settings`` names, with its columns checked; paths are relative to ``base``.

    Raises InputError if it cannot be read, ConfigError if its kind is unknown or it lacks a column that the settings
    name.
    """
    if settings.header and settings.header_row:
        raise ConfigError(
            "audience.header and audience.header_row exclude each other.",
            next_step="leave out header where a row of the file names the columns, and header_row where none does",
        )
    if settings.items and settings.split_addresses:
        raise ConfigError(
            "audience.items and audience.split_addresses exclude each other.",
            evidence="items gathers the lines of a key into one letter; split_addresses makes several of a line",
            next_step="leave out one of them",
        )
    source = NamedSource(open_rows(settings, base), settings)
    if missing := missing_columns(source):
        raise _lacking(source, missing)
    return source


def template_columns(settings: AudienceSection, base: Path) -> tuple[str, ...]:
    """The columns a template sees: those of the source, or with ``items`` the single ones and ``items``.

    Raises as `open_source` does.
    """
    source = open_source(settings, base)
    return item_shape(source.settings, source.columns).columns if settings.items else source.columns


def item_shape(settings: AudienceSection, columns: Sequence[str]) -> GroupColumns:
    """The single and the gathered columns under ``audience.items``. Raises ConfigError if they conflict."""
    return GroupColumns(columns, settings.items, (settings.address, settings.display_name, settings.key))


def open_rows(settings: AudienceSection, base: Path, key: str = "audience.source") -> Source:
    """As `open_source`, without checking the columns."""
    if is_web_address(settings.source):
        return _open_file(fetched_list(settings.source, key), settings, key)
    if Path(settings.source).suffix.lower() in DUCKDB_FILES and not settings.format:
        from campaign.audience.sources.typed_files.duckdb_file import DuckDbFile

        return DuckDbFile(locate(settings.source, base, key), settings, key)
    if names_database(settings.source) and not settings.format:
        from campaign.audience.sources.database import DatabaseQuery

        return DatabaseQuery(settings, base, key)
    if settings.source != SOURCE and names_files(settings.source, base):
        return FileSet(settings, base, key, lambda path, name: _open_file(path, settings, key, name))
    path = kept_input(settings.format) if settings.source == SOURCE else locate(settings.source, base, key)
    return _open_file(path, settings, key)


def _open_file(path: Path, settings: AudienceSection, key: str, name: str = "") -> Source:
    """The source for the kind of a file; messages call it ``name``, or else by its own name."""
    suffix = f".{settings.format}" if settings.format else bare_suffix(path)
    if suffix in TEXT:
        return DelimitedFile(path, settings, name)
    if suffix in JSON_LINES | JSON:
        from campaign.audience.sources.json_records.json_file import JsonFile

        return JsonFile(path, settings, lines=suffix in JSON_LINES)
    if suffix in WORKBOOKS:
        from campaign.audience.sources.spreadsheets.spreadsheet import Workbook

        return Workbook(path, settings)
    if suffix in FRAMES:
        from campaign.audience.sources.typed_files.dataframe import FrameFile

        return FrameFile(path, name)
    raise ConfigError(
        f"{key} = {settings.source!r} is of no kind known here.",
        next_step="name a .csv, .tsv, .jsonl, .json, .xlsx, .ods, .parquet, .sqlite or .duckdb file, or a database URL "
        '(postgresql, mysql, sqlite); or, for a file with another ending, set format = "csv" under [audience]',
    )


def names_database(text: str) -> bool:
    """Whether ``text`` is the URL of a database, or the path of a SQLite or DuckDB file."""
    scheme, colon, _ = text.partition(":")
    if colon and scheme.partition("+")[0].lower() in DATABASES:
        return True
    return "://" not in text and Path(text).suffix.lower() in DATABASE_FILES | DUCKDB_FILES


def missing_columns(source: NamedSource) -> list[str]:
    """The columns that the settings name and the source lacks."""
    found = source.settings
    named = [found.address, found.display_name, found.key, *found.columns, *found.items]
    return [name for name in dict.fromkeys(named) if name and name not in source.columns]


def _lacking(source: NamedSource, missing: Sequence[str]) -> ConfigError:
    close = [f"{match!r} is there" for name in missing for match in _alike(name, source.headers)]
    return ConfigError(
        f"{source.name} has no column {' and no column '.join(map(repr, missing))}.",
        evidence=[f"its columns: {', '.join(source.headers)}", *close],
        next_step=_where_names_stand(source) or "correct the names under [audience], or the header",
    )


def _where_names_stand(source: NamedSource) -> str:
    """The setting to write if the first row that is not blank is not the header; empty if none is evident."""
    if row := row_of_names(source):
        return f"row {row} seems to name the columns: set header_row = {row} under [audience]"
    if any("@" in header for header in source.headers):
        return "its first line looks like data: name the columns with header = [...] under [audience]"
    return ""


def row_of_names(source: NamedSource) -> int:
    """The row that seems to be the header if the first one is not; 0 if there is none."""
    settings = source.settings
    if not settings.header and not settings.header_row:
        for row, cells in source.first_rows():
            names = tuple(cell.strip() for cell in cells if cell.strip())
            if names_row(cells, settings.address) and names != source.headers[: len(names)]:
                return row
    return 0


def _alike(name: str, columns: Iterable[str]) -> list[str]:
    folded = {column.casefold(): column for column in columns}
    return [folded[match] for match in close_matches(name.casefold(), folded, n=1, cutoff=0.6)]
