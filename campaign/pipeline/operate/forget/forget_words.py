"""The answer of `campaign forget`, as lines for people and as facts for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from campaign.pipeline.operate.forget.erase_person import ForgetResult
from campaign.report.formatting import counted

#: Kind of thing -> its singular and plural, in the order in which they are told.
KINDS = {
    "planned letters": ("planned letter", "planned letters"),
    "letters withdrawn": ("letter that waited, withdrawn", "letters that waited, withdrawn"),
    "journal records": ("journal record", "journal records"),
    "events": ("event of feedback", "events of feedback"),
    "table rows": ("row of a table", "rows of tables"),
    "letters": ("file of a rehearsal or a preview", "files of rehearsals and previews"),
    "texts": ("other file", "other files"),
    "values of others": ("planned letter of somebody else, masked", "planned letters of others, masked"),
    "leftovers": ("leftover of a killed process", "leftovers of killed processes"),
}
LISTED = 10
ELSEWHERE = "every other machine erases its own copies at its next command that asks the store"


def forget_lines(result: ForgetResult) -> list[str]:
    """What was erased, and what is not ours to erase."""
    lines = _done_lines(result)
    if result.suppressed:
        lines.append("stays suppressed, by a hash of the address (SHA-256)")
    if result.in_doubt:
        doubts = counted(result.in_doubt, "letter is", "letters are")
        lines.append(f"{doubts} in doubt: kept by number and Message-ID, and never sent again")
    if result.listed:
        shown = ", ".join(result.listed[:LISTED]) + (" …" if len(result.listed) > LISTED else "")
        lines.append(f"still in your own list, which only you change: {shown}")
    lines += result.notes
    for path, why in result.left.items():
        lines.append(f"still named in {path}: {why}")
    return lines


def forget_facts(result: ForgetResult) -> dict[str, Any]:
    """The same for JSON; it does not repeat the address."""
    return {
        "dry_run": result.dry_run,
        "changed": _changed(result.counts),
        "stored": None if result.stored is None else _changed(result.stored),
        "suppressed": result.suppressed,
        "in_doubt": result.in_doubt,
        "listed": result.listed,
        "left": result.left,
        "notes": result.notes,
    }


def _changed(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind.replace(" ", "_"): counts.get(kind, 0) for kind in KINDS}


def _done_lines(result: ForgetResult) -> list[str]:
    done = "would be erased" if result.dry_run else "erased"
    here = [f"{done} on this machine:" if result.stored else f"{done}:", *_told(result.counts)]
    stored = [f"{done} in the store:", *_told(result.stored or {})]
    lines = (stored if len(stored) > 1 else []) + (here if len(here) > 1 else [])
    if not lines:
        return ["Nothing that this ledger keeps names this address."]
    return [*lines, *([ELSEWHERE] if len(stored) > 1 else [])]


def _told(counts: Mapping[str, int]) -> list[str]:
    return [f"  {counted(counts[kind], *words)}" for kind, words in KINDS.items() if counts.get(kind)]
