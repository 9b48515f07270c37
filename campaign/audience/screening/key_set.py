"""A set of recipient keys for lists of many millions: 16 bytes a key, and time linear in their number.

Keys are stored as 128-bit digests: the latest in a plain set, earlier ones in a few sorted numpy segments, and most in
parts divided by their first bits. Once the segments make up a fixed share of the whole, they are merged into the parts
one by one, so each key is copied a bounded number of times. Two different keys with the same digest are not expected
below 10^19 keys, so a digest stands for its key. No key can be read back.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    #: The two halves of digests, sorted by the first.
    Segment = tuple[Words, Words]

#: Bytes of a digest.
WIDTH = 16
#: Keys in the plain set, at most: about 12 MB.
LATEST = 1 << 17
#: Keys in a segment that is not merged any further: merging briefly takes 40 MB.
SEGMENT = 1 << 20
#: Segments may hold one key in so many: a larger share makes searches slower, a smaller one copies more.
SHARE = 8
#: Parts, by the first six bits of a digest: merging into one takes little memory.
PARTS, BITS = 64, 6


def digest(key: str) -> bytes:
    """16 bytes, BLAKE2b, of a recipient's key."""
    return hashlib.blake2b(key.encode(), digest_size=WIDTH).digest()


class KeySet:
    """The digests seen so far. ``add`` and ``contains`` take batches; a few thousand at a time are fast."""

    def __init__(self) -> None:
        self._latest: set[bytes] = set()
        self._segments: list[Segment] = []
        self._parts: list[Segment] = []

    def __len__(self) -> int:
        return len(self._latest) + _size(self._segments) + _size(self._parts)

    def add(self, digests: Sequence[bytes]) -> list[bool]:
        """Add ``digests``; return for each whether it is new (not seen before, nor earlier in the batch)."""
        earlier = self._contains_earlier(digests) if self._segments or self._parts else repeat(False, len(digests))
        latest, add = self._latest, self._latest.add
        fresh = [
            not known and one not in latest and add(one) is None for one, known in zip(digests, earlier, strict=True)
        ]
        if len(latest) >= LATEST:
            self._keep_latest()
        return fresh

    def contains(self, digests: Sequence[bytes]) -> list[bool]:
        """For each digest, whether it was added before."""
        latest = list(map(self._latest.__contains__, digests))
        if not self._segments and not self._parts:
            return latest
        if len(digests) == 1:  # the look-up before each letter: setting up a batch would cost ten times as much
            return [latest[0] or self._contains_one(digests[0])]
        return [new or known for new, known in zip(latest, self._contains_earlier(digests), strict=True)]

    def _contains_earlier(self, digests: Sequence[bytes]) -> list[bool]:
        import numpy as np

        high, low = _words(digests)
        order = np.argsort(high)  # sorted keys are searched in order: several times faster in large segments
        high, low = high[order], low[order]
        seen = np.zeros(len(high), dtype=bool)
        for segment in self._segments:
            seen |= _within(segment, high, low)
        if self._parts:
            for part, here in zip(self._parts, _by_part(high), strict=True):
                seen[here] |= _within(part, high[here], low[here])
        answer = np.empty(len(high), dtype=bool)
        answer[order] = seen
        return answer.tolist()

    def _contains_one(self, one: bytes) -> bool:
        import numpy as np

        high, low = (np.uint64(int.from_bytes(half, "big")) for half in (one[:8], one[8:]))
        part = one[0] >> 8 - BITS
        for seg_high, seg_low in (*self._segments, *self._parts[part : part + 1]):
            at = int(seg_high.searchsorted(high))
            while at < len(seg_high) and seg_high[at] == high:
                if seg_low[at] == low:
                    return True
                at += 1
        return False

    def _keep_latest(self) -> None:
        """Turn the latest keys into a segment, merge small segments, and move many of them into the parts."""
        self._segments.append(_sorted(*_words(list(self._latest))))
        self._latest = set()
        while len(self._segments) > 1 and _mergeable(*self._segments[-2:]):
            self._segments[-2:] = [_merged(self._segments[-2:])]
        if _size(self._segments) >= max(SEGMENT, _size(self._parts) // SHARE):
            self._keep_segments()

    def _keep_segments(self) -> None:
        slices = [list(_by_part(high)) for high, _ in self._segments]
        for at in range(PARTS):
            found = [(high[cut[at]], low[cut[at]]) for (high, low), cut in zip(self._segments, slices, strict=True)]
            high, low = _merged([*self._parts[at : at + 1], *found])
            self._parts[at : at + 1] = [(_own_pages(high), _own_pages(low))]
        self._segments = []


def _own_pages(words: Words) -> Words:
    """A copy that the system has back as soon as it is dropped; malloc would keep arrays of this size for later."""
    import numpy as np

    copy = np.frombuffer(mmap.mmap(-1, max(words.nbytes, 1)), dtype=np.uint64, count=len(words))
    copy[:] = words
    return copy


def _size(segments: Sequence[Segment]) -> int:
    return sum(len(high) for high, _ in segments)


def _words(digests: Sequence[bytes]) -> Segment:
    import numpy as np

    pairs = np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _sorted(high: Words, low: Words) -> Segment:
    import numpy as np

    order = np.argsort(high, kind="stable")  # a merge, as the runs are sorted; `_within` looks past equal highs
    return high[order], low[order]


def _merged(segments: Sequence[Segment]) -> Segment:
    import numpy as np

    return _sorted(np.concatenate([high for high, _ in segments]), np.concatenate([low for _, low in segments]))


def _by_part(high: Words) -> Iterator[slice]:
    """The slice of sorted keys that belongs to each part."""
    import numpy as np

    firsts = np.arange(1, PARTS, dtype=np.uint64) << np.uint64(64 - BITS)
    ends = [0, *np.searchsorted(high, firsts).tolist(), len(high)]
    return map(slice, ends, ends[1:])


def _within(segment: Segment, high: Words, low: Words) -> NDArray[np.bool_]:
    """Membership in one segment, which is sorted by ``high``; this half alone nearly always decides."""
    import numpy as np

    seg_high, seg_low = segment
    if not len(seg_high):
        return np.zeros(len(high), dtype=bool)
    at = np.searchsorted(seg_high, high)
    at[at == len(seg_high)] = 0
    found = np.asarray(seg_high[at] == high)
    for i in np.flatnonzero(found & (seg_low[at] != low)):  # same 64 bits, other key: search on
        stop = np.searchsorted(seg_high, high[i], side="right")
        found[i] = bool(np.any(seg_low[at[i] : stop] == low[i]))
    return found


def _mergeable(old: Segment, new: Segment) -> bool:
    size = len(old[0]) + len(new[0])
    return size <= SEGMENT and len(old[0]) <= 2 * len(new[0])
