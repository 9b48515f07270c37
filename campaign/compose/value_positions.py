"""Where values stand: each is kept once, however often it stands in a text, and picked into its places at the end.

Nothing of templates or of MIME is known here; `direct_columns.py` finds orders, `transfer_encoding.py` and others
follow them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec

Pick = Callable[[Any], tuple[Any, ...]]


class SlotOrder(msgspec.Struct, frozen=True, gc=False):
    """Where each of some values stands: ``places`` has a value's number for each gap.

    ``pick`` puts a list of them in their places; ``most`` is how many places one value has, at most.
    """

    places: tuple[int, ...]
    pick: Pick
    most: int


def in_order(places: Sequence[int]) -> SlotOrder:
    """Values in these places."""
    return SlotOrder(tuple(places), picker(places), max(Counter(places).values(), default=0))


def in_places(values: Sequence[Any], order: SlotOrder | None) -> list[Any]:
    """A value for each place; without an ``order`` they are so already."""
    return list(order.pick(values) if order else values)


def picker(wanted: Sequence[Any]) -> Pick:
    """Takes ``wanted`` out of a row or a list, always as a tuple."""
    if len(wanted) > 1:
        return itemgetter(*wanted)
    return lambda source: tuple([source[one] for one in wanted])
