"""The names of a list's columns in templates, `where` and the settings, decided once when the list is opened.

A header may be ``First Name``, but a template can only write ``{{ First_Name }}``. So the plan and its readers use
names that are valid in templates; the settings may use either form. A column without a name is left out, and must be
empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from campaign.audience.columns.address_column import likely_address_column
from campaign.audience.columns.column_types import base_type, with_locale
from campaign.audience.own_tables import is_export
from campaign.audience.screening.split_addresses import split_rows
from campaign.audience.sources.row_chunks import Chunk, Source
from campaign.config.audience import AudienceSection
from campaign.errors import InputError


class NamedSource:
    """A source with its columns named as in templates. ``headers`` are the source's names of the same columns.

    ``settings`` name columns as ``columns`` does; ``remarks`` are sentences about the decisions made.
    """

    def __init__(self, source: Source, settings: AudienceSection) -> None:
        self._source, self.name = source, source.name
        self.value_type, self.notes = source.value_type, source.notes
        #: Of a list in several files: each with the number from which its rows are counted.
        self.files: Sequence[tuple[str, int]] = getattr(source, "files", ())
        self._places = [at for at, header in enumerate(source.columns) if header]
        self._nameless = [at for at, header in enumerate(source.columns) if not header]
        self.headers = tuple(source.columns[at] for at in self._places)
        self.columns = template_names(self.headers, source.name)
        self.remarks: list[str] = [
            f"column {at + 1} has no name: it is left out, and must be empty" for at in self._nameless
        ]
        self.settings = self._renamed(self._with_names_apart(self._with_address(settings)))

    def identity(self) -> Mapping[str, str | int]:
        """The identity of the source."""
        return self._source.identity()

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """The first rows of the source."""
        return self._source.first_rows()

    def chunks(self) -> Iterator[Chunk]:
        """The source's rows without the nameless columns; with ``split_addresses``, one for each address.

        Raises InputError if a nameless column is not empty.
        """
        if not self._nameless and not self.settings.split_addresses:
            yield from self._source.chunks()
            return
        for chunk in self._source.chunks():
            if self._nameless:
                self._refuse_nameless_values(chunk)
                chunk.rows = [[row[at] for at in self._places] for row in chunk.rows]
            if self.settings.split_addresses:
                split_rows(chunk, self.columns.index(self.settings.address), named=self._names_apart)
            yield chunk

    def _refuse_nameless_values(self, chunk: Chunk) -> None:
        for at in self._nameless:
            for row, line in zip(chunk.rows, chunk.lines, strict=True):
                if row[at] is not None and str(row[at]).strip():
                    raise InputError(
                        f"Column {at + 1} of {self.name} has no name, and is not empty.",
                        evidence=f"{self.name}:{line}: {str(row[at])[:60]!r}",
                        next_step="give it a name in the header, or delete the column",
                    )

    def _with_address(self, settings: AudienceSection) -> AudienceSection:
        """Use the only column that is named like an address column, if none is set and none has the default name."""
        if "address" in settings.model_fields_set or column_of(settings.address, self.columns):
            return settings
        likely = likely_address_column(self.headers)
        if likely is None:
            return settings
        self.remarks.append(f"the addresses are those of the column {likely!r}; audience.address is not set")
        return settings.model_copy(update={"address": likely})

    def _renamed(self, settings: AudienceSection) -> AudienceSection:
        names = dict(zip(self.headers, self.columns, strict=True))

        def known(name: str) -> str:
            return names.get(name.strip()) or column_of(name, self.columns) or name

        return settings.model_copy(
            update={
                **{key: known(name) for key in ("address", "display_name", "key") if (name := getattr(settings, key))},
                "columns": {known(name): self._typed(kind, settings) for name, kind in settings.columns.items()},
                "items": [known(name) for name in settings.items],
            }
        )

    def _with_names_apart(self, settings: AudienceSection) -> AudienceSection:
        """With ``split_addresses``, add a column for the names beside the addresses: ``email_name``.

        A list that already has this column, such as one of failed rows, keeps it.
        """
        known = dict(zip(self.headers, self.columns, strict=True))
        address = known.get(settings.address.strip()) or column_of(settings.address, self.columns)
        column = f"{address}_name"
        self._names_apart = settings.split_addresses and address is not None and column not in self.columns
        if self._names_apart:
            self.headers, self.columns = (*self.headers, column), (*self.columns, column)
        return settings

    def _typed(self, kind: str, settings: AudienceSection) -> str:
        """The column's type in this list; a list of failed rows has dates and numbers in our own form."""
        return base_type(kind) if is_export(self.headers) else with_locale(kind, settings.locale)


def named_columns(header: Sequence[str], name: str) -> tuple[str, ...]:
    """A header's names without surrounding whitespace; some may be empty. Raises InputError if two are the same."""
    columns = tuple(cell.strip() for cell in header)
    faults = []
    for column in sorted(column for column, count in Counter(columns).items() if column and count > 1):
        places = ", ".join(str(at) for at, other in enumerate(columns, 1) if other == column)
        faults.append(f"columns {places} are all named {column!r}")
    if not any(columns):
        faults.append("none of them has a name")
    if faults:
        raise InputError(
            f"The columns of {name} need one name each.", evidence=faults, next_step=f"correct the header of {name}"
        )
    return columns


def template_names(headers: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns' names in templates. Raises InputError if two would be the same."""
    names = tuple(template_name(header, at) for at, header in enumerate(headers, 1))
    twice = [one for one, count in Counter(names).items() if count > 1]
    if not twice:
        return names
    together = [
        f"{' and '.join(repr(header) for header, other in zip(headers, names, strict=True) if other == one)}: {one}"
        for one in twice
    ]
    raise InputError(
        f"Two columns of {name} would have the same name in a template.",
        evidence=together,
        next_step="rename one of them in the header",
    )


@lru_cache(maxsize=4096)
def template_name(header: str, place: int = 0) -> str:
    """``First Name`` -> ``First_Name``, ``2024`` -> ``_2024``; a valid name is unchanged."""
    if header.isidentifier():
        return header
    name = "_".join("".join(one if f"_{one}".isidentifier() else " " for one in header).split())
    if not name:
        return f"column_{place}"
    return name if name.isidentifier() else f"_{name}"


def column_of(name: str, columns: Sequence[str]) -> str | None:
    """The one of ``columns`` that ``name`` means, as written or in its form for templates; None if there is none."""
    if name in columns:
        return name
    meant = template_name(name.strip())
    return next((column for column in columns if template_name(column) == meant), None)
