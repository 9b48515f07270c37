"""Findings as workflow commands of GitHub Actions, which shows them as annotations of files."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.check.findings import Finding, Findings
from campaign.check.output.finding_place import finding_place, finding_text
from campaign.config import Settings
from campaign.errors import CampaignError
from campaign.report.printed_commands import typeable

KINDS = {"error": "error", "warning": "warning", "unverified": "notice"}


def github_annotations(findings: Findings, settings: Settings, everybody: int) -> Iterator[str]:
    """One line for each finding; what is ignored is a notice that repeats the reason."""
    for one in findings:
        yield _command(KINDS[one.severity], one, settings, finding_text(one, everybody))
    for one, reason in findings.ignored:
        yield _command("notice", one, settings, f"ignored ({reason}): {finding_text(one, everybody)}")


def failure_annotation(error: CampaignError) -> str:
    """The line of an error that ended the check before there were findings."""
    parts = [error.what, *error.evidence, f"Next: {error.next_step}" if error.next_step else ""]
    return f"::error title=campaign check::{_data(' · '.join(filter(None, map(typeable, parts))))}"


def _command(kind: str, one: Finding, settings: Settings, text: str) -> str:
    place = finding_place(one, settings)
    line = f",line={place.line}" if place.line else ""
    return f"::{kind} file={_property(place.file)}{line},title={_property(one.code)}::{_data(text)}"


def _data(text: str) -> str:
    """Escape what would end a command or begin another one."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
