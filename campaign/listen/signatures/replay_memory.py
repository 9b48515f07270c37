"""Remembers the ids of requests, so that a request is stored once, and its id is of no use for another body."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

#: Ids that are remembered; then the oldest is forgotten. About 400 octets each, so 20 MB at most.
MOST_REMEMBERED = 50_000


class ReplayMemory:
    """The newest ``most`` ids, each with a digest of its body and whether it is stored. May be used by several threads.

    It is of one process and of its lifetime: a request that another process stored too is recognised by its events'
    ids when they are collected.
    """

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, tuple[bytes, bool]] = OrderedDict()

    def is_other(self, name: str, body: bytes) -> bool:
        """Whether the id came with another body before; else it is remembered with this one."""
        digest = hashlib.sha256(body).digest()
        with self._lock:
            known = self._seen.setdefault(name, (digest, False))
            if len(self._seen) > self._most:
                self._seen.popitem(last=False)
        return known[0] != digest

    def is_stored(self, name: str, body: bytes) -> bool:
        """Whether the id is durable, with this body."""
        with self._lock:
            return self._seen.get(name) == (hashlib.sha256(body).digest(), True)

    def stored(self, name: str) -> None:
        """Remember that the request is durable."""
        with self._lock:
            if name in self._seen:
                self._seen[name] = (self._seen[name][0], True)
