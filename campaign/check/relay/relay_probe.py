"""A probe that greets a relay without sending mail, for `campaign check`.

It dials, secures, logs in, reads what the relay offers, and quits. No MAIL, no letter. How a relay will treat real
letters cannot be learnt this way.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Literal

import msgspec

from campaign.config.delivery import DeliverySection
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Rules
from campaign.delivery.replies.stop_conditions import stop
from campaign.delivery.smtp.connection import Connection, open_connection
from campaign.delivery.transport_errors import ConnectFailed
from campaign.errors import RelayError

Severity = Literal["error", "warning"]

#: Seconds; a certificate that expires sooner is reported.
SOON = 14 * 86400.0
#: Octets; a relay with a lower limit will refuse ordinary letters with a picture.
SMALL = 1_000_000


class Greeting(msgspec.Struct, frozen=True):
    """A relay's properties. ``size`` in octets, 0 for no limit stated; ``expires`` in POSIX seconds, 0 unknown.

    ``own_expires`` is when our own certificate expires. ``took`` is the seconds from dialling to being ready for
    letters; ``login`` the user who logged in, or ``""``.
    """

    relay: str
    extensions: tuple[str, ...]
    size: int
    tls: str
    expires: float
    login: str
    took: float
    own_expires: float = 0.0

    def remarks(self, now: float) -> list[tuple[Severity, str, str]]:
        """Findings as (severity, code, sentence) for the table of `campaign check`. ``now`` in POSIX seconds."""
        found: list[tuple[Severity, str, str]] = []
        if self.expires and self.expires - now < SOON:
            days = (self.expires - now) / 86400
            found.append(("warning", "relay-certificate", f"its certificate ends in {days:.0f} days"))
        if self.size and self.size < SMALL:
            found.append(("warning", "relay-size", f"it takes letters of {self.size:,} octets at most"))
        return found

    def summary(self) -> str:
        """The greeting in one line."""
        parts = [self.tls or "in clear, on this machine", f"ready in {self.took:.2f} s"]
        if self.login:
            parts.append(f"logged in as {self.login}")
        if self.size:
            parts.append(f"letters up to {self.size:,} octets")
        if "pipelining" not in self.extensions:
            parts.append("one command at a time, so four round trips a letter")
        if "smtputf8" not in self.extensions:
            parts.append("no SMTPUTF8, so addresses with other letters than ASCII before the @ are rejected")
        return ", ".join(parts)


async def probe(relay: Relay, settings: DeliverySection, rules: Rules | None = None) -> Greeting:
    """Greet ``relay``. Raises RelayError, or LoginError when it refused our login."""
    try:
        connection = await open_connection(relay, settings.timeouts)
    except ConnectFailed as failure:
        if failure.reply is not None:
            decision = (rules or Rules.load(settings.reply_rules)).decide(
                failure.stage, failure.reply, relay=relay.host
            )
            if decision.login:
                raise stop(decision, failure.reply, relay.name) from failure
        raise RelayError(
            f"{relay.name} cannot be used.",
            evidence=f"at {failure.stage.value}: {failure.why}",
            next_step=failure.advice or "correct delivery.relay or what is said above, then check again",
        ) from failure
    try:
        return _greeting(connection)
    finally:
        await connection.stream.quit(settings.timeouts.quit)
        await asyncio.sleep(0)


def _greeting(connection: Connection) -> Greeting:
    return Greeting(
        relay=connection.relay.name,
        extensions=tuple(sorted(connection.extensions)),
        size=connection.size,
        tls=connection.tls,
        expires=float(ssl.cert_time_to_seconds(connection.expires)) if connection.expires else 0.0,
        login=connection.relay.login.user if connection.relay.login is not None else "",
        took=connection.took,
        own_expires=connection.relay.own_certificate.expires if connection.relay.own_certificate is not None else 0.0,
    )
