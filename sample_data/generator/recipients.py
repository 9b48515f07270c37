"""`recipients.csv` and `unsubscribed.csv`: ordinary readers with the planted rows strewn among them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generator.chance import Chance
from generator.planted import OPENING, PLANTED, UNSUBSCRIBED, Planted
from generator.readers import COLUMNS, Readers

RECORDS = 1000
SEED = 20261213  # the night of the Geminids


@dataclass(frozen=True)
class Placed:
    """A planted row and the line of the file on which it begins."""

    line: int
    planted: Planted
    address: str


def write(folder: Path) -> list[Placed]:
    """Writes both files into ``folder`` and says where the planted rows have come to lie."""
    rows = list(_rows())
    text, placed = _lined_up(rows)
    (folder / "recipients.csv").write_text(text, encoding="utf-8", newline="")
    suppressed = [_record(("email", "unsubscribed_on")), *map(_record, UNSUBSCRIBED)]
    (folder / "unsubscribed.csv").write_text("".join(suppressed), encoding="utf-8", newline="")
    return placed


def _rows() -> Iterator[tuple[list[str], Planted | None]]:
    """The thousand records in their order: the opening ones, then the planted among ordinary readers."""
    chance = Chance(SEED)
    planned = [one["email"] for one in OPENING] + [one.columns.get("email", "") for one in PLANTED]
    readers = iter(Readers(chance, [*planned, *(address for address, _ in UNSUBSCRIBED)]))
    rest: list[Planted | None] = [*PLANTED, *[None] * (RECORDS - len(OPENING) - len(PLANTED))]
    chance.shuffle(rest)
    for opening in OPENING:
        yield [opening[column] for column in COLUMNS], None
    for planted in rest:
        ordinary = next(readers)
        yield (_filled(planted, ordinary) if planted else ordinary), planted


def _filled(planted: Planted, ordinary: list[str]) -> list[str]:
    if planted.raw:
        return list(planted.raw)
    return [planted.columns.get(column, value) for column, value in zip(COLUMNS, ordinary, strict=True)]


def _lined_up(rows: list[tuple[list[str], Planted | None]]) -> tuple[str, list[Placed]]:
    """The text of the file, and the planted rows with their lines: a quoted field may hold line breaks."""
    pieces, placed, line = [_record(COLUMNS)], [], 2
    for row, planted in rows:
        if planted:
            placed.append(Placed(line, planted, row[0]))
        pieces.append(_record(row))
        line += pieces[-1].count("\n")
    return "".join(pieces), placed


def _record(fields: list[str] | tuple[str, ...]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow(fields)
    return out.getvalue()
