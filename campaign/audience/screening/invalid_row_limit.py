"""The limit on invalid rows, above which a list is refused, and a summary of the reasons.

Too many invalid rows mean that the list as a whole is wrong, such as its address column or the form of its dates.
`send` and `check` share this decision.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from textwrap import shorten

import msgspec

from campaign.audience.columns.local_dates_and_numbers import format_hint
from campaign.audience.plan.plan_codec import SCREENED
from campaign.audience.plan.plan_reader import Plan
from campaign.audience.sources.row_chunks import RowPlace
from campaign.config.audience import AudienceSection
from campaign.errors import InputError
from campaign.model import Books, Screened

#: Invalid rows always allowed if no share is set: one typing error in a list of three must not stop it.
ALWAYS_ALLOWED = 2
#: Reasons shown, lines shown, and kinds of reason counted; a kind that first occurs after that many is rare.
REASONS, LINES, KINDS = 3, 5, 1_000
#: Reasons given for cells that `split_addresses` could read.
MORE_THAN_AN_ADDRESS = re.compile(
    r"\d+ addresses in one cell|a name and an address in one cell|the address (stands in|begins with)"
)
_TYPED = re.compile(r"column '(.+?)': ")


class InvalidRows(msgspec.Struct):
    """The invalid rows of a plan: the first lines, and for each kind of reason its count and first example.

    All unreadable cells of one typed column are one kind.
    """

    lines: list[int] = msgspec.field(default_factory=list)
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    examples: dict[str, str] = msgspec.field(default_factory=dict)

    def add(self, line: int, detail: str) -> None:
        """Count one row."""
        if len(self.lines) < LINES:
            self.lines.append(line)
        typed = _TYPED.match(detail)
        kind = typed[0] if typed else detail
        if kind in self.counts or len(self.counts) < KINDS:
            self.counts[kind] += 1
            self.examples.setdefault(kind, detail)

    def commonest(self, width: int = 120) -> list[str]:
        """The commonest reasons without their advice, each with its count."""
        return [
            f"{shorten(self.examples[kind].partition('; ')[0], width, placeholder='…')} ({count:,})"
            for kind, count in self.counts.most_common(REASONS)
        ]

    def remedy(self) -> str:
        """The setting that helps against the commonest reason; empty if none does."""
        kind = next((kind for kind, _ in self.counts.most_common(1)), "")
        if MORE_THAN_AN_ADDRESS.match(kind):
            return "set split_addresses = true under [audience]"
        typed = _TYPED.match(kind)
        return format_hint(typed[1], self.examples[kind]) if typed else ""


def invalid_rows(plan: Plan) -> InvalidRows:
    """The invalid rows listed in screened.csv beside ``plan``."""
    found, before = InvalidRows(), dict(plan.files)
    with plan.path.with_name(SCREENED).open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["reason"] == Screened.INVALID.value:
                row = int(line["line"]) + before.get(line["source"], 0)
                found.add(RowPlace.of(row, plan.files) if before else row, line["detail"])
    return found


def too_many(books: Books, settings: AudienceSection) -> bool:
    """Whether more rows are invalid than ``audience.max_invalid`` allows; filtered rows do not count."""
    if "max_invalid" not in settings.model_fields_set and books.invalid <= ALWAYS_ALLOWED:
        return False
    return books.invalid > settings.max_invalid * judged(books)


def judged(books: Books) -> int:
    """The number of rows that passed the filter and were validated; a further address counts as a row."""
    return books.read + books.further - books.filtered


def share_to_allow(books: Books) -> float:
    """The smallest ``max_invalid``, in whole hundredths, that accepts this list."""
    return -(-100 * books.invalid // max(judged(books), 1)) / 100


def refuse_useless(plan: Plan, reasons: str = "") -> None:
    """Refuse a list without a single usable row, as from a wrong address column. Raises InputError.

    ``reasons`` names the file with the reason for each row, if that file is kept.
    """
    books = plan.books
    if books.invalid and books.invalid + books.merged == books.read + books.further:
        found = invalid_rows(plan)
        raise InputError(
            f"Not one of the {books.read:,} rows of {plan.source} can be used.",
            evidence=[*found.commonest(), *_where_to_look(reasons)],
            next_step=found.remedy() or "most often audience.address names the wrong column",
        )


def refuse_too_many(plan: Plan, settings: AudienceSection, reasons: str) -> None:
    """End the run before it begins if `too_many` rows are invalid. Raises InputError."""
    if not too_many(plan.books, settings):
        return
    found, books = invalid_rows(plan), plan.books
    raise InputError(
        f"{books.invalid:,} of the {judged(books):,} rows of {plan.source} are invalid, so nothing is sent.",
        evidence=[
            f"at most {settings.max_invalid:.4g} of them may be (audience.max_invalid)",
            *found.commonest(),
            *_where_to_look(reasons),
        ],
        next_step=f"{found.remedy() or 'fix them'}; or send without them: {permission(books)}",
    )


def permission(books: Books) -> str:
    """The setting that accepts the list as it is."""
    return f"set max_invalid = {share_to_allow(books):.2g} under [audience]"


def _where_to_look(reasons: str) -> list[str]:
    return [f"{reasons} says of each why"] if reasons else []
