"""Suggests all the lines under ``[audience]`` that a list seems to need, so the operator need not find them one by one.

A row shows only its first fault, and a list whose header is not found shows none. So the setting that each fault
suggests is tried on the first rows, and the faults that then appear are treated the same way, until no setting helps
any more. A suggestion that does not make its fault rarer is dropped. Nothing is written or applied.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from campaign.audience.columns.local_dates_and_numbers import BARE_KEY, stated_form
from campaign.audience.columns.template_names import NamedSource, column_of
from campaign.audience.screening.invalid_row_limit import MORE_THAN_AN_ADDRESS
from campaign.audience.screening.screen_rows import Screener, Suppression
from campaign.audience.sources.row_chunks import Chunk
from campaign.audience.sources.source_factory import missing_columns, open_rows, row_of_names
from campaign.config.audience import AudienceSection
from campaign.errors import CampaignError, ConfigError, InputError
from campaign.model import Screened

#: Settings tried, at most.
ROUNDS = 12
HEADER, SPLIT = "header_row", "split_addresses"
_TYPED = re.compile(r"column '(.+?)': ")


class Faults(msgspec.Struct):
    """What is wrong with the first rows: the first detail of each kind, and how many rows have it."""

    details: dict[str, str] = msgspec.field(default_factory=dict)
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    header_row: int = 0

    def add(self, detail: str) -> None:
        """Count one row by its detail."""
        typed = _TYPED.match(detail)
        kind = typed[1] if typed else SPLIT if MORE_THAN_AN_ADDRESS.match(detail) else ""
        self.details.setdefault(kind, detail)
        self.counts[kind] = self.counts.get(kind, 0) + 1


@contextlib.contextmanager
def all_suggestions(settings: AudienceSection, base: Path) -> Iterator[None]:
    """If an error about the list ends the block and several settings would help, name them all in its next step."""
    try:
        yield
    except (ConfigError, InputError) as error:
        lines = suggested_settings(settings, base)
        if len(lines) > 1:
            error.next_step = in_words(lines)
        raise


def in_words(lines: list[str]) -> str:
    """The next step that gives ``lines`` to write."""
    return "\n  ".join(
        [f"write these {len(lines)} lines under [audience], in place of those of the same name:", *lines]
    )


def suggested_settings(settings: AudienceSection, base: Path) -> list[str]:
    """Lines of the campaign file, in the order in which they were found; empty if no setting would help."""
    lines: dict[str, str] = {}
    try:
        faults, tried = _faults(settings, base), set[str]()
        while len(tried) < ROUNDS and (kind := next((one for one in _kinds(faults) if one not in tried), "")):
            tried.add(kind)
            change, note = _change(kind, faults, settings)
            if not change:
                continue
            changed = settings.model_copy(update=change)
            after = _faults(changed, base)
            if kind == HEADER or after.counts.get(kind, 0) < faults.counts[kind]:
                settings, faults = changed, after
                lines |= {name: f"{name} = {_toml(value)}{note}" for name, value in change.items()}
    except CampaignError:
        pass  # the actual reading of the list reports it
    return list(lines.values())


def _kinds(faults: Faults) -> list[str]:
    """The kinds of fault that a setting may remove: a missing header first, then the commonest."""
    if faults.header_row:
        return [HEADER]
    return sorted((kind for kind in faults.counts if kind), key=lambda kind: -faults.counts[kind])


def _faults(settings: AudienceSection, base: Path) -> Faults:
    source, faults = NamedSource(open_rows(settings, base), settings), Faults()
    if missing_columns(source):
        faults.header_row = row_of_names(source)
        return faults
    screener = Screener(source.settings, source.columns, Suppression())
    for one in screener.screen(next(source.chunks(), Chunk())).aside:
        if one.kind is Screened.INVALID:
            faults.add(one.detail)
    return faults


def _change(kind: str, faults: Faults, settings: AudienceSection) -> tuple[dict[str, object], str]:
    """The setting that might remove this kind of fault, and a comment for its line."""
    if kind == HEADER:
        return {HEADER: faults.header_row}, ""
    if kind == SPLIT:
        return ({} if settings.items or settings.split_addresses else {SPLIT: True}), ""
    form, _, otherwise = stated_form(faults.details[kind]).partition(",")
    key = next((name for name in settings.columns if column_of(name, (kind,))), kind)
    note = f"  #{otherwise}" if otherwise else ""
    return ({"columns": {**settings.columns, key: form}} if form else {}), note


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{key if BARE_KEY.fullmatch(key) else _toml(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return json.dumps(value, ensure_ascii=False)
