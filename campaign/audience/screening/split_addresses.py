"""Splits cells that hold more than one bare address (``audience.split_addresses``) into addresses and display names.

Only this module looks for addresses inside a text, and only if the setting is on. It finds the boundaries between
entries; `addresses` validates each entry like any other cell. An invalid entry becomes a separate screened row, and
the others are served.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from campaign.audience.columns.column_types import text_cell
from campaign.audience.screening.addresses import BLANKS
from campaign.audience.sources.row_chunks import Chunk
from campaign.model import Value

#: Characters of a cell that is split, at most; a longer one is kept whole and refused as an invalid address.
LONGEST = 10_000
#: Does not match a cell that holds one bare address.
_MORE = re.compile(r"[\s;,|<>/]|\Amailto:", re.IGNORECASE)
_QUOTED = r'"(?:[^"\\]|\\.)*"'
#: The text between two separators that are neither quoted nor in angle brackets.
_ENTRY = re.compile(rf"(?:{_QUOTED}|<[^<>]*>|[^;,|\r\n])+", re.DOTALL)
_NAMED = re.compile(rf"((?:{_QUOTED}|[^<>\"])*)<([^<>]*)>", re.DOTALL)
#: A slash after a domain separates addresses; one before the @ belongs to the address.
_SLASH = re.compile(r"(@[\w.-]+)/")
_QUERY = re.compile(r"(@[^?]*)\?.*", re.DOTALL)
_WORDS_BETWEEN = frozenset({"/", "&", "+", "and", "or", "und", "oder", "et", "ou"})


class AddressEntry(NamedTuple):
    """The text in the place of an address, and the display name beside it (may be empty)."""

    address: str
    name: str = ""


def split_cell(text: str) -> list[AddressEntry]:
    """The entries of a cell, at least one; a repeated address is two entries."""
    text = text.strip(BLANKS)
    if not _MORE.search(text) or len(text) > LONGEST:
        return [AddressEntry(text)]
    return [entry for piece in _pieces(text) for entry in _entries(piece)] or [AddressEntry(text)]


def split_rows(chunk: Chunk, at: int, *, named: bool) -> None:
    """Turn each entry in column ``at`` into a row of ``chunk``; with ``named`` its name becomes the last column."""
    rows: list[Sequence[Value]] = []
    lines: list[int] = []
    for row, line in zip(chunk.rows, chunk.lines, strict=True):
        for entry in split_cell(str(text_cell(row[at]))):
            name = [entry.name] if named else []
            rows.append([*row[:at], entry.address, *row[at + 1 :], *name])
            lines.append(line)
    chunk.further += len(rows) - len(chunk.rows)
    chunk.rows, chunk.lines = rows, lines


def _pieces(text: str) -> list[str]:
    """``text`` split at its separators; the comma in an unquoted name, ``Doe, Anna <…>``, is not one."""
    pieces: list[str] = []
    before = ""
    for found in _ENTRY.finditer(text):
        piece = before + found[0]
        before = ""
        if text[found.end() : found.end() + 1] == "," and "@" not in piece and _names_next(text, found.end() + 1):
            before = f"{piece},"
        else:
            pieces.append(piece)
    return [piece for piece in map(str.strip, pieces) if piece]


def _names_next(text: str, start: int) -> bool:
    """Whether the next entry is an address in angle brackets with a name before it."""
    following = _ENTRY.match(text, start)
    named = _NAMED.match(following[0]) if following else None
    return bool(named and named[1].strip() and "@" not in named[1])


def _entries(piece: str) -> list[AddressEntry]:
    """The entries of a piece without separators: those with names, then the text after the last."""
    entries, end = [], 0
    while named := _NAMED.match(piece, end):
        entries.append(AddressEntry(_bare(named[2]), _name(named[1])))
        end = named.end()
    rest = piece[end:].strip()
    return entries + [AddressEntry(_bare(one)) for one in _apart(rest)]


def _apart(text: str) -> list[str]:
    """Split ``a@example.com / b@example.com``; a text with at most one address is returned whole."""
    if text.count("@") < 2:
        return [text] if text else []
    return [word for word in _SLASH.sub(r"\1 ", text).split() if word.casefold() not in _WORDS_BETWEEN]


def _bare(text: str) -> str:
    """``text`` without ``mailto:`` and the query of such a link."""
    text = text.strip()
    return _QUERY.sub(r"\1", text[7:]).strip() if text[:7].lower() == "mailto:" else text


def _name(text: str) -> str:
    """A display name without its quotation marks, on one line."""
    name = " ".join(text.split())
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = re.sub(r"\\(.)", r"\1", name[1:-1]).strip()
    return name
