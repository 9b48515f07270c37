"""Divides columns for rows grouped by key: single columns, and those gathered into the list ``items``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from campaign.errors import ConfigError
from campaign.model import Value

#: The column that holds the list of gathered columns.
ITEMS = "items"


class GroupColumns:
    """Which columns stay single and which are gathered."""

    def __init__(self, columns: Sequence[str], items: Sequence[str], single: Iterable[str]) -> None:
        clash = [name for name in single if name and name in items]
        if clash:
            raise ConfigError(
                f"audience.items names {clash[0]!r}, which is needed once for each recipient.",
                next_step="leave it out of items",
            )
        if ITEMS in columns and ITEMS not in items:
            raise ConfigError(
                f"The source has a column {ITEMS!r} of its own.", next_step="rename it, or do without audience.items"
            )
        self._single = [at for at, name in enumerate(columns) if name not in items]
        self._gathered = [(name, columns.index(name)) for name in items]
        self.columns = (*(columns[at] for at in self._single), ITEMS)

    def single(self, values: Sequence[Value]) -> list[Value]:
        """The values of the single columns."""
        return [values[at] for at in self._single]

    def item(self, values: Sequence[Value]) -> dict[str, Value]:
        """The gathered values of one line, as an item of the list."""
        return {name: values[at] for name, at in self._gathered}
