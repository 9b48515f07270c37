"""The named points at which a worker of a store is killed, beside those of `points`; each a place in the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torture.calls import die

#: Passed once a letter or batch; at these at most one letter a connection is in doubt.
SENDING = ("intent append before", "intent append after", "verdict append before", "verdict append after")
#: Passed once a shard: between the lease and the first segment, after it; before a shard goes back, after.
SHARDS = ("takeover before", "takeover after", "release before", "release after")
#: Passed once, by whoever makes the run, and by whoever closes it.
RUNS = tuple(f"{what} {when}" for what in ("make", "close") for when in ("before", "middle", "after"))
TAKING = ("check-out before", "check-out after")
ALL = SENDING + SHARDS + RUNS + TAKING


def install(point: str, due: Callable[[], bool]) -> None:
    """Die at ``point`` when ``due`` says so; it is asked once a passage."""
    what, _, when = point.rpartition(" ")
    if what.endswith("append"):
        _at_append(f'"is":"{what.split()[0]}"'.encode(), when, due)
    elif what == "takeover":
        _at_takeover(when, due)
    elif what == "release":
        _at_release(when, due)
    elif what == "check-out":
        _at_check_out(when, due)
    else:
        _at_check_in(when, due, closing=what == "close")


def hasten(renew: float, edition: float) -> None:
    """Renew leases so often, and let that of an edition last so long, so that deaths are noticed within seconds."""
    from campaign.ledger.postgres import edition_lease, worker_session

    worker_session.RENEW_SECONDS = edition_lease.BEAT_SECONDS = renew
    edition_lease.LEASE_SECONDS = edition


def _at_append(mark: bytes, when: str, due: Callable[[], bool]) -> None:
    from campaign.ledger.postgres.segment_writer import SegmentWriter

    original: Any = SegmentWriter._append

    async def append(self: SegmentWriter, shard: Any, lines: bytes) -> None:
        now = mark in lines and due()
        if now and when == "before":
            die()
        await original(self, shard, lines)
        if now:
            die()

    SegmentWriter._append = append  # type: ignore[method-assign]


def _at_takeover(when: str, due: Callable[[], bool]) -> None:
    from campaign.ledger.postgres.worker_session import WorkerSession

    original: Any = WorkerSession._take_over

    async def take_over(self: WorkerSession, *args: Any) -> Any:
        now = due()
        if now and when == "before":
            die()
        found = await original(self, *args)
        if now:
            die()
        return found

    WorkerSession._take_over = take_over  # type: ignore[method-assign]


def _at_release(when: str, due: Callable[[], bool]) -> None:
    from campaign.ledger.postgres.session_connection import SessionConnection

    original: Any = SessionConnection.execute

    async def execute(self: SessionConnection, statement: str, values: Any) -> None:
        now = "SET holder = NULL" in statement and due()
        if now and when == "before":
            die()
        await original(self, statement, values)
        if now:
            die()

    SessionConnection.execute = execute  # type: ignore[method-assign]


def _at_check_out(when: str, due: Callable[[], bool]) -> None:
    from campaign.pipeline.workers import join_run

    original: Any = join_run.check_out

    def check_out(*args: Any) -> None:
        now = due()
        if now and when == "before":
            die()
        original(*args)
        if now:
            die()

    join_run.check_out = check_out


def _at_check_in(when: str, due: Callable[[], bool], *, closing: bool) -> None:
    from campaign.ledger.postgres.runs import check_in as product
    from campaign.pipeline.workers import join_run, send_together

    original: Any = join_run.check_in
    leave: Any = send_together.leave
    middle: Any = product._set_shards
    closes, now = [False], [False]

    def left(*args: Any) -> Any:
        closes[0] = True
        return leave(*args)

    def check_in(*args: Any, **more: Any) -> Any:
        now[0] = closes[0] == closing and due()
        if now[0] and when == "before":
            die()
        found = original(*args, **more)
        if now[0]:
            die()
        return found

    def set_shards(*args: Any, **more: Any) -> None:
        if now[0] and when == "middle":
            die()
        middle(*args, **more)

    send_together.leave, join_run.check_in, product._set_shards = left, check_in, set_shards
