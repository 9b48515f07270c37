"""Finds the cells of a sheet that lie far from its list, after a workbook proved too large to read.

One forgotten cell at the edge turns a small list into a huge rectangle. The sheet's XML is read as a stream in little
memory, whatever sizes the file claims; for .xlsb and .xls nothing is found.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.parsers import expat

import msgspec

#: The last row and column a sheet can have.
ROWS, COLUMNS = 1_048_576, 16_384
#: A cell lies far if more than so many rows or columns before it are empty.
FAR = 100
#: Bytes of a sheet's XML that are parsed, at most: two minutes' work.
UNPACKED = 1 << 30
#: Bytes parsed at a time, and bytes of the longest tag: the parser holds a whole tag in memory.
PIECE = 1 << 16
LONGEST_TAG = 1 << 20
_PLACE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
_Start = Callable[[str, dict[str, str]], None]


def far_cells(path: Path, sheet: str) -> list[str]:
    """Sentences about the outermost cells; none if no cell lies far away or the file cannot be parsed."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _sentences(archive, sheet)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, expat.ExpatError):
        return []


class Extent(msgspec.Struct):
    """The rows and columns that are not empty, and the outermost cells."""

    rows: bytearray = msgspec.field(default_factory=lambda: bytearray(ROWS + 1))
    columns: bytearray = msgspec.field(default_factory=lambda: bytearray(COLUMNS + 1))
    rightmost: tuple[int, int] = (0, 0)
    lowest: tuple[int, int] = (0, 0)

    def add(self, row: int, column: int, rows: int = 1, columns: int = 1) -> None:
        """Add a cell that is not empty, counted from 1, with its repetitions downwards and to the right."""
        down, right = self.rows[row : row + rows], self.columns[column : column + columns]
        if not (row > 0 < column and down and right):
            return
        self.rows[row : row + rows], self.columns[column : column + columns] = b"\1" * len(down), b"\1" * len(right)
        row, column = row + len(down) - 1, column + len(right) - 1
        if column > self.rightmost[1]:
            self.rightmost = row, column
        if row > self.lowest[0]:
            self.lowest = row, column

    def far(self) -> Iterator[str]:
        """Sentences about the rightmost and the lowest cell, if they lie far from the others."""
        before = self.columns.rfind(1, 0, self.rightmost[1])
        if before > 0 and self.rightmost[1] - before > FAR:
            yield f"cell {name_of(*self.rightmost)} lies far right of the other columns, which end at {letters(before)}"
        before = self.rows.rfind(1, 0, self.lowest[0])
        if before > 0 and self.lowest[0] - before > FAR:
            yield f"cell {name_of(*self.lowest)} lies far below the other rows, which end at row {before:,}"


def letters(column: int) -> str:
    """``28`` -> ``AB``."""
    text = ""
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def name_of(row: int, column: int) -> str:
    """``3, 28`` -> ``AB3``."""
    return f"{letters(column)}{row}"


def _sentences(archive: zipfile.ZipFile, sheet: str) -> list[str]:
    parts = {info.filename.lower().replace("\\", "/").lstrip("/"): info for info in archive.infolist()}
    extent = Extent()
    if "content.xml" in parts:
        _parse(archive, parts["content.xml"], _open_document(extent, sheet))
    else:
        _parse(archive, parts[_part_of(archive, parts, sheet)], _excel(extent))
    return list(extent.far())


def _part_of(archive: zipfile.ZipFile, parts: dict[str, zipfile.ZipInfo], sheet: str) -> str:
    """The part of the archive that holds ``sheet``, or the first one."""
    identifiers: list[str] = []
    targets: dict[str, str] = {}

    def named(tag: str, given: dict[str, str]) -> None:
        if _local(tag) == "sheet" and (not sheet or given.get("name") == sheet):
            identifiers.extend(value for key, value in given.items() if _local(key) == "id")

    def related(tag: str, given: dict[str, str]) -> None:
        if _local(tag) == "Relationship":
            targets[given["Id"]] = given["Target"]

    _parse(archive, parts["xl/workbook.xml"], named)
    _parse(archive, parts["xl/_rels/workbook.xml.rels"], related)
    target = targets[identifiers[0]].lower()
    return target[1:] if target.startswith("/") else f"xl/{target}"


def _parse(archive: zipfile.ZipFile, part: zipfile.ZipInfo, start: _Start) -> None:
    parser, fed = expat.ParserCreate(), 0
    parser.StartElementHandler = start
    with archive.open(part) as stream:
        while fed < UNPACKED and (data := stream.read(PIECE)):
            parser.Parse(data, False)
            fed += len(data)
            if fed - parser.CurrentByteIndex > LONGEST_TAG:
                return


def _excel(extent: Extent) -> _Start:
    """The handler for Excel sheets. It adds cells with a value; cells that are only formatted cost nothing."""
    row = column = 0

    def start(tag: str, given: dict[str, str]) -> None:
        nonlocal row, column
        kind = _local(tag)
        if kind == "row":
            row, column = int(given.get("r", row + 1)), 0
        elif kind == "c":
            place = _PLACE.fullmatch(given.get("r", ""))
            row, column = (int(place[2]), _number(place[1])) if place else (row, column + 1)
        elif kind in ("v", "is"):
            extent.add(row, column)

    return start


def _open_document(extent: Extent, sheet: str) -> _Start:
    """The handler for OpenDocument sheets. It adds cells with a value; rows and cells may be repeated."""
    row = column = rows = columns = 0
    wanted = first = True

    def start(tag: str, given: dict[str, str]) -> None:
        nonlocal row, column, rows, columns, wanted, first
        if tag == "table:table":
            wanted, first = (given.get("table:name") == sheet if sheet else first), False
            row = rows = 0
        elif tag == "table:table-row":
            row, rows = row + rows, int(given.get("table:number-rows-repeated", 1))
            column = columns = 0
        elif tag in ("table:table-cell", "table:covered-table-cell"):
            column, columns = column + columns, int(given.get("table:number-columns-repeated", 1))
            if wanted and "office:value-type" in given:
                extent.add(row + 1, column + 1, rows, columns)

    return start


def _number(text: str) -> int:
    number = 0
    for letter in text.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]
