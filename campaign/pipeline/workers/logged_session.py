"""A worker's session with the store whose shards are in the event log: which one, when leased and when served."""

from __future__ import annotations

from typing import Any

from campaign.ledger.postgres.worker_session import WorkerSession
from campaign.ledger.shards.lease import Lease
from campaign.ledger.shards.shard_ledger import Shard
from campaign.report.live.event_log import Log


class LoggedSession(WorkerSession):
    """As `WorkerSession`."""

    def __init__(self, log: Log, *place: Any, **settings: Any) -> None:
        super().__init__(*place, **settings)
        self._log = log

    async def lease(self) -> Lease | None:
        """As `WorkerSession.lease`."""
        lease = await super().lease()
        if lease is not None:
            self._log.event("shard leased", shard=lease.span.shard, recipients=len(lease.numbers))
        return lease

    def finished(self, shard: Shard) -> None:
        """As `WorkerSession.finished`."""
        super().finished(shard)
        self._log.event("shard served", shard=shard.span.shard)
