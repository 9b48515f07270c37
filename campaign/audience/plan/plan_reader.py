"""Reads a plan, the frozen and numbered list that one run serves: lines of JSON, any range of which is cheap to read.

Line 1 is a header object. One array for each recipient follows, ``[number, key, address, name, line, [values]]``. The
last line is a footer object with the row counts; a plan without it is incomplete. Sending reads only this file, so the
source may change or vanish. Screening is not done here; `freeze` leaves it to `plan_writer.py`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import msgspec

from campaign.audience.columns.group_columns import ITEMS
from campaign.audience.plan.plan_codec import AS_THEY_ARE, FORMAT, PLAN, decode_value
from campaign.audience.sources.row_chunks import RowPlace
from campaign.config.audience import AudienceSection
from campaign.errors import StorageError
from campaign.model import Books, Recipient, Value

if TYPE_CHECKING:
    from campaign.audience.screening.screen_rows import KeySet, Suppression

#: Bytes at the end of the file in which the footer must lie.
TAIL = 8192
#: Lines before a recipient's from which on reading them one by one is quicker than looking for it.
NEAR = 8
RESTORE = "restore it from a backup: the journal knows recipients by their number in it"
_DECODE = msgspec.json.Decoder().decode


class Plan(msgspec.Struct, frozen=True):
    """A complete plan on disk: ``size`` recipients, numbered from 0.

    ``types`` is aligned with ``columns``, the columns that a template sees; ``input_columns`` are all of the source's.
    """

    path: Path
    columns: tuple[str, ...]
    types: tuple[str, ...]
    input_columns: tuple[str, ...]
    source: str
    books: Books
    size: int
    #: The source's names of ``input_columns``, and sentences about the decisions made on its columns.
    headers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    #: Of a list in several files: each with the number from which its rows are counted.
    files: tuple[tuple[str, int], ...] = ()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read only header and footer. Raises StorageError if the plan is missing or incomplete."""
        try:
            with path.open("rb") as file:
                header, footer = _decoded(file.readline()), _decoded(_last_line(file))
        except OSError as error:
            raise StorageError(f"The plan {path} cannot be read.", evidence=str(error), next_step=RESTORE) from None
        whole = "books" in footer and header.keys() >= {"source", "input", "columns"}
        if header.get("plan") != FORMAT or not whole:
            raise StorageError(
                f"{path} is no complete plan of this version.",
                evidence=f"header format {header.get('plan')!r}, {'' if 'books' in footer else 'no '}footer",
                next_step="run `campaign send FILE --fresh` to freeze a new plan",
            )
        books = Books(**footer["books"])
        columns, given = header["columns"], tuple(header["input"])
        headers, remarks = tuple(header.get("headers", given)), tuple(header.get("remarks", ()))
        types = tuple(columns.values())
        files = tuple((name, before) for name, before in header.get("files", ()))
        return cls(path, tuple(columns), types, given, header["source"], books, books.planned, headers, remarks, files)

    def sha256(self) -> str:
        """The file's SHA-256 in hex; reads the whole file."""
        with _opened(self.path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def recipients(
        self, wanted: Callable[[int], bool] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Recipient]:
        """Recipients ``start`` to ``stop`` (excluded) in order; those not ``wanted`` are skipped without parsing."""
        end = self.size if stop is None else min(stop, self.size)
        if start >= end:
            return
        with _opened(self.path) as file:
            self._seek(file, start)
            for number in range(start, end):
                line = file.readline()
                if wanted is None or wanted(number):
                    yield self._parsed(line, number)

    def addresses(self) -> Iterator[str]:
        """The addresses of all recipients, in order, without parsing their rows."""
        return (address for _, address in self.keys_and_addresses())

    def keys_and_addresses(self) -> Iterator[tuple[str, str]]:
        """The keys and addresses of all recipients, in order, without parsing their rows."""
        decode = msgspec.json.Decoder(tuple[int, str, str, str, int, msgspec.Raw]).decode
        with _opened(self.path) as file:
            file.readline()
            for number, line in zip(range(self.size), file, strict=False):
                try:
                    yield decode(line)[1:3]
                except msgspec.DecodeError as error:
                    raise self._damaged(number, str(error)) from None

    def recipient(self, number: int) -> Recipient:
        """One recipient by number, found without reading the others. Raises IndexError if there is none."""
        if not 0 <= number < self.size:
            raise IndexError(number)
        return next(self.recipients(start=number))

    def input_rows(self, recipient: Recipient) -> list[list[Value]]:
        """The source rows behind ``recipient``, aligned with ``input_columns``: one, or one for each item."""
        items = recipient.row.get(ITEMS) if self.columns != self.input_columns else None
        parts = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else [{}]
        return [[part.get(name, recipient.row.get(name)) for name in self.input_columns] for part in parts]

    def _seek(self, file: BinaryIO, number: int) -> None:
        """Move ``file`` to the beginning of a recipient's line; every line begins with its number."""
        low = len(file.readline())  # invariant: a line begins at low, and its number, first, is at most the wanted one
        high, first, last, step = os.fstat(file.fileno()).st_size, 0, self.size, 0
        while number - first > NEAR and high - low > 1:
            step += 1
            share = (number - NEAR // 2 - first) / max(1, last - first) if step % 3 else 0.5  # lines are much alike
            middle = min(max(low + 1, low + int((high - low) * share)), high - 1)
            file.seek(middle - 1)
            begin = middle - 1 + len(file.readline())
            found = _number(file.readline()) if begin < high else None
            if found is not None and found <= number:
                low, first = begin, found
            else:
                high, last = middle, last if found is None else found
        file.seek(low)
        while number and (found := _number(file.readline())) is not None and found < number:
            low = file.tell()
        file.seek(low)

    def _parsed(self, line: bytes, number: int) -> Recipient:
        try:
            found, key, address, name, source_line, values = _DECODE(line)
            if b"$" in line and b'"$' in line:
                values = [
                    one if kind in AS_THEY_ARE else decode_value(one)
                    for kind, one in zip(self.types, values, strict=True)
                ]
            row = dict(zip(self.columns, values, strict=True))
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            raise self._damaged(number, str(error)) from None
        if found != number:
            raise self._damaged(number, f"its line is numbered {found}")
        place = RowPlace.of(source_line, self.files) if self.files else source_line
        return Recipient(number, address, key, name, place, row)

    def _damaged(self, number: int, evidence: str) -> StorageError:
        return StorageError(
            f"The plan {self.path} is damaged.", evidence=f"recipient {number}: {evidence}", next_step=RESTORE
        )


def freeze(
    settings: AudienceSection,
    base: Path,
    folder: Path,
    *,
    suppression: Suppression,
    already: KeySet | None = None,
    progress: Callable[[int], None] | None = None,
    only: Callable[[str], bool] | None = None,
) -> Plan:
    """Screen the source and write ``folder``/screened.csv, then ``folder``/plan.jsonl, both or neither.

    ``already`` and ``only`` (over keys) set rows aside as already served. ``progress`` is called with the number of
    rows read so far. Raises InputError or ConfigError for the source, StorageError for the folder, and then leaves no
    plan behind. Renaming the plan into place is the commit point.
    """
    from campaign.audience.plan.plan_writer import write_plan

    write_plan(settings, base, folder, suppression=suppression, already=already, progress=progress, only=only)
    return Plan.open(folder / PLAN)


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _last_line(file: BinaryIO) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    lines: Sequence[bytes] = file.read().splitlines(keepends=True)
    return lines[-1] if lines and lines[-1].endswith(b"\n") else b""


def _number(line: bytes) -> int | None:
    """The number at the beginning of a recipient's line; None for the footer and the end of the file."""
    digits = line[1:24].partition(b",")[0]
    return int(digits) if line.startswith(b"[") and digits.isdigit() else None


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise StorageError(f"The plan {path} cannot be read.", evidence=str(error), next_step=RESTORE) from error
