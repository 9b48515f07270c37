"""The encodings that a text file may be in if it is not Unicode, each with a line of the file that shows it.

Only encodings that decode the whole file are offered, the likeliest first. The operator chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from campaign.audience.encodings.encoding_candidates import likeliest, telling_lines, wide
from campaign.audience.encodings.text_decoding import blocks, choose_codec, explain
from campaign.audience.sources.csv_source import PREFIX
from campaign.audience.sources.source_file import open_source_file
from campaign.errors import InputError
from campaign.report.formatting import printable

#: Characters of the line that shows an encoding.
SHOWN = 60


class EncodingSample(msgspec.Struct, frozen=True):
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
    fitting = [name for name in names if _decodes(path, compression, choose_codec(head, name, path))]
    if not fitting:
        raise explain(path, compression, "utf-8")
    line = _telling_line(path, compression, fitting)
    return [EncodingSample(name, printable(line.decode(name, "replace").strip())[:SHOWN]) for name in fitting]


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


def _telling_line(path: Path, compression: str, encodings: Sequence[str]) -> bytes:
    """The line that reads differently in most of the encodings; the first one if there is only one encoding."""
    with open_source_file(path, compression) as stream:
        if len(encodings) == 1:
            return next(iter(blocks(stream, encodings[0])), "").split("\n")[0].encode(encodings[0])
        lines = telling_lines(stream).split(b"\n")
    return max(lines, key=lambda line: len({line.decode(name, "replace") for name in encodings}))
