"""The one table a torture ends in, for the terminal and, between two markers, for `docs/guarantee.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torture.audit import Tally

BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"
HEADINGS = (
    "scenario", "number", "kills", "envelope open", "letters", "lost", "extra", "not predicted", "in doubt", "holds",
)  # fmt: skip


def rows(tallies: Sequence[Tally]) -> list[tuple[str, ...]]:
    """One row a scenario, and the sum."""
    total = Tally("all")
    for one in tallies:
        total.add(one)
    return [_row(one) for one in [*tallies, total]]


def _row(one: Tally) -> tuple[str, ...]:
    numbers = (one.number, one.kills, one.open_kills, one.letters, one.lost, one.extra, one.unpredicted, one.doubts)
    return (one.scenario, *(f"{number:,}" for number in numbers), "no" if one.broken else "yes")


def markdown(tallies: Sequence[Tally]) -> str:
    """The table, aligned, so that it reads well on a terminal too."""
    lines = [HEADINGS, *rows(tallies)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADINGS))]
    rule = tuple("-" * width if at == 0 else "-" * (width - 1) + ":" for at, width in enumerate(widths))
    shown = [lines[0], rule, *lines[1:]]
    return "\n".join("| " + " | ".join(_pad(line, widths)) + " |" for line in shown)


def _pad(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if at == 0 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def notes(tallies: Sequence[Tally]) -> list[str]:
    """What the scenarios counted beside the table."""
    return [
        f"{one.scenario}: {note}: {count:,}" for one in tallies for note, count in sorted(one.notes.items()) if count
    ]


def into_docs(page: Path, table: str, command: str) -> None:
    """Replace what stands between the markers. Raises ValueError where they are missing."""
    text = page.read_text(encoding="utf-8")
    head, found, rest = text.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not (found and closed):
        raise ValueError(f"{page} has no place for the table")
    page.write_text(f"{head}{BEGIN}\n\n{table}\n\nMade by `{command}`.\n\n{END}{tail}", encoding="utf-8")
