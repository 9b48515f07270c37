"""``campaign check``: everything short of sending, with a list of what is wrong or was not verified.

Every row is read, screened and rendered (`render_all.py`); modules of their own check the settings, the limits, the
relay and, on request, links, DNS and a spam filter. Nothing is sent and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.invalid_row_limit import invalid_rows, refuse_useless
from campaign.audience.screening.suggested_settings import all_suggestions
from campaign.check.config_checks import check_audience, check_settings
from campaign.check.dns.check_dns import DnsDigest, DnsWishes, check_dns
from campaign.check.feedback_checks import check_feedback
from campaign.check.findings import Findings
from campaign.check.finish_time import check_time, span_of
from campaign.check.letters.render_all import Looked, look
from campaign.check.output.ignored_findings import ignored_findings
from campaign.check.relay.check_relay import check_relays
from campaign.check.source_checks import check_sources
from campaign.check.template_checks import composer_for_check
from campaign.compose.composer import Composer
from campaign.errors import InputError
from campaign.model import Books
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.publish_metrics import refuse_unpublishable
from campaign.pipeline.start.already_served_count import nobody_left_note, served_earlier, unfinished
from campaign.report.live.console import Console, path_text
from campaign.report.telemetry.tracing import refuse_untraceable


class CheckOptions(msgspec.Struct, frozen=True):
    """What to check besides the letters."""

    relay: bool = True
    links: bool = False
    dns: DnsWishes | None = None
    spam: str = ""
    probe: bool = False


class Digest(msgspec.Struct, frozen=True):
    """The results of a check besides its findings.

    ``columns`` are the names that a template may use. ``kinds`` letters were read back in full, ``largest`` is the size
    in octets of the largest one. ``template`` is one hash over everything that shapes the letters. ``seconds`` is the
    least that the run takes under its limits, None without limits. ``dns`` is None if not requested.
    """

    campaign: str
    edition: str
    books: Books
    samples: tuple[str, ...]
    columns: tuple[str, ...]
    remarks: tuple[str, ...]
    rendered: int
    kinds: int
    largest: int
    template: str
    relays: Mapping[str, str]
    rate: str
    seconds: float | None
    took: float
    dns: DnsDigest | None = None


def check(job: Job, console: Console, wishes: CheckOptions) -> tuple[Findings, Digest]:
    """Run all checks. Raises CampaignError if checking itself is impossible."""
    began, findings = time.monotonic(), Findings()
    ignored = ignored_findings(job)
    refuse_unpublishable(job)
    refuse_untraceable(job.settings.report)
    with frozen(job, console) as plan:
        check_settings(job, plan, findings)
        check_feedback(job, findings)
        check_sources(job, findings)
        check_audience(job, plan, findings)
        composer, missing = composer_for_check(job, plan, findings)
        looked = look(job, plan, composer, missing, findings, console)
        samples = samples_of(plan)
        source, books, columns, remarks = plan.source, plan.books, plan.columns, plan.remarks
    span = span_of(job, books.planned, looked.survey.domains)
    check_time(job, span, findings)
    relays = check_relays(job, looked, span, findings) if wishes.relay else {}
    check_elsewhere(looked, wishes, findings)
    signing = composer is not None
    asked = check_dns(job, looked, source, wishes.dns, findings, console, signing=signing) if wishes.dns else None
    list_unverified(job, wishes, relays, composer is not None, findings)
    findings.ignore(ignored)
    return findings, Digest(
        campaign=job.settings.campaign.name,
        edition=job.edition,
        books=books,
        samples=samples,
        columns=columns,
        remarks=remarks,
        rendered=looked.rendered,
        kinds=looked.kinds,
        largest=looked.largest,
        template=template_hash(composer),
        relays=relays,
        rate=span.rate,
        seconds=span.seconds,
        took=time.monotonic() - began,
        dns=asked,
    )


@contextlib.contextmanager
def frozen(job: Job, console: Console) -> Iterator[Plan]:
    """The plan as `send` would freeze it, deleted afterwards. Raises what `send` would raise about the list."""
    audience = job.settings.audience
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        with all_suggestions(audience, job.settings.base):
            plan = planned(job, console, Path(folder))
            if not plan.size:
                refuse_empty(job, plan)
        yield plan


def refuse_empty(job: Job, plan: Plan) -> None:
    """Raise InputError: no recipient is left."""
    refuse_useless(plan)
    audience, found = job.settings.audience, invalid_rows(plan)
    raise InputError(
        f"{audience.source} has nobody to write to.",
        evidence=[f"{plan.books.read:,} rows read, none of them kept", *found.commonest()],
        next_step=found.remedy()
        or f"look at the column {audience.address!r}, at where and at suppress in {path_text(job.settings.file)}",
    )


def planned(job: Job, console: Console, folder: Path) -> Plan:
    """The plan without recipients served earlier; if no others are left, with them, but not in the figures."""
    audience, base, already = job.settings.audience, job.settings.base, served_earlier(job)
    suppression = job.suppression()
    plan = freeze(audience, base, folder, suppression=suppression, already=already, progress=console.loading)
    remarks = unfinished(job)
    if plan.books.already and not plan.size:
        books, remarks = plan.books, (*remarks, nobody_left_note())
        plan = replace(freeze(audience, base, folder, suppression=suppression, already=None), books=books)
    return replace(plan, remarks=(*plan.remarks, *remarks))


def samples_of(plan: Plan) -> tuple[str, ...]:
    """Three addresses: the first, one in the middle, the last."""
    numbers = sorted({0, plan.size // 2, plan.size - 1})
    return tuple(dict.fromkeys(plan.recipient(number).address for number in numbers))


def check_elsewhere(looked: Looked, wishes: CheckOptions, findings: Findings) -> None:
    """Checks that contact other servers than DNS, only on request: web servers, a spam filter."""
    if wishes.probe:
        from campaign.check.letters.unsubscribe_probe import probe_unsubscribe

        probe_unsubscribe(looked.samples, findings)
    if wishes.links:
        from campaign.check.letters.links import check_links

        check_links(list(looked.links), findings)
    if wishes.spam:
        from campaign.check.letters.spam_filter import check_spam

        check_spam(wishes.spam, looked.samples, findings)


def list_unverified(
    job: Job, wishes: CheckOptions, relays: Mapping[str, str], rendered: bool, findings: Findings
) -> None:
    """List what was not checked, each with the option that checks it, if there is one."""
    leaves = set(job.settings.delivery.urls) != {"mailbox"}
    signed = bool(job.settings.compose.dkim)

    def unless(seen: bool, code: str, what: str, how: str = "") -> None:
        if not seen:
            findings.add("unverified", code, what, remedy=how)

    unless(rendered, "letters", "no letter could be rendered")
    unless(wishes.links, "links", "whether links lead somewhere", "--links")
    linked = leaves and bool(job.settings.compose.unsubscribe)
    unless(wishes.probe or not linked, "unsubscribe-link", "whether unsubscribe links work", "--probe")
    unless(bool(wishes.spam), "spam-score", "what a spam filter says", "--spam")
    unless(bool(wishes.dns) or not leaves, "dns", "the DNS: who may send as you, and which domains take mail", "--dns")
    unless(bool(relays) or not leaves, "greeting", "what the relay says of itself")
    unless(signed or not leaves, "relay-signature", "whether the relay signs with DKIM")
    unless(not leaves, "reputation", "how receivers think of your domain and addresses")
    unless(not leaves, "inbox", "whether an accepted letter reaches the inbox")
    unless(False, "consent", "whether these people asked for it")


def template_hash(composer: Composer | None) -> str:
    """One SHA-256 over the fingerprints of everything that shapes letters; empty if there are no letters."""
    if composer is None:
        return ""
    return hashlib.sha256(json.dumps(composer.fingerprints(), sort_keys=True).encode()).hexdigest()
