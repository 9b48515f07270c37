"""Rows that are set aside for their own fault: how many there are, the commonest reasons, and when it is too many.

One list, one answer: `send` and `check` both ask here whether so many rows of a list are invalid that something is
wrong with the list as a whole, such as its address column or the form of its dates.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, field
from textwrap import shorten

from campaign.audience.columns.local_dates_and_numbers import format_hint
from campaign.audience.plan.plan_codec import SCREENED
from campaign.audience.plan.plan_reader import Plan
from campaign.config.audience import AudienceSection
from campaign.errors import InputError
from campaign.model import Books, Screened

#: Invalid rows that never stop a list for which no share is set: one of three friends is a typing error, not a fault.
ALWAYS_ALLOWED = 2
#: Reasons told, lines told, and kinds of reason counted; a kind that comes later is a rare one.
REASONS, LINES, KINDS = 3, 5, 1_000
#: Reasons of cells that `split_addresses` reads.
MORE_THAN_AN_ADDRESS = re.compile(
    r"\d+ addresses in one cell|a name and an address in one cell|the address (stands in|begins with)"
)
_TYPED = re.compile(r"column '(.+?)': ")


@dataclass(slots=True)
class InvalidRows:
    """The invalid rows of a plan: the first lines, and each kind of reason with the first of its kind as the example.

    Cells of one typed column that cannot be read are one kind, whatever stands in them.
    """

    lines: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, line: int, detail: str) -> None:
        """Take one row into account."""
        if len(self.lines) < LINES:
            self.lines.append(line)
        typed = _TYPED.match(detail)
        kind = typed[0] if typed else detail
        if kind in self.counts or len(self.counts) < KINDS:
            self.counts[kind] += 1
            self.examples.setdefault(kind, detail)

    def commonest(self, width: int = 120) -> list[str]:
        """The commonest reasons without their advice, each with how often it was given."""
        return [
            f"{shorten(self.examples[kind].partition('; ')[0], width, placeholder='…')} ({count:,})"
            for kind, count in self.counts.most_common(REASONS)
        ]

    def remedy(self) -> str:
        """What to do about the commonest reason where a setting helps; empty where none does."""
        kind = next((kind for kind, _ in self.counts.most_common(1)), "")
        if MORE_THAN_AN_ADDRESS.match(kind):
            return "set split_addresses = true under [audience]"
        typed = _TYPED.match(kind)
        return format_hint(typed[1], self.examples[kind]) if typed else ""


def invalid_rows(plan: Plan) -> InvalidRows:
    """What screened.csv, beside ``plan``, says of its invalid rows."""
    found = InvalidRows()
    with plan.path.with_name(SCREENED).open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["reason"] == Screened.INVALID.value:
                found.add(int(line["line"]), line["detail"])
    return found


def too_many(books: Books, settings: AudienceSection) -> bool:
    """Whether more rows are invalid than ``audience.max_invalid`` allows; rows that are filtered out do not count."""
    if "max_invalid" not in settings.model_fields_set and books.invalid <= ALWAYS_ALLOWED:
        return False
    return books.invalid > settings.max_invalid * judged(books)


def judged(books: Books) -> int:
    """The rows that were wanted, so that it was asked whether they are valid; a further address counts as a row."""
    return books.read + books.further - books.filtered


def share_to_allow(books: Books) -> float:
    """The least share in whole hundredths that lets this list pass."""
    return -(-100 * books.invalid // max(judged(books), 1)) / 100


def refuse_useless(plan: Plan, reasons: str = "") -> None:
    """A list of which not one row can be used is a mistake, such as the wrong column. Raises InputError.

    ``reasons`` names the file that says of each row why, if it stays.
    """
    books = plan.books
    if books.invalid and books.invalid + books.merged == books.read + books.further:
        found = invalid_rows(plan)
        raise InputError(
            f"Not one of the {books.read:,} rows of {plan.source} can be used.",
            evidence=[*found.commonest(), *_all_told(reasons)],
            next_step=found.remedy() or "most often audience.address names the wrong column",
        )


def refuse_too_many(plan: Plan, settings: AudienceSection, reasons: str) -> None:
    """More invalid rows than `too_many` allows end the run before it begins. Raises InputError."""
    if not too_many(plan.books, settings):
        return
    found, books = invalid_rows(plan), plan.books
    raise InputError(
        f"{books.invalid:,} of the {judged(books):,} rows of {plan.source} are invalid, so nothing is sent.",
        evidence=[
            f"at most {settings.max_invalid:.4g} of them may be (audience.max_invalid)",
            *found.commonest(),
            *_all_told(reasons),
        ],
        next_step=f"{found.remedy() or 'fix them'}; or send without them: {permission(books)}",
    )


def permission(books: Books) -> str:
    """The setting that lets the list pass as it is."""
    return f"set max_invalid = {share_to_allow(books):.2g} under [audience]"


def _all_told(reasons: str) -> list[str]:
    return [f"{reasons} says of each why"] if reasons else []
