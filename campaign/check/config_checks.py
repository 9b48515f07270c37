"""Checks of the campaign file, the list and its recipients that need no rendering."""

from __future__ import annotations

from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.invalid_row_limit import invalid_rows, permission, too_many
from campaign.audience.screening.suggested_settings import suggested_settings
from campaign.check.findings import Finding, Findings
from campaign.check.list_warnings import Survey, typo_hints
from campaign.delivery.relays.relay_rewrites import rewritten
from campaign.pipeline.command_context import Job
from campaign.report.formatting import counted
from campaign.report.summary import rows_text

#: From this many letters on a list counts as bulk, and a way to unsubscribe is expected.
BULK = 100
LISTED = "a run lists each with its reason in screened.csv"
HINTS = 5
#: Providers open to everybody: a From address there fails DMARC if the letter is sent from anywhere else.
FREE_MAIL = frozenset(
    """gmail.com googlemail.com yahoo.com yahoo.co.uk yahoo.co.jp yahoo.de yahoo.fr ymail.com rocketmail.com aol.com
    outlook.com hotmail.com hotmail.co.uk hotmail.fr live.com msn.com icloud.com me.com mac.com gmx.de gmx.net gmx.com
    gmx.at web.de t-online.de freenet.de proton.me protonmail.com mail.com mail.ru yandex.ru yandex.com qq.com 163.com
    126.com sina.com naver.com hanmail.net orange.fr free.fr laposte.net libero.it virgilio.it wp.pl o2.pl seznam.cz
    zoho.com""".split()  # noqa: SIM905 - a list of quoted names takes five times the module
)


def domain_of(address: str) -> str:
    """The part after the @."""
    return address.rpartition("@")[2].lower()


def may_align(one: str, other: str) -> bool:
    """Whether two domains can belong to one organisation: they are equal, or end in the same two labels at least.

    The DNS decides whether they do (`check.dns.dmarc`).
    """
    return one == other or one.split(".")[-2:] == other.split(".")[-2:]


def check_settings(job: Job, plan: Plan, findings: Findings) -> None:
    """Check who the letters are from, and whether recipients can unsubscribe."""
    campaign, compose = job.settings.campaign, job.settings.compose
    sender = domain_of(campaign.sender.address)
    if campaign.return_path and not may_align(domain_of(campaign.return_path), sender):
        findings.add(
            "warning",
            "return-path",
            f"return_path lies under another domain than from ({sender}), so SPF does not align for DMARC",
            where="campaign.return_path",
            remedy="use an address under the same domain, or make sure that DKIM aligns",
        )
    relays = " ".join(job.settings.delivery.urls)
    if sender in FREE_MAIL and sender.split(".")[0].removesuffix("mail") not in relays:
        findings.add(
            "warning",
            "free-mail",
            f"From lies at {sender}, which only its own servers may send for",
            where="campaign.from",
            remedy="write from a domain of your own, or through that provider's relay",
        )
    if compose.dkim and (names := rewritten(job.settings.delivery)):
        findings.add(
            "warning",
            "relay-rewrites",
            f"the relay replaces {' and '.join(names)} in each letter, so your DKIM signature does not cover them",
            where="compose.dkim",
            remedy="nothing, or leave dkim out and let the relay sign for your domain",
        )
    automatic = {name.lower() for name in compose.headers} & {"auto-submitted", "feedback-type"}
    if plan.size >= BULK and not compose.unsubscribe and not automatic:
        only = " but by mail" if compose.unsubscribe_mailto else ""
        findings.add(
            "warning",
            "no-unsubscribe",
            f"there is no way to unsubscribe{only}; Gmail and Yahoo demand one click in newsletters",
            where="compose.unsubscribe",
            remedy='set it, or for notifications put Auto-Submitted = "auto-generated" into compose.headers',
        )
    _check_processes(job, findings)


def _check_processes(job: Job, findings: Findings) -> None:
    """Check that each sending process has a connection; those without are not started."""
    wanted, most = job.settings.delivery.processes, job.settings.delivery.connections
    if isinstance(wanted, int) and wanted > most and not job.rehearsal:
        findings.add(
            "warning",
            "idle-processes",
            f"{wanted} sending processes share {counted(most, 'connection')}, so only {most} of them are started",
            where="delivery.processes",
            remedy="set connections to at least the number of processes, or lower processes",
        )


def check_audience(job: Job, plan: Plan, findings: Findings) -> None:
    """Check rows that were set aside as invalid, with the commonest reasons; `send` refuses the same lists."""
    books, audience = plan.books, job.settings.audience
    if not books.invalid:
        return
    found, stops = invalid_rows(plan), too_many(books, audience)
    told, wrong = ", ".join(found.commonest(60)), found.remedy() or "fix them"
    lines = suggested_settings(audience, job.settings.base) if stops else []
    if len(lines) > 1:
        wrong = f"set under [audience] {' and '.join(lines)}"
    findings.take(
        Finding(
            "error" if stops else "warning",
            "invalid-rows",
            f"no letter for {books.invalid:,} invalid of {rows_text(books)}, such as: {told}",
            rows=found.lines,
            where=plan.source,
            remedy=f"{wrong}, or {permission(books)}" if stops else f"{wrong}; {LISTED}",
            count=books.invalid,
        )
    )


def check_survey(survey: Survey, lines: dict[str, list[int]], source: str, findings: Findings) -> None:
    """Report what is probably unintended. ``lines``: the first lines of each domain."""
    if survey.twice:
        _, column, text, meant = survey.twice[0]
        findings.take(
            Finding(
                "warning",
                "decoded-twice",
                f"{column} {text!r} was probably meant to be {meant!r}: the text was decoded twice",
                rows=[line for line, *_ in survey.twice],
                where=source,
                remedy="export the list as UTF-8 again, or set audience.encoding",
                count=survey.twice_count,
            )
        )
    for typo, meant in list(typo_hints(survey.domains).items())[:HINTS]:
        findings.take(
            Finding(
                "warning",
                "address-typo",
                f"{typo} was perhaps meant to be {meant}",
                rows=lines.get(typo, []),
                where=source,
                remedy="ask, or correct it",
                count=survey.domains[typo],
            )
        )
