"""The UIDs of an IMAP folder that are done, if its messages cannot be moved, as a few ranges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any


class HandledUids:
    """UIDs that are done, for one UIDVALIDITY. UIDs only grow, so no new one appears within a range."""

    def __init__(self, validity: int, noted: dict[str, Any]) -> None:
        """``noted`` is an earlier result of `noted`; it is dropped if its validity differs (RFC 3501, 2.3.1.1)."""
        self._validity = validity
        self._new: set[int] = set()
        ranges = noted.get("ranges") if noted.get("uidvalidity") == validity else None
        sound = isinstance(ranges, list) and all(map(_is_range, ranges))
        self._ranges: list[list[int]] = sorted(ranges) if sound and ranges else []
        self._firsts = [first for first, _ in self._ranges]

    def __contains__(self, uid: int) -> bool:
        at = bisect_right(self._firsts, uid) - 1
        return uid in self._new or (at >= 0 and uid <= self._ranges[at][1])

    def __len__(self) -> int:
        return len(self._new)

    def update(self, uids: Iterable[int]) -> None:
        """Add these UIDs."""
        self._new.update(uids)

    def noted(self, present: Sequence[int]) -> dict[str, Any]:
        """The state to save, given the folder's current UIDs, ascending."""
        ranges: list[list[int]] = []
        open_range = False
        for uid in present:
            if uid not in self:
                open_range = False
            elif open_range:
                ranges[-1][1] = uid
            else:
                ranges.append([uid, uid])
                open_range = True
        return {"uidvalidity": self._validity, "ranges": ranges}


def _is_range(one: object) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(type(end) is int for end in one)
