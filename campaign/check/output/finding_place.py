"""Where a finding is, as a file and a line: of a template, of the list, or of its key in the campaign file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from campaign.audience.sources.row_chunks import RowPlace
from campaign.check.findings import Finding, rows_in_words
from campaign.config import Settings

_SECTION = re.compile(r"\s*\[+([\w.-]+)\]+")
_KEY = re.compile(r"\s*([\w-]+)\s*=")
_LINES = frozenset({".csv", ".tsv", ".txt"})  #: lists of which a row is a line of a file


class FindingPlace(NamedTuple):
    """A file, relative to the current folder if it is below it, and a line of it; 0 if no line is meant."""

    file: str
    line: int


def finding_place(one: Finding, settings: Settings) -> FindingPlace:
    """The place of a finding; the campaign file if nothing else is named."""
    name, colon, number = one.where.rpartition(":")
    name, line = (name, int(number)) if colon and number.isdigit() else (one.where, 0)
    if (file := _existing(name, settings)) is not None:
        return FindingPlace(_relative(file), line or _row(one, file))
    if one.rows and isinstance(row := one.rows[0], RowPlace):
        return FindingPlace(_relative(settings.base / row.file), row.line)
    source, key_line = settings.base / settings.audience.source, _key_line(settings.file, name)
    if one.rows and not key_line and source.suffix in _LINES:
        return FindingPlace(_relative(source), one.rows[0])
    return FindingPlace(_relative(settings.file), key_line)


def finding_text(one: Finding, everybody: int) -> str:
    """What a finding says: its place, its message, its rows and what to do."""
    parts = [f"{one.where}: {one.message}" if one.where else one.message]
    parts += [rows_in_words(one, everybody)] if one.rows else []
    parts += [one.remedy] if one.remedy else []
    return " · ".join(parts)


def _existing(name: str, settings: Settings) -> Path | None:
    """A file that a finding names, below the campaign file's folder or the root of its templates."""
    folders = (settings.base, settings.base / settings.compose.root)
    try:
        return next((folder / name for folder in folders if name and (folder / name).is_file()), None)
    except OSError:  # a text that is too long for a name
        return None


def _row(one: Finding, file: Path) -> int:
    return one.rows[0] if one.rows and file.suffix in _LINES else 0


def _key_line(file: Path, key: str) -> int:
    """The line at which ``key``, such as ``campaign.from``, is set; 0 if it is not found."""
    section, _, last = key.rpartition(".")
    current = ""
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), 1):
        if found := _SECTION.match(line):
            current = found[1]
            if current == key:
                return number
        elif (found := _KEY.match(line)) and current == section and found[1] == last:
            return number
    return 0


def _relative(file: Path) -> str:
    """A path as tools expect it: relative to the folder in which they run."""
    path = os.path.relpath(file)
    return str(file) if path.startswith("..") else path
