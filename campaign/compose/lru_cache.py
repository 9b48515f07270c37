"""A cache for things reused by later rows, bounded by number and total weight; the least recently used are evicted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing")


class LruCache(Generic[Key, Thing]):
    """At most ``most`` things that weigh at most ``heaviest`` together, in characters or octets."""

    def __init__(self, most: int, heaviest: int) -> None:
        self._most, self._heaviest, self._weight = most, heaviest, 0
        self._things: OrderedDict[Key, tuple[Thing, int]] = OrderedDict()
        self._same: dict[int, tuple[Key, Thing]] = {}  # by the identity of the key, since hashing a long one is slow
        self._crowded = False  # until then the order of use does not matter

    def __len__(self) -> int:
        return len(self._things)

    def get(self, key: Key) -> Thing | None:
        """The thing kept under ``key``, if it is still there."""
        same = self._same.get(id(key))
        if same is not None and same[0] is key and not self._crowded:
            return same[1]
        found = self._things.get(key)
        if found is None:
            return None
        if self._crowded:
            self._things.move_to_end(key)
        return found[0]

    def keep(self, key: Key, thing: Thing, weight: int) -> None:
        """Keep ``thing``, evicting others if necessary; one that is too heavy by itself is not kept."""
        if weight > self._heaviest:
            return
        self._weight += weight - self._things.pop(key, (None, 0))[1]
        self._things[key] = thing, weight
        while self._weight > self._heaviest or len(self._things) > self._most:
            self._weight -= self._things.popitem(last=False)[1][1]
        self._crowded = 2 * len(self._things) > self._most or 2 * self._weight > self._heaviest
        self._same = {id(key): (key, thing) for key, (thing, _) in self._things.items()}
