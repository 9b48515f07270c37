"""Formats the answers of `suppression_answers.py` as lines for people and as facts for JSON."""

from __future__ import annotations

from typing import Any

from campaign.feedback.suppression_rules import SuppressedFor, SuppressionEntry
from campaign.model import FeedbackEvent
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.suppressed_export import reason_text
from campaign.pipeline.operate.suppression_answers import SuppressionAnswer, SuppressionOverview, stamp_text
from campaign.pipeline.operate.suppression_view import WORDS, day_text, entry_in_words, reason_words
from campaign.report.formatting import counted, moment

#: Characters of a server's text in a line of the overview.
LONGEST = 60
HASH_ALONE = "only a hash of this address was kept: it was forgotten (campaign forget), or a list has it so"


def overview_lines(job: Job, found: SuppressionOverview) -> list[str]:
    """Counts by reason, and the newest entries."""
    total = sum(found.counts.values())
    if not total:
        return ["nobody is left out because of what came back"]
    lines = [f"{counted(total, 'address', 'addresses')} left out because of what came back"]
    lines += [f"  {WORDS[SuppressedFor(name)]:<14}{count:>10,}" for name, count in found.counts.items()]
    lines.append("newest:")
    for entry in found.newest:
        said = reason_text(entry)[:LONGEST]
        lines.append(f"  {day_text(entry.since)}  {reason_words(entry):<14}  {entry.address}  {said}")
    return [*lines, f"why one of them: {job.command('suppression')} --why ADDRESS"]


def overview_facts(found: SuppressionOverview) -> dict[str, Any]:
    """The same for JSON."""
    newest = [_entry_facts(entry) for entry in found.newest]
    return {"left_out": sum(found.counts.values()), "reasons": found.counts, "newest": newest}


def answer_lines(job: Job, found: SuppressionAnswer) -> list[str]:
    """Why an address is left out or not, and all feedback about it."""
    lines = []
    if found.entry:
        lines.append(f"{found.address} is left out: {entry_in_words(found.entry)}, {_until(found.entry)}")
        if _kept_as_hash(found.address, found.entry):
            lines.append(HASH_ALONE)
    if found.listed:
        lines.append(f"{found.address} is {found.listed}")
    if not lines:
        lines.append(f"{found.address} is not left out")
    for event, how in found.events:
        lines += _event_lines(event, how)
    if not found.events:
        lines.append("  nothing has come back about it")
    if found.entry:
        lines.append(f"to write to it again: {job.command('suppression')} --release {found.address}")
    return lines


def answer_facts(found: SuppressionAnswer) -> dict[str, Any]:
    """The same for JSON: ``counts`` of an event says how it counts."""
    events = [{**_event_facts(event), "counts": how} for event, how in found.events]
    left_out = _entry_facts(found.entry) if found.entry else None
    return {"address": found.address, "left_out": left_out, "listed": found.listed or None, "events": events}


def release_lines(asked: str, undone: SuppressionEntry) -> list[str]:
    """What the release of the address ``asked`` undid, with a warning if the person had asked for no more letters."""
    by_hash = _kept_as_hash(asked, undone)
    lines = [
        f"{asked if by_hash else undone.address} is released; that undid: {entry_in_words(undone)}, {_until(undone)}"
    ]
    if by_hash:
        lines += [
            HASH_ALONE,
            "its next row in a list gets a letter, in every campaign of the ledger; what was erased stays erased",
        ]
    if undone.reason in (SuppressedFor.COMPLAINT, SuppressedFor.UNSUBSCRIBE):
        lines.append("this person asked for no more letters: write again only if they have asked for them since")
    return lines


def release_facts(undone: SuppressionEntry) -> dict[str, Any]:
    """The same for JSON."""
    return {"address": undone.address, "undone": _entry_facts(undone)}


def _kept_as_hash(asked: str, entry: SuppressionEntry) -> bool:
    """Whether the entry holds the hash of the address ``asked`` instead of the address."""
    return "@" in asked and "@" not in entry.address


def _event_lines(event: FeedbackEvent, how: str) -> list[str]:
    codes = [code for code in (str(event.code or ""), event.enhanced) if code not in event.diagnostic]
    said = " ".join(filter(None, (*codes, event.diagnostic)))
    where = ", ".join(filter(None, (event.source, event.run, event.mta)))
    head = f"  {moment(event.at or event.seen)}  {event.outcome} {event.reason}".rstrip()
    return [head, *(f"    {text}" for text in (said, f"read from {where}", how) if text)]


def _entry_facts(entry: SuppressionEntry) -> dict[str, Any]:
    until = None if entry.until is None else stamp_text(entry.until)
    return {"address": entry.address, "reason": entry.reason, "since": stamp_text(entry.since), "until": until}


def _event_facts(event: FeedbackEvent) -> dict[str, Any]:
    facts = {name: value for name, value in event._asdict().items() if value not in ("", 0)}
    return {**facts, "at": stamp_text(event.at or event.seen), "seen": stamp_text(event.seen)}


def _until(entry: SuppressionEntry) -> str:
    return "permanently" if entry.until is None else f"until {day_text(entry.until)}"
