"""Sorts the rows of a portion by their path through a template, so that the rows of a path are made together."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from campaign.compose.lru_cache import LruCache
from campaign.compose.portion.draft import Draft
from campaign.compose.template.direct_columns import HEAVIEST, MOST_WAYS
from campaign.compose.template.plain_branches import Key, NotPlainError, PlainBranches
from campaign.compose.template.row_timeout import RowTimer
from campaign.compose.template.template import Page, TemplateOutput

log = logging.getLogger(__name__)

_LEFT_TO_JINJA = (KeyError, TypeError, NotPlainError)


class SamePath(NamedTuple):
    """Rows that took the same path; ``rows`` are their positions in the portion.

    ``output`` is the template's for one of them. ``printed`` are for each row the values that come after the columns.
    """

    output: TemplateOutput
    rows: Sequence[int]
    printed: Sequence[Sequence[Any]]


class RowPaths:
    """For one template, which is the ``part``-th of a letter. ``watch`` limits the time of each row."""

    def __init__(self, page: Page, part: int, watch: RowTimer) -> None:
        self._page, self._part, self._watch = page, part, watch
        self._branches = page.branches
        self._known: LruCache[Key, TemplateOutput] = LruCache(MOST_WAYS, HEAVIEST)

    def sort(self, drafts: Sequence[Draft]) -> list[SamePath]:
        """The paths of these rows; those of which it fails are in none, and the composer finds the reason."""
        found, others = self._plain(self._branches, drafts) if self._branches else ([], range(len(drafts)))
        groups: dict[int, list[int]] = {}
        for row in others:
            output = self._rendered(drafts[row])
            if output is not None and output.columns is not None:
                groups.setdefault(id(output.statics), []).append(row)
        return found + [self._of_jinja(drafts, rows) for rows in groups.values()]

    def _plain(self, branches: PlainBranches, drafts: Sequence[Draft]) -> tuple[list[SamePath], list[int]]:
        """The paths that are found without Jinja, and the rows for which they are not."""
        rows = [draft.variables for draft in drafts]
        try:
            keys = branches.keys(rows)
        except _LEFT_TO_JINJA:
            return [], list(range(len(rows)))
        groups: dict[Key, list[int]] = {}
        for row, key in enumerate(keys):
            groups.setdefault(key, []).append(row)
        found: list[SamePath] = []
        others: list[int] = []
        for key, members in groups.items():
            path = self._path(branches, key, [rows[row] for row in members], drafts[members[0]])
            if path is None:
                others += members
            else:
                found.append(SamePath(path[0], members, path[1]))
        return found, others

    def _path(
        self, branches: PlainBranches, key: Key, rows: Sequence[Mapping[str, Any]], first: Draft
    ) -> tuple[TemplateOutput, list[list[Any]]] | None:
        """The output for ``key`` and what its loops print for each row; None if Jinja has to render them."""
        try:
            printed = branches.printed(key, rows)
        except _LEFT_TO_JINJA:
            return None
        output = self._known.get(key)
        if output is None:
            output = self._rendered(first)
            if output is None or output.columns is None:
                return None
            if not _are_same(output.values[len(output.columns) :], printed[0]):
                log.warning("%s prints other values than its conditions and loops let expect", self._page.name)
                self._branches = None
                return None
            self._known.keep(key, output, len(output.statics))
        return output, printed

    def _rendered(self, draft: Draft) -> TemplateOutput | None:
        if draft.printed[self._part] is None:
            self._watch.go_on(draft.used)
            with contextlib.suppress(Exception):
                draft.printed[self._part] = self._page.render(draft.variables)
            draft.used = self._watch.used()
        return draft.printed[self._part]

    def _of_jinja(self, drafts: Sequence[Draft], rows: Sequence[int]) -> SamePath:
        outputs = [draft.printed[self._part] for draft in map(drafts.__getitem__, rows)]
        printed = [output.values[len(output.columns or ()) :] for output in outputs if output is not None]
        return SamePath(outputs[0], rows, printed)  # type: ignore[arg-type]  # rows without an output are in no group


def _are_same(values: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(values) == len(others) and all(one is other for one, other in zip(values, others, strict=True))
