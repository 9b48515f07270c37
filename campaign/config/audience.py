"""The ``[audience]`` section: who gets it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from campaign.config.slice import Slice
from campaign.config.units import Duration

ColumnType = Literal["text", "integer", "number", "boolean", "date", "json"]


class AudienceSlice(Slice):
    """Where the rows come from and which of them are kept."""

    source: str = Field(description=".csv .tsv .xlsx .parquet, or a database URL with query")
    query: str = Field("", description="the select statement, for a database")
    parameters: dict[str, str | int | float] = Field(default_factory=dict, description="bound values of the query")
    header: list[str] = Field(
        default_factory=list, description="names of the columns, for a text file without a header line"
    )
    header_row: int = Field(
        0, ge=0, le=1000, description="the row that names the columns, where others stand above it (default: the first)"
    )
    address: str = Field("email", description="the column that holds the address")
    display_name: str = Field("", description="the column that holds the name shown in To")
    key: str = Field("", description="the column that makes a letter one of a kind (default: the address)")
    encoding: str = Field("", description="when it is neither UTF-8 nor UTF-16 with BOM: gbk, cp1252, latin-1, ...")
    delimiter: str = Field("", max_length=1, description="field separator; found on the first lines by default")
    quote: str = Field('"', max_length=1, description="quote character; empty for none")
    compression: Literal["", "gzip", "zstd"] = Field("", description="for .csv.gz and .csv.zst")
    sheet: str = Field("", description="the Excel sheet (default: the first)")
    suppress: list[str] = Field(
        default_factory=list, description="files of addresses, @domains, hashes; or a database URL"
    )
    suppress_query: str = Field("", description="the select statement for a database in suppress")
    where: str = Field("", description="a filter over columns, such as plan == 'pro' and age >= 18")
    columns: dict[str, ColumnType] = Field(default_factory=dict, description="columns that are more than text")
    items: list[str] = Field(
        default_factory=list, description="columns gathered into the list 'items' over the lines that share a key"
    )
    provider_rules: bool = Field(False, description="fold dots and +tags of known providers when comparing addresses")
    mx: bool = Field(False, description="let check ask DNS which domains take no mail")
    password_file: str = Field("", description="file with the database password (or CAMPAIGN_DATABASE_PASSWORD)")
    statement_timeout: Duration = Field(600.0, description="how long the database may take to answer")
