"""The named points at which a sender is killed, each a place in the product's code: before, in the middle, after.

The points are patched into the running process; the product has no hook for them. ``BLAMELESS`` are those at which,
with one connection, nobody can be in doubt; at all others exactly one letter is.
"""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from torture.calls import die

IN_DOUBT = (
    "intent after", "dot before", "dot after", "reply after", "verdict before", "verdict torn",
)  # fmt: skip
BLAMELESS = (
    "plan rename before", "plan rename after", "journal rename before", "journal rename after", "started before",
    "started torn", "started after", "pass before", "pass after", "frontier before", "frontier after", "content before",
    "content after", "intent before", "intent torn", "verdict after", "sync before", "sync after", "report before",
    "report torn", "report after", "ended before", "ended torn", "ended after",
)  # fmt: skip
ALL = IN_DOUBT + BLAMELESS
#: Passed only where a relay calls an address dead: between the journal's verdict and the list that later runs read.
SUPPRESSED = ("suppressed before", "suppressed after")
#: Passed only where several processes send: by the parent, when it makes a shard's journal, merges and removes it.
MERGING = (
    "lease after", "merged before", "merged torn", "merged after", "unlink before", "unlink after",
)  # fmt: skip
#: Points that a small run passes once; the others once a letter.
ONCE = frozenset(point for point in BLAMELESS if point.split()[0] not in {"content", "intent", "verdict", "sync"})
_RECORDS = frozenset({"started", "pass", "frontier", "intent", "verdict", "ended", "merged"})
_METHODS = {"content": "content", "dot": "dot", "reply": "verdict"}


def install(point: str, nth: int, once: str = "") -> None:
    """Die at the ``nth`` passage of ``point`` (from 1). ``once``: a file to be made by the only process that may."""
    what, _, when = point.rpartition(" ")
    passed = _Passages(nth, once)
    if what in _RECORDS:
        _at_record(what, when, passed)
    elif what in _METHODS:
        _at_method(_METHODS[what], when, passed)
    elif what == "sync":
        _at_sync(when, passed)
    elif what == "suppressed":
        _at_suppressed(when, passed)
    elif what == "lease":
        _at_lease(passed)
    elif what == "unlink":
        _at_unlink(when, passed)
    elif what.endswith("rename"):
        _at_rename({"plan rename": "plan.jsonl", "journal rename": "checkpoint.journal"}[what], when, passed)
    else:
        _at_report(when, passed)


class _Passages:
    def __init__(self, nth: int, once: str) -> None:
        self.left, self._once = nth, once

    def due(self) -> bool:
        self.left -= 1
        return self.left == 0 and (not self._once or self._is_first())

    def _is_first(self) -> bool:
        try:
            os.close(os.open(self._once, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def _at_record(kind: str, when: str, passed: _Passages) -> None:
    from campaign.ledger.journal.journal_file import JournalFile

    original, mark = JournalFile.append, f'"is":"{kind}"'.encode()

    def append(self: JournalFile, data: bytes) -> None:
        due = mark in data and passed.due()
        if due and when == "before":
            die()
        if due and when == "torn":
            os.write(self._descriptor, data[: len(data) // 2])
            die()
        original(self, data)
        if due:
            die()

    JournalFile.append = append  # type: ignore[method-assign]


def _at_method(name: str, when: str, passed: _Passages) -> None:
    from campaign.delivery.smtp.mail_transaction import MailTransaction

    original: Callable[..., Any] = getattr(MailTransaction, name)

    def patched(self: MailTransaction, *args: Any) -> Any:
        due = passed.due()
        if due and when == "before":
            die()
        result = original(self, *args)
        if due and not inspect.isawaitable(result):
            die()
        return _die_after(result) if due else result

    setattr(MailTransaction, name, patched)


async def _die_after(result: Awaitable[Any]) -> None:
    await result
    die()


def _at_sync(when: str, passed: _Passages) -> None:
    from campaign.ledger.journal.journal_file import JournalFile

    original = JournalFile.sync

    def sync(self: JournalFile) -> int:
        due = passed.due()
        if due and when == "before":
            die()
        result = original(self)
        if due:
            die()
        return result

    JournalFile.sync = sync  # type: ignore[method-assign]


def _at_suppressed(when: str, passed: _Passages) -> None:
    from campaign.ledger.feedback.feedback_store import FeedbackStore

    original = FeedbackStore.append

    def append(self: FeedbackStore, events: Sequence[Any]) -> None:
        due = passed.due()
        if due and when == "before":
            die()
        original(self, events)
        if due:
            die()

    FeedbackStore.append = append  # type: ignore[method-assign]


def _at_lease(passed: _Passages) -> None:
    from campaign.ledger.shards.shard_store import ShardStore

    original = ShardStore.lease

    def lease(self: ShardStore, most: int) -> Any:
        found = original(self, most)
        if found is not None and passed.due():
            die()
        return found

    ShardStore.lease = lease  # type: ignore[method-assign]


def _at_unlink(when: str, passed: _Passages) -> None:
    original = os.unlink

    def unlink(path: Any, **more: Any) -> None:
        folder, _, name = os.fspath(path).rpartition(os.sep)
        due = folder.endswith("shards") and not name.startswith(".") and passed.due()
        if due and when == "before":
            die()
        original(path, **more)
        if due:
            die()

    os.unlink = unlink


def _at_rename(name: str, when: str, passed: _Passages) -> None:
    for call in ("replace", "rename"):
        _wrap(call, name, when, passed)


def _wrap(call: str, name: str, when: str, passed: _Passages) -> None:
    original = getattr(os, call)

    def patched(source: Any, target: Any, **more: Any) -> None:
        due = os.path.basename(os.fspath(target)) == name and passed.due()
        if due and when == "before":
            die()
        original(source, target, **more)
        if due:
            die()

    setattr(os, call, patched)


def _at_report(when: str, passed: _Passages) -> None:
    from campaign.pipeline.finish import close_run

    if when == "torn":
        _at_rename("summary.json", "before", passed)
        return
    original = close_run.write_all

    def write_all(*args: Any) -> None:
        due = passed.due()
        if due and when == "before":
            die()
        original(*args)
        if due:
            die()

    setattr(close_run, "write_all", write_all)  # noqa: B010 - as above


def settle(orders: Mapping[str, Any]) -> None:
    """Everything a launch may be ordered to do, in place before the command runs."""
    from torture import calls, clocks, recording, refusing, store_points

    if "site" in orders:
        from tests.support.servers.sites import enter_site

        enter_site(orders["site"])
    if "end" in orders:
        calls.END[:] = [signal.Signals(orders["end"])]
    if "hasten" in orders:
        store_points.hasten(**orders["hasten"])
    if orders.get("point") in store_points.ALL:
        store_points.install(orders["point"], _Passages(orders["nth"], orders.get("once", "")).due)
    elif "point" in orders:
        install(orders["point"], orders["nth"], orders.get("once", ""))
    if "smallest" in orders:
        from campaign.ledger.shards import shard_store

        shard_store.SMALLEST = orders["smallest"]
    if "refuse" in orders:
        refusing.install(**orders["refuse"])
    if "clock" in orders:
        clocks.install(**orders["clock"])
    if "record" in orders:
        recording.install(**orders["record"])
    if "boot" in orders:
        from campaign.ledger import checkpoint, recovery

        checkpoint.boot_identity = recovery.boot_identity = lambda: str(orders["boot"])
