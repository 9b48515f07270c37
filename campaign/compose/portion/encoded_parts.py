"""The encoded parts of several letters whose rows take the same way through a template: one join for each.

`EncodedTemplate.fill` defines what a part is; here is only its usual case. A row that is unusual is left to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise, repeat
from operator import attrgetter, is_
from typing import Any, Literal

from campaign.compose.mime.transfer_encoding import Encoded, EncodedTemplate
from campaign.compose.portion.prepared_column import PreparedColumn, Quoted, prepared_column
from campaign.compose.value_positions import picker

#: Octets of a part above which it is made in the plain way, which knows the exact limits.
LARGEST_PART = 500_000
Medium = Literal["text", "html"]


class PortionColumns:
    """The variables of several rows, by column: each is prepared once, when it is first asked for."""

    def __init__(self, variables: Sequence[Mapping[str, Any]]) -> None:
        self._variables = variables
        self._columns: dict[str, PreparedColumn] = {}
        self._others: list[tuple[list[Any], PreparedColumn]] = []

    def column(self, name: str) -> PreparedColumn:
        """The column of this name."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = prepared_column([row.get(name) for row in self._variables])
        return column

    def prepared(self, values: list[Any]) -> PreparedColumn:
        """Further values, prepared once even if several templates print the very same ones."""
        for known, column in self._others:
            if len(known) == len(values) and all(map(is_, known, values)):
                return column
        column = prepared_column(values)
        self._others.append((values, column))
        return column


class SameWay:
    """Rows of a portion that took the same way through a template: ``rows`` are their positions in it.

    A way prints the columns ``names``, and besides for each row the values ``printed``, in the order of the template.
    """

    def __init__(
        self, portion: PortionColumns, names: Sequence[str], rows: Sequence[int], printed: Sequence[Sequence[Any]]
    ):
        self.rows = rows
        self._columns = [portion.column(name) for name in names]
        flat = list(chain.from_iterable(printed))
        self._printed = portion.prepared(flat) if flat else None
        self._ends = [0]
        for values in printed:
            self._ends.append(self._ends[-1] + len(values))

    @property
    def odd(self) -> frozenset[int]:
        """The rows with a value that is not prepared, by their positions in the portion."""
        odd = frozenset().union(*(column.odd for column in self._columns))
        if self._printed is None or not self._printed.odd:
            return odd
        return odd | {self.rows[bisect_right(self._ends, at) - 1] for at in self._printed.odd}

    def raw(self, at: int, place: int) -> str:
        """The value at ``place`` of the ``at``-th row, as text."""
        if place < len(self._columns):
            return self._columns[place].raw[self.rows[at]]
        assert self._printed is not None  # noqa: S101 - for the type checker: a place beyond the columns
        return self._printed.raw[self._ends[at] + place - len(self._columns)]

    def is_linkable(self, place: int) -> bool:
        """Whether the values at ``place`` of all rows may stand in a link as they are."""
        found = self._columns[place] if place < len(self._columns) else self._printed
        return found is not None and found.linkable

    def encoded(self, template: EncodedTemplate, places: Sequence[int], medium: Medium) -> Iterator[Encoded | None]:
        """For each row the part; None if it is unusual. ``places`` has the place of each slot's value."""
        quoted: list[Quoted] = list(map(attrgetter(medium), self._columns))
        others: Quoted | None = getattr(self._printed, medium) if self._printed else None
        kinds = [quoted[place] if place < len(quoted) else others for place in places]
        if not template.usual or None in kinds:
            yield from repeat(None, len(self.rows))
            return
        fitting, loose = template.fitting(kinds)  # type: ignore[arg-type]  # None is not among them
        form, pick, latest = template.form(fitting).copy(), picker(places), fitting
        values, lengths = self._by_row(quoted, others, frozenset(places))
        for own, length in zip(values, lengths, strict=True):
            texts = pick(own)
            if loose and (found := template.fitting_row(texts, fitting, loose)) != latest:
                if found is None:
                    yield None
                    continue
                form, latest = template.form(found).copy(), found
            form[1::2] = texts
            whole = "".join(form)
            usual = len(whole) <= LARGEST_PART and not template.is_long(whole, length)
            yield Encoded(whole.encode("ascii"), "quoted-printable", template.sound) if usual else None

    def _by_row(
        self, quoted: Sequence[Quoted], others: Quoted | None, places: frozenset[int]
    ) -> tuple[Iterator[Sequence[str]], Iterator[int]]:
        """The quoted values of each row, and how many characters they have at least where they are printed."""
        everybody = len(quoted[0].values) if quoted else 0
        columns = list(zip(*(one.values for one in quoted), strict=True)) or [()] * (max(self.rows) + 1)
        sizes = [one.lengths for place, one in enumerate(quoted) if place in places]
        totals = list(map(sum, zip(*sizes, strict=True))) if sizes else [0] * max(everybody, max(self.rows) + 1)
        if others is None:
            return map(columns.__getitem__, self.rows), map(totals.__getitem__, self.rows)
        ends = self._ends
        spans = [slice(begin, end) for begin, end in pairwise(ends)]
        rows = zip(self.rows, spans, strict=True)
        return (
            ((*columns[row], *others.values[span]) for row, span in zip(self.rows, spans, strict=True)),
            (totals[row] + sum(others.lengths[span]) for row, span in rows),
        )
