"""Checks of bounces and unsubscribing by mail: whether they come back identifiable, and whether they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from campaign.check.config_checks import domain_of, may_align
from campaign.check.findings import Findings
from campaign.config.feedback import SERVERS, FeedbackSourceSection
from campaign.config.units import TOKEN, is_template
from campaign.delivery.relays.presets import ReturnPath
from campaign.delivery.relays.relay_rewrites import return_paths
from campaign.pipeline.command_context import Job

RETURN_PATH, MAILTO = "campaign.return_path", "compose.unsubscribe_mailto"
_FOLDERS = ("maildir:", "mbox:", "-")


def check_feedback(job: Job, findings: Findings) -> None:
    """Check whether what comes back is read, and identifies its recipient."""
    settings = job.settings
    mailboxes = [one for one in settings.feedback.source if one.url.startswith((*SERVERS, *_FOLDERS))]
    path, mailto = settings.campaign.return_path or "", settings.compose.unsubscribe_mailto
    relays = {} if job.rehearsal else return_paths(settings.delivery)
    if TOKEN in path:
        _relays_that_take_no_token(relays, findings)
    elif mailboxes and relays and all(habit in ("kept", None) for habit in relays.values()):
        _no_token(path or settings.campaign.sender.address, findings)
    for setting, address in ((RETURN_PATH, path), (MAILTO, mailto.removeprefix("mailto:").partition("?")[0])):
        if TOKEN in (path if setting == RETURN_PATH else mailto):
            _readers(setting, domain_of(address), mailboxes, findings)


def _relays_that_take_no_token(relays: Mapping[str, ReturnPath | None], findings: Findings) -> None:
    for host, habit in relays.items():
        if habit == "rewritten":
            findings.add(
                "warning",
                "return-path-rewritten",
                f"{host} puts a return path of its own into each letter, so bounces do not come back to {TOKEN}",
                where=RETURN_PATH,
                remedy=f"leave {TOKEN} out, and name what this relay reports to (a queue, a provider's list, events: "
                "or a mailbox) under [[feedback.source]]",
            )
        elif habit == "own":
            findings.add(
                "error",
                "return-path-refused",
                f"{host} takes letters with the account's own address as return path, and refuses one with {TOKEN}",
                where=RETURN_PATH,
                remedy=f"leave {TOKEN} out; a bounce that brings the letter back still tells whose it was",
            )


def _no_token(address: str, findings: Findings) -> None:
    local, _, domain = address.rpartition("@")
    local = "bounces" if is_template(local) else local
    findings.add(
        "warning",
        "return-path-constant",
        "a bounce that does not bring the letter back cannot be told from any other, as all come to one address",
        where=RETURN_PATH,
        remedy=f'set return_path = "{local}+{TOKEN}@{domain}" where that mailbox takes what stands behind a plus, '
        "or leave it so",
    )


def _readers(setting: str, domain: str, mailboxes: Iterable[FeedbackSourceSection], findings: Findings) -> None:
    """Check that a mailbox is read in which letters to ``domain`` can arrive."""
    domains = [_domain_of_mailbox(one.url) for one in mailboxes]
    if not domains:
        findings.add(
            "warning",
            "token-unread",
            f"letters to {TOKEN}@{domain} say whom they are about, and no mailbox is read for them",
            where=setting,
            remedy=f'name it under [[feedback.source]], such as url = "imaps://bounces@{domain}"',
        )
    elif all(domains) and not any(may_align(one, domain) for one in domains):
        findings.add(
            "warning",
            "token-elsewhere",
            f"what comes back goes to {domain}, and what is read lies at {' and '.join(sorted(set(domains)))}",
            where=setting,
            remedy="write an address of such a mailbox, or read the one at that domain",
        )


def _domain_of_mailbox(url: str) -> str:
    """The domain of the mailbox's address, or ``""`` if its URL does not contain it."""
    user = unquote(urlsplit(url).username or "") if url.startswith(SERVERS) else ""
    return domain_of(user) if "@" in user else ""
