"""Relay checks: dial, TLS, login, the features offered, and whether these suit the letters."""

from __future__ import annotations

import asyncio
import os
import time

from campaign.check.findings import ROWS_SHOWN, Finding, Findings
from campaign.check.finish_time import Span
from campaign.check.letters.render_all import Looked
from campaign.check.relay.gateway_probe import GatewayGreeting, check_account, probe_gateway
from campaign.check.relay.relay_probe import SOON, Greeting, probe
from campaign.config.delivery import DeliverySection
from campaign.delivery.relays.relay import Relay, open_relays
from campaign.errors import CampaignError, LoginError
from campaign.pipeline.command_context import Job
from campaign.pipeline.start.preflight import refuse_unready
from campaign.report import formatting

PATIENCE = 30.0  #: seconds for each step; the minutes that RFC 5321 grants are too long for a check


def check_relays(job: Job, looked: Looked, span: Span, findings: Findings) -> dict[str, str]:
    """Greet all relays but the embedded one; returns a line about each that answered."""
    settings = job.settings.delivery
    written = tuple(one for one, url in zip(settings.relay, settings.urls, strict=True) if url != "mailbox")
    if not written:
        return {}
    limits = settings.timeouts
    hasty = limits.model_copy(update={name: min(PATIENCE, getattr(limits, name)) for name in type(limits).model_fields})
    delivery = settings.model_copy(update={"relay": written, "timeouts": hasty})
    try:
        refuse_unready(job)
        greetings = asyncio.run(_greet_all(job, delivery))
    except CampaignError as error:
        _failed(error, "delivery", findings)
        return {}
    said = {}
    for relay, greeting in greetings:
        if isinstance(greeting, CampaignError):
            _failed(greeting, relay.name, findings)
            continue
        said[relay.name] = told(greeting) + _share(relay.weight, sum(settings.weights))
        if isinstance(greeting, GatewayGreeting):
            check_account(greeting, looked.rendered, findings)
            greeting = greeting.offers
        check_greeting(greeting, looked, span, findings, now=time.time())
        _notifications(greeting, delivery, findings)
    return said


def told(greeting: Greeting | GatewayGreeting) -> str:
    """A greeting in one line, with the day its certificate ends and all that the relay offers."""
    if isinstance(greeting, GatewayGreeting):
        return greeting.summary()
    until = f", certificate until {formatting.moment(greeting.expires)[:10]}" if greeting.expires else ""
    offers = " ".join(sorted(name.upper() for name in greeting.extensions)) or "no extensions"
    return f"{greeting.summary()}{until}; offers {offers}"


def _share(weight: float | None, total: float) -> str:
    """The share that a weight amounts to."""
    if weight is None:
        return ""
    return (
        f"; weight {weight:g}: {weight / total:.0%} of the letters" if weight else "; weight 0: only when others fail"
    )


async def _greet_all(
    job: Job, delivery: DeliverySection
) -> list[tuple[Relay, Greeting | GatewayGreeting | CampaignError]]:
    relays = await open_relays(delivery, job.settings.base, os.environ)
    return [(relay, await _greet(relay, delivery)) for relay in relays]


async def _greet(relay: Relay, delivery: DeliverySection) -> Greeting | GatewayGreeting | CampaignError:
    try:
        return await (probe_gateway(relay, delivery) if relay.gateway else probe(relay, delivery))
    except CampaignError as error:
        return error


def _failed(error: CampaignError, where: str, findings: Findings) -> None:
    message = " ".join([error.what, *error.evidence])
    where = "" if where in message else where
    if isinstance(error, LoginError):
        findings.add("error", "relay-login", message, where=where, remedy=error.next_step)
    else:
        findings.add("error", "relay", message, where=where, remedy=error.next_step)


def check_greeting(greeting: Greeting, looked: Looked, span: Span, findings: Findings, *, now: float) -> None:
    """Report what in a greeting does not suit these letters."""
    for whose, ends in (("the relay's certificate", greeting.expires), ("our certificate", greeting.own_expires)):
        if ends:
            _certificate(whose, ends, greeting.relay, span, findings, now)
    if greeting.size and looked.largest > greeting.size:
        findings.add(
            "error",
            "relay-size",
            f"the largest letter has {looked.largest:,} octets, and the relay takes {greeting.size:,} at most",
            row=looked.largest_row,
            where=greeting.relay,
            remedy="send smaller pictures and attachments, or ask for a higher limit",
        )
    if looked.survey.international and "smtputf8" not in greeting.extensions:
        findings.take(
            Finding(
                "warning",
                "relay-smtputf8",
                "the relay does not take addresses with letters beyond ASCII before the @: these will be rejected",
                rows=looked.international[:ROWS_SHOWN],
                where=greeting.relay,
                remedy="use a relay that offers SMTPUTF8 (RFC 6531)",
                count=looked.survey.international,
            )
        )


def _notifications(greeting: Greeting, delivery: DeliverySection, findings: Findings) -> None:
    if delivery.dsn and "dsn" not in greeting.extensions:
        findings.add(
            "warning",
            "relay-dsn",
            "the relay does not offer delivery notifications, so delivery.dsn asks it for nothing",
            where=greeting.relay,
            remedy="use a relay that offers DSN (RFC 3461), or read the bounces that come without",
        )


def _certificate(whose: str, expires: float, relay: str, span: Span, findings: Findings, now: float) -> None:
    ends = formatting.moment(expires)
    if expires < span.end:
        findings.add(
            "error",
            "certificate-expires",
            f"{whose} ends at {ends}, before the run does: connections opened later will fail",
            where=relay,
            remedy="have it renewed first",
        )
    elif expires - now < SOON:
        findings.add(
            "warning",
            "certificate-soon",
            f"{whose} ends at {ends}",
            where=relay,
            remedy="have it renewed",
        )
