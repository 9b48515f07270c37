"""The findings of a check: grouped, deduplicated, each with its rows and a remedy, as text or as JSON.

This module has only the list and its two forms; the callers of `Findings.add` do the checking.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from campaign.report import formatting

Severity = Literal["error", "warning", "unverified"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "unverified")
ROWS_SHOWN = 5
WIDTH = 100  #: columns of the text form; a longer message continues on the next line
INDENT = " " * 9  #: the width of the first column: a severity and two blanks


@dataclass(slots=True)
class Finding:
    """One kind of fault. ``rows`` holds the first few rows of the source it occurs in, ``count`` how many there are.

    An ``error`` means that sending now would be unsound; ``unverified`` is what could not be checked, which is never
    the same as passed. ``where`` is a file:line, a column or a header; ``remedy`` is what to do about it.
    """

    severity: Severity
    code: str
    message: str
    rows: list[int] = field(default_factory=list)
    where: str = ""
    remedy: str = ""
    count: int = 0
    last: int | None = field(default=None, repr=False)


class Findings:
    """Findings by kind, in the order in which the kinds first occurred."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str, str], Finding] = {}
        self.ignored: list[tuple[Finding, str]] = []  #: findings that do not count, each with the reason

    def add(
        self, severity: Severity, code: str, message: str, *, row: int | None = None, where: str = "", remedy: str = ""
    ) -> None:
        """Add a fault, of ``row`` (the source's line, as the operator counts) or of the whole campaign.

        Faults of equal severity, code, place and message are one finding; so keep what differs from row to row out of
        ``message``. Costs a dictionary look-up if the kind exists already.
        """
        key = (severity, code, where, message)
        finding = self._kinds.get(key)
        if finding is None:
            finding = self._kinds[key] = Finding(severity, code, message, where=where, remedy=remedy)
        if row is not None and row != finding.last:  # three such images in one row count once
            finding.last = row
            finding.count += 1
            if len(finding.rows) < ROWS_SHOWN:
                finding.rows.append(row)

    def take(self, theirs: Finding) -> None:
        """Add one finding. If its kind exists already, the lowest rows of both are shown."""
        key = (theirs.severity, theirs.code, theirs.where, theirs.message)
        ours = self._kinds.setdefault(
            key, Finding(theirs.severity, theirs.code, theirs.message, where=theirs.where, remedy=theirs.remedy)
        )
        ours.rows = sorted([*ours.rows, *theirs.rows])[:ROWS_SHOWN]
        ours.count += theirs.count

    def merge(self, other: Findings) -> None:
        """Add the findings of another check, such as a worker's."""
        for theirs in other._kinds.values():
            self.take(theirs)

    def harden(self, reasons: Mapping[str, str]) -> None:
        """Turn warnings whose codes have reasons into errors, and add the reason to the message."""
        for key, one in list(self._kinds.items()):
            if one.severity == "warning" and one.code in reasons:
                del self._kinds[key]
                self.take(replace(one, severity="error", message=f"{one.message}; {reasons[one.code]}"))

    def ignore(self, reasons: Mapping[str, str]) -> None:
        """Set aside findings whose codes have reasons: they are shown with them, and do not count."""
        for key, one in list(self._kinds.items()):
            if one.code in reasons:
                self.ignored.append((self._kinds.pop(key), reasons[one.code]))

    def __iter__(self) -> Iterator[Finding]:
        """Errors first, then warnings, then what could not be verified."""
        return iter(sorted(self._kinds.values(), key=lambda one: SEVERITIES.index(one.severity)))

    def __len__(self) -> int:
        return len(self._kinds)

    def number_of(self, severity: Severity) -> int:
        """How many kinds of this severity there are."""
        return sum(one.severity == severity for one in self._kinds.values())

    @property
    def sound(self) -> bool:
        """True if there is no error: warnings and unverified checks do not forbid sending."""
        return not self.number_of("error")

    def render_text(self, everybody: int = 0, width: int = WIDTH) -> str:
        """For the terminal: a few lines a finding, and one for all that could not be verified.

        ``everybody`` is how many rows there are, to say "every row" if all of them are meant. A line has at most
        ``width`` columns.
        """
        lines = [line for one in self if one.severity != "unverified" for line in _lines(one, everybody, width)]
        unseen = (one for one in self if one.severity == "unverified")
        blind = [f"{one.code} ({one.remedy})" if one.remedy else one.code for one in unseen]
        if blind:
            lines += _wrapped("unverified ", ", ".join(blind), width)
        told = dict.fromkeys(f"{one.code} ({formatting.printable(reason)})" for one, reason in self.ignored)
        if told:
            lines += _wrapped("ignored  ", ", ".join(told), width)
        return "".join(f"{line}\n" for line in lines)

    def counts(self) -> str:
        """``"2 errors, 1 warning, 3 not verified"``, or that nothing was found."""
        if not self._kinds and not self.ignored:
            return "Nothing was found."
        errors, warnings, blind = (self.number_of(severity) for severity in SEVERITIES)
        parts = [
            formatting.counted(errors, "error"),
            formatting.counted(warnings, "warning"),
            f"{blind:,} not verified",
            f"{len(self.ignored):,} ignored",
        ]
        figures = (errors, warnings, blind, len(self.ignored))
        return ", ".join(part for part, count in zip(parts, figures, strict=True) if count) + "."

    def render_json(self) -> dict[str, Any]:
        """Plain values: ``sound``, the counts by severity, each finding with its first rows, and those ignored."""
        return {
            "sound": self.sound,
            "counts": {severity: self.number_of(severity) for severity in SEVERITIES},
            "findings": [_as_json(one) for one in self],
            "ignored": [{**_as_json(one), "reason": reason} for one, reason in self.ignored],
        }


def _as_json(one: Finding) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("severity", "code", "message", "where", "rows", "count", "remedy")}


def _lines(one: Finding, everybody: int, width: int) -> list[str]:
    """``error    no-alt  HTML part: an image has …``, then its rows and what to do."""
    place = f"{formatting.printable(one.where)}: " if one.where else ""
    head = f"{one.severity:<9}{one.code}  "
    lines = _wrapped(head, place + formatting.printable(one.message), width)
    rest = [rows_in_words(one, everybody)] if one.rows else []
    rest += [formatting.printable(one.remedy)] if one.remedy else []
    return lines + (_wrapped(INDENT, " · ".join(rest), width) if rest else [])


def _wrapped(head: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        min(width, WIDTH),
        initial_indent=head,
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    ) or [head.rstrip()]


def rows_in_words(one: Finding, everybody: int = 0) -> str:
    """``"rows 3, 17, 20, 31, 44 and 1,203 more"``, or ``"every row"``."""
    if everybody > 1 and one.count == everybody:
        return "every row"
    more = one.count - len(one.rows)
    listed = ", ".join(str(row) for row in one.rows)
    return f"{'row' if one.count == 1 else 'rows'} {listed}" + (f" and {more:,} more" if more > 0 else "")
