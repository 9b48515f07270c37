"""JSON Lines: one object a line, read as a stream; a line that is no object costs only itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from campaign.audience.sources.csv_parser import numbered_lines
from campaign.audience.sources.json_records.strict_json import read_record
from campaign.audience.sources.row_chunks import BadRow
from campaign.model import Value

#: A record with the line that it begins on, or what is wrong there.
Record = tuple[int, dict[str, Value]] | BadRow


def records_of_lines(pieces: Iterable[str], name: str) -> Iterator[Record]:
    """The records of a text that arrives in pieces; blank lines are none."""
    for first, lines, _ in numbered_lines(pieces, name):
        for line, text in enumerate(lines, first):
            try:
                record = read_record(text)
            except ValueError as error:
                if text.strip():
                    yield BadRow(line, str(error), text[:200].rstrip("\r\n"))
            else:
                yield line, record
