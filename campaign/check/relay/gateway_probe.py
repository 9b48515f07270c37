"""A probe that asks an HTTP gateway about the account without sending mail, for `campaign check`.

It connects, logs in, and requests what the gateway tells about the account, where it tells anything.
"""

from __future__ import annotations

import asyncio
import ssl

import msgspec

from campaign.check.findings import Findings
from campaign.check.relay.relay_probe import Greeting
from campaign.config.delivery import DeliverySection
from campaign.delivery.http.gateway_api import GatewayAccount
from campaign.delivery.http.gateway_connection import GatewayConnection, ask_account, new_connection
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Rules, Stage
from campaign.delivery.replies.stop_conditions import reply_text, stop
from campaign.delivery.transport_errors import ConnectFailed
from campaign.errors import RelayError
from campaign.model import Reply


class GatewayGreeting(msgspec.Struct, frozen=True):
    """What a gateway offers, and what it says about the account; ``unknown`` is why it says nothing."""

    offers: Greeting
    preset: GatewayPreset
    account: GatewayAccount | None
    unknown: str

    def summary(self) -> str:
        """It in one line: the account, what the gateway changes, and how a doubt can be settled there."""
        offers = self.offers
        parts = [offers.tls or "in clear, on this machine", f"ready in {offers.took:.2f} s"]
        parts += [f"logged in as {offers.login}"] if offers.login else []
        parts += self.account.facts if self.account else [f"about the account: {self.unknown}"]
        parts.append(f"letters up to {offers.size:,} octets")
        return f"{', '.join(parts)}; {self.preset.changes}; a letter in doubt: {self.preset.doubts}"


async def probe_gateway(relay: Relay, settings: DeliverySection) -> GatewayGreeting:
    """Ask ``relay`` about the account. Raises RelayError, or LoginError when it refused our login."""
    connection = new_connection(relay, settings)
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        await connection.connect()
        took = clock() - began
        account = await ask_account(connection)
    except ConnectFailed as failure:
        raise RelayError(
            f"{relay.name} cannot be used.",
            evidence=f"at {failure.stage.value}: {failure.why}",
            next_step=failure.advice or "correct delivery.relay or what is said above, then check again",
        ) from failure
    finally:
        connection.stream.abort()
    unknown = "the permission to send does not include asking"
    if isinstance(account, Reply):
        decision = Rules.load(settings.reply_rules).decide(Stage.AUTH, account, gateway=connection.preset.name)
        if decision.login:
            raise stop(decision, account, relay.name)
        unknown = f"it answered {reply_text(account)}"
        account = None
    return GatewayGreeting(_offers(connection, took), connection.preset, account, unknown)


def check_account(greeting: GatewayGreeting, letters: int, findings: Findings) -> None:
    """Report what in the account stands in the way of so many letters."""
    where, account = greeting.offers.relay, greeting.account
    if account is None:
        return
    for sentence, advice in account.obstacles:
        findings.add("error", "gateway-account", sentence, where=where, remedy=advice)
    for sentence, advice in account.cautions:
        findings.add("warning", "gateway-limited", sentence, where=where, remedy=advice)
    if account.left is not None and letters > account.left:
        findings.add(
            "warning",
            "gateway-quota",
            f"the account takes {account.left:,.0f} more letters within 24 hours, and there are {letters:,}",
            where=where,
            remedy="ask for a higher quota, or run the same command again on the following days: it continues",
        )


def _offers(connection: GatewayConnection, took: float) -> Greeting:
    relay = connection.relay
    return Greeting(
        relay=relay.name,
        extensions=("smtputf8",) if connection.smtputf8 else (),
        size=connection.size,
        tls=connection.tls,
        expires=float(ssl.cert_time_to_seconds(connection.expires)) if connection.expires else 0.0,
        login=relay.login.user if relay.login is not None else "",
        took=took,
        own_expires=relay.own_certificate.expires if relay.own_certificate is not None else 0.0,
    )
