"""``campaign check``: everything short of sending, and an honest list of what is wrong or could not be looked at.

Every row is read, screened and rendered. Every letter whose shape, or whose kind of values, was not met before is
inspected whole; rows of a kind already inspected share its findings, so a check costs little more than rendering.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from campaign.audience.plan import Plan
from campaign.compose.composer import Composer
from campaign.compose.inspection import CLIPPED, Fault, inspect
from campaign.compose.reading import read
from campaign.config.units import Rate
from campaign.delivery.probe import probe
from campaign.delivery.relays import open_relays
from campaign.errors import CampaignError
from campaign.model import Books, Letter, Recipient, Unrenderable
from campaign.pipeline.console import Console
from campaign.pipeline.job import Job
from campaign.pipeline.rehearsal import rehearsed
from campaign.report.findings import Findings

SAMPLES = 3
MOST_INSPECTED = 2_000
NOT_VERIFIED = (
    ("reputation", "how receivers think of your domain and addresses"),
    ("consent", "whether these people asked for it"),
    ("inbox", "whether an accepted letter reaches the inbox"),
)


@dataclass(frozen=True, slots=True)
class Digest:
    """What a check says besides its findings. ``seconds`` is the least the run takes under its limits."""

    books: Books
    samples: tuple[str, ...]
    shapes: int
    seconds: float | None
    rate: str


def check(job: Job, console: Console, *, relay: bool) -> tuple[Findings, Digest]:
    """Look at everything. Raises CampaignError for what stops even the looking."""
    findings = Findings()
    check_settings(job, findings)
    with rehearsed(job, console) as (plan, composer):
        check_rows(plan, findings)
        check_letters(job, plan, composer, findings, console)
        books, samples = plan.books, tuple(one.address for one in plan.recipients(stop=SAMPLES))
        for warning in composer.warnings:
            findings.add("warning", "rendering", warning)
        shapes = composer.shapes
    rates = job.settings.delivery.rate
    seconds = least_seconds(books.planned, rates)
    check_time(job, findings, seconds)
    if relay:
        check_relay(job, findings)
    for code, what in NOT_VERIFIED:
        findings.add("unverified", code, what)
    return findings, Digest(books, samples, shapes, seconds, ", ".join(map(str, rates)) or "no limit")


def check_settings(job: Job, findings: Findings) -> None:
    """What can be told from the campaign file alone."""
    campaign = job.settings.campaign
    sender = campaign.sender.address.rpartition("@")[2]
    if campaign.return_path and campaign.return_path.rpartition("@")[2] != sender:
        findings.add(
            "warning",
            "return-path",
            f"return_path lies under another domain than from ({sender}): SPF will not align with it for DMARC",
            where="campaign.return_path",
            remedy="use an address under the same domain, or make sure that DKIM aligns",
        )
    if not job.settings.compose.unsubscribe:
        findings.add(
            "warning",
            "no-unsubscribe",
            "there is no unsubscribe link; large receivers demand one in newsletters",
            where="compose.unsubscribe",
            remedy="set compose.unsubscribe unless these are personal notifications",
        )


def check_rows(plan: Plan, findings: Findings) -> None:
    """Rows that screening left out for their own fault."""
    if plan.books.invalid:
        findings.add(
            "warning",
            "invalid-rows",
            f"{plan.books.invalid:,} of {plan.books.read:,} rows are invalid and will not be served",
            where=plan.source,
            remedy="screened.csv of the run names each with its line and reason",
        )


def check_letters(job: Job, plan: Plan, composer: Composer, findings: Findings, console: Console) -> None:
    """Render every row; inspect every kind of letter."""
    date = float(int(time.time()))
    known: dict[object, Sequence[Fault]] = {}
    unsubscribe, limit = bool(job.settings.compose.unsubscribe), job.settings.compose.max_letter_size
    for recipient in plan.recipients():
        console.loading(recipient.number)
        before = composer.shapes
        letter = composer.compose(recipient, date)
        if isinstance(letter, Unrenderable):
            findings.add(
                "error", "unrenderable", letter.reason, row=recipient.line, remedy="mend the row, or the template"
            )
            continue
        kind = (composer.shapes, traits(recipient, letter, limit))
        if (composer.shapes != before or kind not in known) and len(known) < MOST_INSPECTED:
            seen = read(letter.content)
            known[kind] = tuple(inspect(letter, seen, recipient, unsubscribe=unsubscribe))
            if composer.compose(recipient, date) != letter:
                findings.add("error", "unstable", "the same row gives other bytes the second time", row=recipient.line)
        for fault in known.get(kind, ()):
            findings.add(
                fault.severity, fault.code, fault.message, row=recipient.line, where=fault.where, remedy=fault.remedy
            )


def traits(recipient: Recipient, letter: Letter, limit: int) -> tuple[object, ...]:
    """What about a row can make its letter wrong where another of the same shape is right."""
    odd = tuple(
        (column, oddity(value))
        for column, value in recipient.row.items()
        if value is None or (isinstance(value, str) and oddity(value))
    )
    return odd, len(letter.content) > CLIPPED, len(letter.content) > limit


def oddity(value: object) -> str:
    """A short word for a value that deserves a look, or ``""``."""
    text = "" if value is None else str(value).strip()
    if not text:
        return "empty"
    if text in {"None", "nan", "NaN", "null", "undefined"}:
        return "nothing"
    if "://" in text and not text.startswith("https://"):
        return "link"
    if "{{" in text or "{%" in text:
        return "mark"
    return "link" if "localhost" in text or "127.0.0." in text else "long" if len(text) > 200 else ""


def least_seconds(letters: int, rates: Sequence[Rate]) -> float | None:
    """The least time that so many letters take under these limits; None where there is no limit."""
    if not rates or not letters:
        return None
    shortest = min(rates, key=lambda rate: rate.per)
    whole = [math.ceil(letters / rate.count - 1) * rate.per for rate in rates if rate is not shortest]
    return max([(letters - 1) / shortest.per_second, *whole])


def check_time(job: Job, findings: Findings, seconds: float | None) -> None:
    """Whether the limits let the run end before ``not_after``."""
    campaign = job.settings.campaign
    if campaign.not_after is None or seconds is None:
        return
    start = max(time.time(), campaign.not_before.timestamp() if campaign.not_before else 0.0)
    if start + seconds > campaign.not_after.timestamp():
        findings.add(
            "error",
            "outlasts",
            f"under its limits the run takes at least {seconds:,.0f} s and outlasts not_after; the rest would expire",
            where="campaign.not_after",
            remedy="raise delivery.rate, start earlier, or end later",
        )


def check_relay(job: Job, findings: Findings) -> None:
    """Greet every relay: dial, TLS, login, extensions; no letter is offered."""
    import asyncio

    delivery = job.settings.delivery
    if delivery.relay == ("mailbox",):
        return
    asyncio.run(_greet(job, findings, lambda error: findings.add("error", "relay", error.what, remedy=error.next_step)))


async def _greet(job: Job, findings: Findings, failed: Callable[[CampaignError], None]) -> None:
    relays = await open_relays(job.settings.delivery, job.settings.base, os.environ, "smtp://127.0.0.1:9")
    for relay in relays:
        try:
            greeting = await probe(relay, job.settings.delivery)
        except CampaignError as error:
            failed(error)
            continue
        for severity, code, message in greeting.remarks(time.time()):
            findings.add(severity, code, message, where=relay.name)
