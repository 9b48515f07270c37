"""The ``[audience]`` section: the source of the list, and how its rows are read and screened."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from campaign.config.base_section import Section, no_entries, no_items
from campaign.config.units import Duration, Share

_COLUMN_TYPE = re.compile(r"text|boolean|json|(?:integer|number|date)(?::.+)?")


def column_type(value: str) -> str:
    """``date``, ``date:%d.%m.%Y``, ``number:de``: a type, optionally with the form of its cells. Raises ValueError."""
    if not _COLUMN_TYPE.fullmatch(value):
        raise ValueError(
            f"{value!r} is no type of column; write text, integer, number, boolean, date or json, "
            "or with a form, such as number:de or date:%d.%m.%Y"
        )
    return value


ColumnType = Annotated[
    str,
    AfterValidator(column_type),
    WithJsonSchema({"type": "string", "pattern": f"^({_COLUMN_TYPE.pattern})$"}),
]


class AudienceSection(Section):
    """Where the rows come from, and which of them are kept."""

    source: str = Field(
        description="a .csv, .tsv, .jsonl, .json, .xlsx, .ods or .parquet file; a .sqlite or .duckdb file or a "
        "database URL, with query; a folder or a pattern such as lists/*.csv; an https:// address; - for stdin"
    )
    format: Literal["", "csv", "jsonl", "json"] = Field(
        "", description="what the file is, if its name does not end in .csv, .jsonl or .json"
    )
    query: str = Field("", description="the select statement, for a database")
    parameters: dict[str, str | int | float] = Field(
        default_factory=no_entries, description="bound values of the query"
    )
    header: list[str] = Field(
        default_factory=no_items, description="names of the columns, for a text file without a header line"
    )
    header_row: int = Field(
        0, ge=0, le=1000, description="the row that names the columns, if there are lines above it (default: the first)"
    )
    address: str = Field("email", description="the column that holds the address")
    split_addresses: bool = Field(
        False, description="make each address in a cell a recipient; also reads `Anna <anna@example.com>`"
    )
    display_name: str = Field("", description="the column that holds the name shown in To")
    key: str = Field("", description="the column that identifies a letter (default: the address)")
    encoding: str = Field("", description="if it is neither UTF-8 nor UTF-16 with BOM: gbk, cp1252, latin-1, ...")
    delimiter: str = Field("", max_length=1, description="field separator (default: detected from the first lines)")
    quote: str = Field('"', max_length=1, description="quote character; empty for none")
    compression: Literal["", "gzip", "zstd"] = Field("", description="for .csv.gz and .csv.zst")
    sheet: str = Field("", description="the Excel sheet (default: the first)")
    suppress: list[str] = Field(
        default_factory=no_items, description="files of addresses, @domains, hashes; or a database URL"
    )
    suppress_query: str = Field("", description="the select statement for a database in suppress")
    where: str = Field("", description="a filter over columns, such as plan == 'pro' and age >= 18")
    columns: dict[str, ColumnType] = Field(
        default_factory=no_entries,
        description="types of columns other than text: number, date, ..., or with a form number:de, date:%d.%m.%Y",
    )
    locale: str = Field(
        "", description="how numbers and dates are written: de, en_US, ... (default: 1234.5, 2026-12-31)"
    )
    max_invalid: Share = Field(
        0.2, description="share of invalid rows above which nothing is sent (if not set, two rows are always allowed)"
    )
    items: list[str] = Field(
        default_factory=no_items, description="columns gathered into the list 'items' over all lines with the same key"
    )
    provider_rules: bool = Field(False, description="ignore dots and +tags of known providers when comparing addresses")
    password_file: str = Field("", description="file with the database password (or CAMPAIGN_DATABASE_PASSWORD)")
    statement_timeout: Duration = Field(600.0, description="how long the database may take to answer")
