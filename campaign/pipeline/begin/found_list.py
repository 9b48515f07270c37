"""Looks at a list through the sources that a run uses, and finds the settings under ``[audience]`` that it needs.

Nothing is written. A list that cannot be read raises the error that `check` would raise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from campaign.audience.columns.address_column import means_address
from campaign.audience.columns.column_types import text_cell
from campaign.audience.columns.template_names import NamedSource
from campaign.audience.screening.addresses import Refusal, parse_address
from campaign.audience.screening.screen_rows import Screener, Suppression
from campaign.audience.screening.suggested_settings import suggested_settings
from campaign.audience.sources.file_set import names_files
from campaign.audience.sources.row_chunks import Chunk
from campaign.audience.sources.source_factory import DATABASES, TEXT, names_database, open_rows, row_of_names
from campaign.audience.sources.source_file import SUFFIX_OF, bare_suffix
from campaign.config.audience import AudienceSection
from campaign.errors import InputError
from campaign.model import Screened, Value
from campaign.pipeline.begin.likely_columns import INVOICES, address_place, column_named, name_columns

#: The option that names the list, which stands in messages for the key of a campaign file.
OPTION = "--list"
#: Chunks of rows that are screened: enough to see what a list is like, and quick.
CHUNKS = 10
#: Rows by which a column of addresses is recognised.
SAMPLE = 1_000


class FoundList(msgspec.Struct, frozen=True):
    """A list as it was found. ``headers`` are its names of the columns, ``columns`` those that templates use.

    ``display`` and ``greeting`` are the columns of the name in To and in the greeting, ``invoice`` that of an
    invoice's number; each is a place, or None. ``plain`` are the places of columns without lists and objects in their
    cells. ``settings`` are those that differ from the defaults.
    """

    settings: AudienceSection
    headers: tuple[str, ...]
    columns: tuple[str, ...]
    typed: bool
    plain: frozenset[int]
    address: int
    display: int | None
    greeting: int | None
    invoice: int | None
    planned: int
    aside: dict[Screened, int] = msgspec.field(default_factory=dict)
    more: bool = False


def is_database(source: str) -> bool:
    """Whether the text names a database, not a file."""
    return ":" in source and source.partition(":")[0].partition("+")[0].lower() in DATABASES


def needs_query(source: str) -> bool:
    """Whether the list is read by a select statement: from a database, or a file of one."""
    return names_database(source)


def is_set(source: str) -> bool:
    """Whether the text names a list in several files: a folder or a pattern."""
    return names_files(source, Path())


def is_text(source: str) -> bool:
    """Whether the text names a text file, which has an encoding."""
    return not is_database(source) and bare_suffix(Path(source)) in TEXT


def compression_of(source: str) -> str:
    """``gzip`` for ``list.csv.gz``; empty if the name says nothing."""
    return next((kind for kind, suffix in SUFFIX_OF.items() if source.endswith(suffix)), "")


def look_at_list(wanted: AudienceSection, base: Path) -> FoundList:
    """The list that ``wanted`` names, relative to ``base``, and what it needs. Raises CampaignError."""
    settings, source = _with_header(wanted, base)
    rows = _sample(source)
    address = _address(settings, source, rows)
    settings = _changed(settings, address=source.headers[address])
    if lines := suggested_settings(settings, base):
        settings = _changed(settings, **tomllib.loads("\n".join(lines)))
    display, greeting = name_columns(source.headers)
    if display is not None:
        settings = _changed(settings, display_name=source.headers[display])
    planned, aside, more = _screened(settings, base)
    return FoundList(
        settings=settings,
        headers=source.headers,
        columns=source.columns,
        typed=source.value_type != "text",
        plain=frozenset(at for at in range(len(source.headers)) if _is_plain(at, rows)),
        address=address,
        display=display,
        greeting=greeting,
        invoice=_invoice(source.headers, rows),
        planned=planned,
        aside=aside,
        more=more,
    )


def _with_header(settings: AudienceSection, base: Path) -> tuple[AudienceSection, NamedSource]:
    """The source opened at its header: the first row, a later one, or none at all."""
    source = _opened(settings, base)
    if any(map(means_address, source.headers)) or settings.header_row or settings.header:
        return settings, source
    if row := row_of_names(source) or _row_above_addresses(source):
        settings = _changed(settings, header_row=row)
    elif is_text(settings.source) and any(map(_is_address, source.headers)):
        settings = _changed(settings, header=_made_up_names(source.headers))
    return settings, _opened(settings, base)


def _row_above_addresses(source: NamedSource) -> int:
    """The row above the first address, if it names more columns than the first row does; 0 if not."""
    above, names = 0, 0
    for row, cells in source.first_rows():
        if any(map(_is_address, cells)):
            return above if names > len(source.headers) else 0
        if filled := sum(bool(cell.strip()) for cell in cells):
            above, names = row, filled
    return 0


def _opened(settings: AudienceSection, base: Path) -> NamedSource:
    return NamedSource(open_rows(settings, base, OPTION), settings)


def _is_address(cell: str) -> bool:
    return not isinstance(parse_address(cell), Refusal)


def _made_up_names(cells: Sequence[str]) -> list[str]:
    """Names for the columns of a list without a header: ``email``, and the others by their number."""
    place = next(at for at, cell in enumerate(cells) if _is_address(cell))
    return ["email" if at == place else f"column_{at + 1}" for at in range(len(cells))]


def _changed(settings: AudienceSection, **keys: object) -> AudienceSection:
    return AudienceSection(**{**settings.model_dump(exclude_unset=True), **keys})


def _sample(source: NamedSource) -> list[Sequence[Value]]:
    return next(source.chunks(), Chunk()).rows[:SAMPLE]


def _address(settings: AudienceSection, source: NamedSource, rows: Sequence[Sequence[Value]]) -> int:
    """The place of the address column: the one that was named, or the likeliest. Raises InputError."""
    named, address = "address" in settings.model_fields_set, source.settings.address
    place = address_place(source.headers, rows)
    if named:
        place = source.columns.index(address) if address in source.columns else None
    if place is None:
        raise InputError(
            f"{source.name} has no column {address!r} for the addresses."
            if named
            else f"{source.name} has no column of addresses.",
            evidence=f"its columns: {', '.join(source.headers)}",
            next_step="name the column of addresses: --address COLUMN; or name another list",
        )
    return place


def _is_plain(at: int, rows: Sequence[Sequence[Value]]) -> bool:
    return not any(isinstance(row[at], list | dict) for row in rows)


def _invoice(headers: Sequence[str], rows: Sequence[Sequence[Value]]) -> int | None:
    """The column of an invoice's number, if no cell of it is blank."""
    place = column_named(headers, INVOICES)
    return place if place is not None and all(str(text_cell(row[place])).strip() for row in rows) else None


def _screened(settings: AudienceSection, base: Path) -> tuple[int, dict[Screened, int], bool]:
    """How many of the first rows would be planned, how many not and why, and whether there are more rows."""
    source = _opened(settings, base)
    screener = Screener(source.settings, source.columns, Suppression())
    planned, aside = 0, dict[Screened, int]()
    chunks = source.chunks()
    for chunk in islice(chunks, CHUNKS):
        screened = screener.screen(chunk)
        planned += len(screened.kept)
        for row in screened.aside:
            aside[row.kind] = aside.get(row.kind, 0) + 1
    return planned, aside, next(chunks, None) is not None
