"""Labels for the shapes of a letter, by how each differs: ``plan: pro``, ``without note``, ``3 items``.

A shape is what the templates print besides values, so its rows share something that the others lack. The search covers
the columns that the templates' conditions and loops use, whatever those conditions are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import msgspec

from campaign.model import Recipient

MOST_TRAITS = 2  #: in one label
MOST_VALUES = 100  #: different values of a column that is described by its value
LONGEST_VALUE = 24  #: characters
UNKNOWN = "another form"

Shapes = Mapping[Hashable, Sequence[Recipient]]  #: the recipients of each shape


class Trait(msgspec.Struct, frozen=True):
    """Something that all rows of a shape have in one column."""

    column: str
    words: str
    holds: Callable[[Recipient], bool]


def shape_label(shape: Hashable, shapes: Shapes, deciding: Sequence[str]) -> str:
    """What the rows of ``shape`` have that fewest of the others have; two columns if one is not enough.

    ``deciding`` are the columns to look in. Empty if there is only one shape.
    """
    rows = shapes[shape]
    others = [one for key, found in shapes.items() if key != shape for one in found]
    if not others:
        return ""
    columns = [name for name in deciding if name in rows[0].row]
    return _told([trait for column in columns for trait in _traits(column, rows, others)], others) or UNKNOWN


def _told(traits: list[Trait], others: Sequence[Recipient]) -> str:
    """The traits that leave fewest of the others, in the order of their columns."""
    left, said, over = traits, list[Trait](), others
    while left and over and len(said) < MOST_TRAITS:
        best = min(left, key=lambda trait: sum(map(trait.holds, over)))
        still = list(filter(best.holds, over))
        if len(still) == len(over):
            break
        said.append(best)
        over, left = still, [trait for trait in left if trait.column != best.column]
    return ", ".join(trait.words for trait in traits if trait in said)


def _traits(column: str, rows: Sequence[Recipient], others: Sequence[Recipient]) -> Iterator[Trait]:
    """What all ``rows`` have in this column, the most distinctive first."""
    cells = [one.row.get(column) for one in rows]
    texts = set(map(_text, cells))
    if all(isinstance(cell, list) for cell in cells):
        yield from _lengths(column, {len(cell) for cell in cells if isinstance(cell, list)})
        return
    if {type(cell) for cell in cells} == {bool}:
        if len(texts) == 1:
            yield _filled(column, filled=cells[0] is True)
        return
    value = next(iter(texts))
    if len(texts) == 1 and 0 < len(value) <= LONGEST_VALUE and _few(column, texts, others):
        yield Trait(column, f"{column}: {value}", lambda one: _text(one.row.get(column)) == value)
    if all(texts) or not any(texts):
        yield _filled(column, filled=all(texts))
    numbers = [cell for cell in map(_number, cells) if cell is not None]
    if len(numbers) == len(cells):
        yield _range(column, min(numbers), max(numbers))


def _lengths(column: str, lengths: set[int]) -> Iterator[Trait]:
    if len(lengths) == 1:
        length = next(iter(lengths))

        def holds(one: Recipient) -> bool:
            cell = one.row.get(column)
            return isinstance(cell, list) and len(cell) == length

        yield Trait(column, f"{column}: {length}", holds)


def _filled(column: str, *, filled: bool) -> Trait:
    words = f"{'with' if filled else 'without'} {column}"
    return Trait(column, words, lambda one: _truth(one.row.get(column)) is filled)


def _range(column: str, least: float, most: float) -> Trait:
    def holds(one: Recipient) -> bool:
        number = _number(one.row.get(column))
        return number is not None and least <= number <= most

    return Trait(column, f"{column}: {least:g} to {most:g}" if least < most else f"{column}: {least:g}", holds)


def _few(column: str, values: set[str], others: Sequence[Recipient]) -> bool:
    """Whether a value of this column is informative: not if nearly every row has its own."""
    return len(values | {_text(one.row.get(column)) for one in others}) <= MOST_VALUES


def _number(cell: object) -> float | None:
    try:
        return float(cell) if isinstance(cell, str | int | float) and not isinstance(cell, bool) else None
    except ValueError:
        return None


def _truth(cell: object) -> bool:
    return cell is not False and bool(_text(cell))


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()
