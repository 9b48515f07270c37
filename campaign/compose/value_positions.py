"""The order of values in a text's slots: each value is stored once, however often it occurs, and picked at the end.

`direct_columns.py` finds the orders; `transfer_encoding.py` and others apply them. This module is independent of
templates and MIME.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec

Pick = Callable[[Any], tuple[Any, ...]]


class SlotOrder(msgspec.Struct, frozen=True, gc=False):
    """The position of each value: ``places`` has the number of a value for each slot.

    ``pick`` puts a list of values into their slots; ``most`` is the largest number of slots that one value has.
    """

    places: tuple[int, ...]
    pick: Pick
    most: int


def in_order(places: Sequence[int]) -> SlotOrder:
    """The order with these places."""
    return SlotOrder(tuple(places), picker(places), max(Counter(places).values(), default=0))


def in_places(values: Sequence[Any], order: SlotOrder | None) -> list[Any]:
    """One value for each slot; without an ``order`` these are ``values`` as they are."""
    return list(order.pick(values) if order else values)


def picker(wanted: Sequence[Any]) -> Pick:
    """A function that takes ``wanted`` from a row or a list, always as a tuple."""
    if len(wanted) > 1:
        return itemgetter(*wanted)
    return lambda source: tuple([source[one] for one in wanted])
