"""The answer of `campaign forget`, as lines for people and as facts for JSON."""

from __future__ import annotations

from typing import Any

from campaign.pipeline.operate.forget.forget_person import ForgetResult
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
        "changed": {kind.replace(" ", "_"): result.counts[kind] for kind in KINDS},
        "suppressed": result.suppressed,
        "in_doubt": result.in_doubt,
        "listed": result.listed,
        "left": result.left,
        "notes": result.notes,
    }


def _done_lines(result: ForgetResult) -> list[str]:
    told = [counted(result.counts[kind], *words) for kind, words in KINDS.items() if result.counts[kind]]
    if not told:
        return ["Nothing that this ledger keeps names this address."]
    return ["would be erased:" if result.dry_run else "erased:", *(f"  {one}" for one in told)]
