"""Opening the templates for a check: what would stop a run at once is a finding here, and the check continues.

A variable that no row has is accepted, so that the rows whose branch uses it can be named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from campaign.audience.plan.plan_reader import Plan
from campaign.check.findings import ROWS_SHOWN, Finding, Findings
from campaign.compose.composer import Brief, Composer
from campaign.errors import ConfigError
from campaign.pipeline.command_context import Job
from campaign.pipeline.start.choose_run import sample

#: ``template:line: variable (did you mean …)``, as errors about undeclared names put it.
_MISSING = re.compile(r"(?P<place>\S.*:\d+): (?P<name>[^\W\d]\w*)(?: \((?P<hint>.*)\))?")


class Missing(msgspec.Struct, frozen=True):
    """A variable that no row has: its name, the places that use it, and a hint or ``""``."""

    name: str
    places: tuple[str, ...]
    hint: str


def composer_for_check(job: Job, plan: Plan, findings: Findings) -> tuple[Composer | None, list[Missing]]:
    """A composer for checking, inlined as `send` would choose; None if nothing can be rendered."""
    missing: dict[str, Missing] = {}
    try:
        composer = lenient(job.brief(plan.columns, 1), missing)
        inlining, why = composer.choose_inlining(list(sample(plan)))
    except ConfigError as error:
        where = error.evidence[0] if error.evidence else ""
        findings.add("error", "template", error.what, where=where, remedy=error.next_step)
        return None, list(missing.values())
    if inlining == "row":
        findings.add(
            "warning",
            "inlined-by-row",
            f"CSS is inlined row by row, which is slow: {why}",
            where="compose.inline_css",
            remedy="let no rule depend on what a row prints",
        )
        composer = Composer(composer.brief, inlining)
    return composer, list(missing.values())


def lenient(brief: Brief, missing: dict[str, Missing]) -> Composer:
    """A composer that treats unknown variables as columns and adds them to ``missing``. Raises ConfigError."""
    while True:
        try:
            return Composer(brief)
        except ConfigError as error:
            new = [one for one in missing_names(error.evidence) if one.name not in brief.columns]
            if not new:
                raise
            missing.update({one.name: one for one in new})
            brief = replace(brief, columns=(*brief.columns, *(one.name for one in new)))


def missing_names(evidence: Sequence[str]) -> list[Missing]:
    """The variables named in an error about a template; empty if it is about something else."""
    found: dict[str, Missing] = {}
    for line in evidence:
        if match := _MISSING.fullmatch(line):
            name, before = match["name"], found.get(match["name"])
            places = (*(before.places if before else ()), match["place"])
            found[name] = Missing(name, places, match["hint"] or (before.hint if before else ""))
    return list(found.values())


def add_missing(missing: Sequence[Missing], rows: dict[str, list[int]], findings: Findings) -> None:
    """A finding for each variable, with the rows whose letters use it."""
    for one in missing:
        hint = f" ({one.hint})" if one.hint else ""
        where, message = ", ".join(one.places), f"{{{{ {one.name} }}}} is no column{hint}"
        remedy = f"correct the name, or write {{{{ {one.name}|default('') }}}} where it may be missing"
        lines = rows.get(one.name, [])
        findings.take(
            Finding("error", "undefined-variable", message, lines[:ROWS_SHOWN], where, remedy, count=len(lines))
        )
