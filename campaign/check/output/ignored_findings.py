"""The findings that `[report] ignore` names: each must exist, and those for which `send` stops always count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from campaign.errors import ConfigError
from campaign.explain.explanation import explanations
from campaign.explain.find_explanation import closest
from campaign.pipeline.command_context import Job
from campaign.report.live.console import path_text

#: `send` refuses to begin, or its relay refuses it, where a check finds one of these.
STOPS_SEND = frozenset({"template", "undefined-variable", "invalid-rows", "relay", "relay-login", "too-late"})
#: Letters with one of these break a rule of mail or a promise of ours.
BREAKS_LETTERS = frozenset(
    {"bare-line-end", "eight-bit", "header-count", "line-long", "no-one-click", "to-differs", "unstable"}
)


def ignored_findings(job: Job) -> Mapping[str, str]:
    """The reason for each finding that does not count. Raises ConfigError naming those that cannot be ignored."""
    reasons = {one.finding: one.reason for one in job.settings.report.ignore}
    if mistakes := list(_mistakes(reasons)):
        raise ConfigError(
            "[report] ignore names findings that cannot be ignored.",
            evidence=mistakes,
            next_step=f"correct [report] ignore in {path_text(job.settings.file)}, then {job.command('check')}",
        )
    return reasons


def may_be_ignored(name: str) -> bool:
    """Whether letters can be sent, and may be, where a check finds ``name``."""
    return name not in STOPS_SEND | BREAKS_LETTERS


def _mistakes(reasons: Mapping[str, str]) -> Iterator[str]:
    known = [one.name for one in explanations() if one.kind == "finding"]
    for name in reasons:
        if name not in known:
            close = [one for one in closest(name) if one in known]
            yield f"{name}: no finding has this name" + (f"; did you mean {close[0]!r}?" if close else "")
        elif name in STOPS_SEND:
            yield f"{name}: send would stop for it"
        elif name in BREAKS_LETTERS:
            yield f"{name}: such letters must not be sent"
