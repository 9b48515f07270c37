"""Screens raw rows: each is kept, or set aside with a reason; none is dropped or repaired.

The checks have a fixed order, so that each row has one reason: unreadable or mistyped (invalid), excluded by the
filter (filtered), no address (invalid), suppressed, already served, duplicate. A filtered or suppressed row never makes
a later one a duplicate. `plan_writer.py` writes the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from campaign.audience.columns.column_types import CellError, Typing, base_type, text_cell
from campaign.audience.screening.addresses import Refusal, address_key, parse_address
from campaign.audience.screening.key_set import KeySet, digest
from campaign.audience.screening.suppression_list import Suppression
from campaign.audience.screening.where_filter import Filter, FilterError
from campaign.audience.sources.row_chunks import Chunk
from campaign.config.audience import AudienceSection
from campaign.model import Screened, Value

__all__ = ["KeySet", "PlannedRow", "ScreenedChunk", "ScreenedRow", "Screener", "Suppression", "digest"]

#: First lines of keys that are remembered, so that the reason for a duplicate can name the line it repeats.
REMEMBERED = 50_000


def key_of(wire: str, value: Value, settings: AudienceSection) -> str:
    """The key of a letter: the ``value`` of the key column, or the address if no such column is set.

    With ``split_addresses`` it is both, the address last because it contains no space.
    """
    if not settings.key:
        return address_key(wire, settings.provider_rules)
    key = str(text_cell(value)).strip()
    return f"{key} {address_key(wire, settings.provider_rules)}" if key and settings.split_addresses else key


class PlannedRow(NamedTuple):
    """A row for the plan, its fields in the order of a plan line after the number."""

    key: str
    address: str
    name: str
    line: int
    values: Sequence[Value]


class ScreenedRow(NamedTuple):
    """A row set aside, and the reason."""

    line: int
    address: str
    kind: Screened
    detail: str


class ScreenedChunk(msgspec.Struct):
    """The rows of one chunk, kept or set aside."""

    kept: list[PlannedRow] = msgspec.field(default_factory=list)
    aside: list[ScreenedRow] = msgspec.field(default_factory=list)


class Screener:
    """Screens chunks of one source; remembers every key it kept (16 bytes each)."""

    def __init__(
        self,
        settings: AudienceSection,
        columns: Sequence[str],
        suppression: Suppression,
        already: KeySet | None = None,
        only: Callable[[str], bool] | None = None,
    ) -> None:
        self._address = columns.index(settings.address)
        self._name = columns.index(settings.display_name) if settings.display_name else None
        self._key = columns.index(settings.key) if settings.key else None
        self._settings, self._key_name, self._provider_rules = settings, settings.key, settings.provider_rules
        self._grouped = bool(settings.items)
        self._typing = Typing(columns, settings.columns)
        types = {name: base_type(kind) for name, kind in settings.columns.items()}
        self._filter = Filter(settings.where, columns, types) if settings.where else None
        self._suppression, self._already, self._only = suppression, already, only
        self._seen = KeySet()
        self._first: dict[bytes, int] = {}
        #: Keys that have an invalid line, and that line: a letter grouped from the other lines would lack an item.
        self.spoiled: dict[str, int] = {}

    def screen(self, chunk: Chunk) -> ScreenedChunk:
        """Every row of ``chunk``, either kept or set aside."""
        screened = ScreenedChunk(
            aside=[ScreenedRow(bad.line, "", Screened.INVALID, f"{bad.reason}: {bad.raw!r}") for bad in chunk.bad]
        )
        admitted: list[PlannedRow] = []
        for row, line in zip(chunk.rows, chunk.lines, strict=True):
            found = self._admit(row, line)
            if isinstance(found, PlannedRow):
                admitted.append(found)
            else:
                screened.aside.append(found)
                self._spoil(row, found)
        if admitted:
            self._settle(admitted, screened)
        screened.aside.sort(key=lambda one: one.line)
        return screened

    def _admit(self, row: Sequence[Value], line: int) -> PlannedRow | ScreenedRow:
        """Convert and filter one row by itself, and parse its address and key."""
        cell = row[self._address]
        raw = cell if isinstance(cell, str) else str(text_cell(cell))
        try:
            values = self._typing.apply(row) if self._typing else row
            if self._filter and not self._filter.accepts(values):
                return ScreenedRow(line, raw, Screened.FILTERED, "does not meet audience.where")
        except (CellError, FilterError) as error:
            return ScreenedRow(line, raw, Screened.INVALID, str(error))
        address = parse_address(raw)
        if isinstance(address, Refusal):
            return ScreenedRow(line, raw, Screened.INVALID, address.reason)
        wire = address.wire
        key = key_of(wire, None if self._key is None else values[self._key], self._settings)
        if not key:
            return ScreenedRow(line, raw, Screened.INVALID, f"the key column {self._key_name!r} is empty")
        name = "" if self._name is None else str(text_cell(values[self._name])).strip()
        return PlannedRow(key, wire, name, line, values)

    def _spoil(self, row: Sequence[Value], found: ScreenedRow) -> None:
        if self._grouped and self._key is not None and found.kind is Screened.INVALID:
            key = self._typing.lenient(self._key, row[self._key])
            self.spoiled.setdefault(str(text_cell(key)).strip(), found.line)

    def _settle(self, admitted: list[PlannedRow], screened: ScreenedChunk) -> None:
        """Compare a chunk with the suppression lists, the earlier runs and the earlier rows."""
        digests = [digest(row.key) for row in admitted]
        left = list(zip(admitted, digests, self._reasons(admitted, digests), strict=True))
        for row, _, reason in left:
            if reason:
                screened.aside.append(ScreenedRow(row.line, row.address, *reason))
        self._distinct([(row, key) for row, key, reason in left if not reason], screened)

    def _reasons(self, rows: list[PlannedRow], digests: list[bytes]) -> Iterator[tuple[Screened, str] | None]:
        addresses = [row.address for row in rows]
        by_address = digests
        if self._key is not None:
            by_address = [digest(address_key(address, self._provider_rules)) for address in addresses]
        suppressed = self._suppression.reasons(addresses, by_address)
        served = self._already.contains(digests) if self._already else [False] * len(rows)
        for row, reason, before in zip(rows, suppressed, served, strict=True):
            if reason:
                yield Screened.SUPPRESSED, reason
            elif before:
                yield Screened.ALREADY, "served by an earlier run of this edition"
            elif self._only and not self._only(row.key):
                yield Screened.ALREADY, "not among those to be served again"
            else:
                yield None

    def _distinct(self, rows: list[tuple[PlannedRow, bytes]], screened: ScreenedChunk) -> None:
        """Keep the first row of each key. Rows to be grouped by key are all kept: they are not duplicates."""
        if self._grouped or not rows:
            screened.kept.extend(row for row, _ in rows)
            return
        fresh = self._seen.add([key for _, key in rows])
        for (row, key), new in zip(rows, fresh, strict=True):
            if new:
                screened.kept.append(row)
                if len(self._first) < REMEMBERED:
                    self._first[key] = row.line
            else:
                screened.aside.append(ScreenedRow(row.line, row.address, Screened.DUPLICATE, self._repeated(key)))

    def _repeated(self, key: bytes) -> str:
        what = "address" if self._key is None else self._key_name
        if self._key is not None and self._settings.split_addresses:
            what += " and address"
        return f"same {what} as {f'line {self._first[key]}' if key in self._first else 'an earlier line'}"
