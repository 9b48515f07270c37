"""Findings as SARIF 2.1.0 (OASIS), which code scanners and editors read."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from campaign.check.findings import Finding, Findings
from campaign.check.output.finding_place import finding_place, finding_text
from campaign.config import Settings
from campaign.explain.find_explanation import find_explanations

SCHEMA_ADDRESS = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "unverified": "note"}


def sarif_log(findings: Findings, settings: Settings, everybody: int, version: str) -> dict[str, Any]:
    """The log of one check; what is ignored is a suppressed result with its reason."""
    told = [(one, "") for one in findings] + list(findings.ignored)
    codes = list(dict.fromkeys(one.code for one, _ in told))
    driver = {"name": "campaign", "version": version, "rules": [_rule(code) for code in codes]}
    return {
        "$schema": SCHEMA_ADDRESS,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, codes.index(one.code), reason, settings, everybody) for one, reason in told],
            }
        ],
    }


def _rule(code: str) -> dict[str, Any]:
    """A finding as the docs explain it."""
    known = [one for one in find_explanations(code) if one.kind == "finding"]
    rule: dict[str, Any] = {"id": code}
    for one in known:
        rule["shortDescription"] = {"text": one.means}
        rule["help"] = {"text": f"{one.remedy} ({one.page})"}
    return rule


def _result(one: Finding, rule: int, reason: str, settings: Settings, everybody: int) -> dict[str, Any]:
    place = finding_place(one, settings)
    at: dict[str, Any] = {"artifactLocation": {"uri": _uri(place.file)}}
    if place.line:
        at["region"] = {"startLine": place.line}
    result: dict[str, Any] = {
        "ruleId": one.code,
        "ruleIndex": rule,
        "level": LEVELS[one.severity],
        "message": {"text": finding_text(one, everybody)},
        "locations": [{"physicalLocation": at}],
    }
    if reason:
        result["suppressions"] = [{"kind": "external", "justification": reason}]
    return result


def _uri(file: str) -> str:
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
