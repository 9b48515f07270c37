"""The encodings that a text file may be in if it is not Unicode, each with a line of the file that shows it.

Only encodings that decode the whole file are offered, the likeliest first. The operator chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from campaign.audience.encodings.encoding_candidates import likeliest, telling_lines, wide
from campaign.audience.encodings.text_decoding import blocks, choose_codec, explain
from campaign.audience.sources.csv_source import PREFIX
from campaign.audience.sources.source_file import open_source_file
from campaign.errors import InputError
from campaign.report.formatting import printable

#: Characters of the line that shows an encoding.
SHOWN = 60


@dataclass(frozen=True, slots=True)
class EncodingSample:
    """One encoding of a file, and a line of the file as it reads in it."""

    encoding: str
    line: str


def readings(path: Path, compression: str) -> list[EncodingSample]:
    """What the file may be in; empty if it is UTF-8 or carries a mark. Raises InputError if nothing decodes it."""
    with open_source_file(path, compression) as stream:
        head = stream.read(PREFIX)
    try:
        if _decodes(path, compression, choose_codec(head, "", path)):
            return []
        names = _candidates(path, compression)
    except InputError:
        names = [wide(head)]
        if not names[0]:
            raise
    found = [
        EncodingSample(name, _shown(path, compression, name))
        for name in names
        if _decodes(path, compression, choose_codec(head, name, path))
    ]
    if not found:
        raise explain(path, compression, "utf-8")
    return found


def _candidates(path: Path, compression: str) -> list[str]:
    with open_source_file(path, compression) as stream:
        return likeliest(telling_lines(stream))


def _decodes(path: Path, compression: str, codec: str) -> bool:
    with open_source_file(path, compression) as stream:
        try:
            for _ in blocks(stream, codec):
                pass
        except UnicodeDecodeError:
            return False
    return True


def _shown(path: Path, compression: str, encoding: str) -> str:
    """The first line that is not plain ASCII, as it reads in ``encoding``; the first line if all are."""
    first = ""
    with open_source_file(path, compression) as stream:
        for piece in blocks(stream, encoding):
            for line in piece.splitlines():
                first = first or line
                if not line.isascii():
                    return printable(line.strip())[:SHOWN]
    return printable(first.strip())[:SHOWN]
