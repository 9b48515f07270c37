"""A session: one open connection and the objects that belong to it."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.delivery.queue.admission import RelayAccount
from campaign.delivery.relays.failover import RelayState
from campaign.delivery.smtp.connection import Connection
from campaign.delivery.smtp.mail_transaction import MailTransaction


@dataclass(eq=False, slots=True)
class Session:
    """One connection with its relay, the account whose limits count there, and its mail transaction.

    ``relay`` is the relay's name, for records and messages.
    """

    state: RelayState
    account: RelayAccount
    connection: Connection
    transaction: MailTransaction
    relay: str
