"""A set of recipients' keys in 16 bytes a key, for lists of many millions.

Keys are kept as 128-bit digests: a few in a plain set, more of them in sorted numpy segments, which take a seventh of
the room, and a tenth of a second to load. Two different keys with the same digest are not expected before 10^19 keys,
so a digest stands for its key. No key can be read back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

#: Bytes of a digest.
WIDTH = 16
#: Keys in a plain set, at most: about 6 MB.
FEW = 50_000
#: Keys in a segment that is merged no more: bounds the copying, and the peak it costs, at a few MB.
SEGMENT = 1 << 18


def digest(key: str) -> bytes:
    """16 bytes, BLAKE2b, of a recipient's key."""
    return hashlib.blake2b(key.encode(), digest_size=WIDTH).digest()


class KeySet:
    """Digests seen so far. ``add`` and ``contains`` take batches; a few thousand at a time is fast."""

    def __init__(self) -> None:
        self._few: set[bytes] | None = set()
        self._segments: list[tuple[Words, Words]] = []

    def __len__(self) -> int:
        return len(self._few or ()) + sum(len(high) for high, _ in self._segments)

    def add(self, digests: Sequence[bytes]) -> list[bool]:
        """Take in ``digests``; for each, True where it is new (not seen before, nor earlier in the batch)."""
        if self._few is not None and len(self._few) + len(digests) <= FEW:
            return list(map(self._add_one, digests, repeat(self._few)))
        if self._few is not None:
            many, self._few = list(self._few), None
            self._add_many(many)
        return self._add_many(digests)

    def contains(self, digests: Sequence[bytes]) -> list[bool]:
        """For each digest, whether it was added before."""
        if self._few is not None:
            return list(map(self._few.__contains__, digests))
        if len(digests) == 1:  # asked before each letter: setting up a batch would cost ten times the look-up
            return [self._contains_one(digests[0])]
        return self._contains_many(digests)

    @staticmethod
    def _add_one(one: bytes, few: set[bytes]) -> bool:
        before = len(few)
        few.add(one)
        return len(few) > before

    def _add_many(self, digests: Sequence[bytes]) -> list[bool]:
        import numpy as np

        high, low = _words(digests)
        order = np.lexsort((low, high))  # stable: of equal digests the earliest stays first
        high, low = high[order], low[order]
        fresh = np.ones(len(high), dtype=bool)
        fresh[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        fresh &= ~self._seen(high, low)
        self._keep(high[fresh], low[fresh])
        answer = np.empty(len(high), dtype=bool)
        answer[order] = fresh
        return answer.tolist()

    def _contains_many(self, digests: Sequence[bytes]) -> list[bool]:
        import numpy as np

        high, low = _words(digests)
        order = np.argsort(high)  # sorted needles walk a segment in order: several times faster in large ones
        answer = np.empty(len(high), dtype=bool)
        answer[order] = self._seen(high[order], low[order])
        return answer.tolist()

    def _contains_one(self, one: bytes) -> bool:
        import numpy as np

        high, low = (np.uint64(int.from_bytes(half, "big")) for half in (one[:8], one[8:]))
        for seg_high, seg_low in self._segments:
            at = int(seg_high.searchsorted(high))
            while at < len(seg_high) and seg_high[at] == high:
                if seg_low[at] == low:
                    return True
                at += 1
        return False

    def _seen(self, high: Words, low: Words) -> NDArray[np.bool_]:
        import numpy as np

        seen = np.zeros(len(high), dtype=bool)
        for segment in self._segments:
            seen |= _within(segment, high, low)
        return seen

    def _keep(self, high: Words, low: Words) -> None:
        """Append a sorted segment, then merge small neighbours so that few segments remain."""
        import numpy as np

        if len(high):
            self._segments.append((high, low))
        while len(self._segments) > 1 and _mergeable(*self._segments[-2:]):
            (old_high, old_low), (new_high, new_low) = self._segments[-2:]
            high, low = np.concatenate((old_high, new_high)), np.concatenate((old_low, new_low))
            order = np.argsort(high, kind="stable")  # a merge of two sorted runs; `_within` looks past equal highs
            self._segments[-2:] = [(high[order], low[order])]


def _words(digests: Sequence[bytes]) -> tuple[Words, Words]:
    import numpy as np

    pairs = np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _within(segment: tuple[Words, Words], high: Words, low: Words) -> NDArray[np.bool_]:
    """Membership in one segment, sorted by ``high``, which alone nearly always decides."""
    import numpy as np

    seg_high, seg_low = segment
    at = np.searchsorted(seg_high, high)
    at[at == len(seg_high)] = 0
    found = np.asarray(seg_high[at] == high)
    for i in np.flatnonzero(found & (seg_low[at] != low)):  # the same 64 bits, another key: look further
        stop = np.searchsorted(seg_high, high[i], side="right")
        found[i] = bool(np.any(seg_low[at[i] : stop] == low[i]))
    return found


def _mergeable(old: tuple[Words, Words], new: tuple[Words, Words]) -> bool:
    size = len(old[0]) + len(new[0])
    return size <= SEGMENT and len(old[0]) <= 4 * len(new[0])
