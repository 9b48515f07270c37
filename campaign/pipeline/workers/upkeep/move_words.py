"""The answer of `campaign move`, as lines for people and as facts for JSON."""

from __future__ import annotations

from typing import Any

from campaign.model import Verdict
from campaign.pipeline.workers.upkeep.move_campaign import MovedEdition, MoveResult
from campaign.report.formatting import counted
from campaign.report.live.console import path_text


def move_lines(result: MoveResult) -> list[str]:
    """What was moved, edition by edition, and what to type next."""
    if not result.editions:
        return [f"There are no runs on files to move; the store is {result.store}."]
    would, again = ("would be moved to", "move") if result.dry_run else ("moved to", "send")
    lines = [f"{would} {result.store}:", *(f"  {_edition_line(one)}" for one in result.editions)]
    lines.append(f"  {counted(result.events, 'event')} of what came back")
    return [*lines, f"Next: campaign {again} {path_text(result.file)}"]


def move_facts(result: MoveResult) -> dict[str, Any]:
    """The same for JSON."""
    editions = [
        {
            "edition": one.edition,
            "runs": one.runs,
            "unfinished": one.unfinished or None,
            "verdicts": dict(one.verdicts),
        }
        for one in result.editions
    ]
    return {"dry_run": result.dry_run, "store": result.store, "events": result.events, "editions": editions}


def _edition_line(one: MovedEdition) -> str:
    waiting = one.verdicts[Verdict.WAITING] + one.verdicts[Verdict.DEFERRED]
    told = [counted(one.runs, "run"), counted(sum(one.verdicts.values()), "recipient")]
    told += [f"{one.verdicts[Verdict.ACCEPTED]:,} accepted", f"{waiting:,} waiting"]
    told.append(f"{one.verdicts[Verdict.IN_DOUBT]:,} in doubt")
    name = f"edition {one.edition}" if one.edition else "without an edition"
    return f"{name}: {', '.join(told)}" + (f"; {one.unfinished} is unfinished" if one.unfinished else "")
