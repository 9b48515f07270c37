"""The messages between the process of a run and its senders, and what a sender starts with.

A sender asks for a shard with `Want`, and asks for the next one shortly before it is through with one. A `Want` of a
sender that is within a pass is answered at once, by `Grant` or `NoMore`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from campaign.compose.composer import Brief
from campaign.compose.html.shape_cache import Inlining
from campaign.delivery.send.connection_pool import Rest
from campaign.errors import CampaignError
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.shards.lease import Lease
from campaign.ledger.state.run_clock import RunClock
from campaign.pipeline.command_context import Job


class Start(msgspec.Struct, frozen=True):
    """Everything a sender needs to know of its run; it is the ``index``-th of ``senders``, from 0."""

    job: Job
    folder: str
    brief: Brief
    inlining: Inlining
    opened: Opened
    fingerprints: dict[str, str]
    run_clock: RunClock
    index: int
    senders: int
    connections: int


class Grant(msgspec.Struct, frozen=True):
    """To a sender: a shard to serve."""

    lease: Lease


class NoMore(msgspec.Struct, frozen=True):
    """To a sender: this pass has no further shard for it."""


class Connections(msgspec.Struct, frozen=True):
    """To a sender: how many connections it may have open."""

    most: int


class Drain(msgspec.Struct, frozen=True):
    """To a sender: take no more recipients, finish what is in flight, and end."""


class Abort(msgspec.Struct, frozen=True):
    """To a sender: cut every connection, and end."""


class Want(msgspec.Struct, frozen=True):
    """From a sender: a shard is wanted."""


class Left(msgspec.Struct, frozen=True):
    """From a sender: it has closed the journal of this shard."""

    shard: int


class Passed(msgspec.Struct, frozen=True):
    """From a sender: its part of the pass is over, or it ended with an error."""

    error: CampaignError | None = None
    rests: Sequence[Rest] = msgspec.field(default_factory=tuple)


class Told(msgspec.Struct, frozen=True):
    """From a sender: a log record."""

    level: int
    logger: str
    text: str


class Waiting(msgspec.Struct, frozen=True):
    """From a sender: what holds up all its letters, in words."""

    text: str


ToSender = Grant | NoMore | Connections | Drain | Abort
FromSender = Want | Left | Passed | Told | Waiting
