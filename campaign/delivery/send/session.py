"""A session: one open connection and the objects that belong to it."""

from __future__ import annotations

import msgspec

from campaign.delivery.interfaces import OpenConnection, Transaction
from campaign.delivery.queue.admission import RelayAccount
from campaign.delivery.relays.failover import RelayState


class Session(msgspec.Struct, eq=False):
    """One connection with its relay, the account whose limits count there, and its transaction.

    ``relay`` is the relay's name, for records and messages.
    """

    state: RelayState
    account: RelayAccount
    connection: OpenConnection
    transaction: Transaction
    relay: str
