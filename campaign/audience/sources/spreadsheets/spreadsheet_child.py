"""Reads a workbook in a separate process with bounded memory and time; `spreadsheet_process` starts it.

The library reads a whole sheet as one rectangle, and a file of two kilobytes can ask for one of 500 GB, which kills the
process; here it kills only this one. Each line of output is JSON: the sheet's name, then rows, then the end; or a
fault, with the names of all sheets if the wanted one is missing.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from campaign.audience.plan.plan_codec import encode_value
from campaign.audience.sources.cell_values import EXACT, plain_value
from campaign.audience.sources.row_chunks import CHUNK_ROWS

#: Address space in bytes: the largest sheet there is, 1,048,576 rows, with 30 filled columns takes about 3 GB.
MEMORY = 4 << 30
#: Seconds of CPU time: that sheet takes two minutes. A broken file can keep the library busy forever.
SECONDS = 600

Line = tuple[int, list[Any], str]


def main() -> None:
    """Write a sheet's content; the arguments are the workbook, the sheet, and the bytes of memory to use."""
    path, name, memory = sys.argv[1:4]
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    with contextlib.suppress(OSError):  # if the machine runs out of memory, this process is killed first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    write(path, name, sys.stdout.buffer)


def write(path: str, name: str, out: BinaryIO) -> None:
    """Write all lines to ``out``."""
    encode = msgspec.json.Encoder().encode
    for line in _lines(path, name):
        out.write(encode(line) + b"\n")
        out.flush()


def _lines(path: str, name: str) -> Iterator[dict[str, Any]]:
    try:
        import python_calamine as calamine
    except ImportError:
        yield {"fault": "library"}
        return
    try:
        book = calamine.CalamineWorkbook.from_path(path)
        if name and name not in book.sheet_names:
            yield {"fault": "sheet", "names": book.sheet_names}
            return
        sheet = book.get_sheet_by_name(name) if name else book.get_sheet_by_index(0)
    except MemoryError:
        yield {"fault": "memory"}
        return
    except (calamine.CalamineError, OSError, ValueError) as error:
        yield {"fault": "file", "text": str(error)}
        return
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a panic in the library is no Exception
            raise
        yield {"fault": "file", "text": f"its reader failed: {error}"}
        return
    yield {"sheet": sheet.name}
    rows = _rows(sheet)
    while some := list(islice(rows, CHUNK_ROWS)):
        yield {"rows": some}
    yield {"end": True}


def _rows(sheet: Any) -> Iterator[Line]:
    if not sheet.height:
        return
    for line, cells in enumerate(sheet.iter_rows(), 1):
        end = next((at for at in range(len(cells), 0, -1) if cells[at - 1] not in ("", None)), 0)
        if end:
            yield _row(line, cells[:end])


def _row(line: int, cells: Sequence[object]) -> Line:
    """Number, plain values, and the reason if the row is bad; then its beginning takes the place of the values."""
    try:
        return line, encode_value([plain_value(_whole(cell)) for cell in cells]), ""
    except ValueError as error:
        return line, [repr(list(cells))[:200]], str(error)


def _whole(cell: object) -> object:
    """Turn a whole float into an integer: sheets store every number as a float."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) <= EXACT else cell


if __name__ == "__main__":
    main()
