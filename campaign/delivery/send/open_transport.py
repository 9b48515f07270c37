"""Opens a connection to a relay: by SMTP, or by HTTP if it is a gateway. The only place that knows both.

What gateways need is imported when one is used, so that other runs start as fast without it.
"""

from __future__ import annotations

from campaign.config.delivery import DeliverySection
from campaign.delivery.interfaces import OpenConnection, Transaction
from campaign.delivery.relays.relay import Relay
from campaign.delivery.smtp import dsn
from campaign.delivery.smtp.connection import open_connection
from campaign.delivery.smtp.mail_transaction import MailTransaction


async def open_transport(relay: Relay, settings: DeliverySection, *, first: bool) -> tuple[OpenConnection, Transaction]:
    """An open connection to ``relay``, and the transaction for its letters. Raises ConnectFailed.

    The ``first`` asks for the account's limits, if the gateway tells them.
    """
    if relay.gateway is not None:
        from campaign.delivery.http.gateway_connection import open_gateway
        from campaign.delivery.http.gateway_transaction import GatewayTransaction

        gateway = await open_gateway(relay, settings, ask=first)
        return gateway, GatewayTransaction(gateway)
    connection = await open_connection(relay, settings.timeouts)
    wishes = dsn.wishes(settings.dsn, settings.dsn_return, connection.extensions)
    return connection, MailTransaction(connection, settings.timeouts, wishes)
