"""The summary of a run: the check that its row counts balance, `summary.json`, and the tally for the terminal.

Everything comes from `RunFacts`; nothing is read back from files. `failed_csv` writes the tables; it is exported here
too, so that the end of a run needs one import.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from campaign.errors import CampaignError
from campaign.model import Books, Verdict
from campaign.report import formatting
from campaign.report.facts import FailedRow, ReplyTally, RunFacts
from campaign.report.failed_csv import write_failed, write_in_doubt
from campaign.report.feedback.feedback_text import feedback_json, feedback_lines
from campaign.report.live.event_console import error_facts
from campaign.report.report_file import replacing
from campaign.report.time_buckets import rebinned

__all__ = [
    "FailedRow", "balance", "books_text", "next_steps", "summary_json", "tally", "write_failed", "write_in_doubt",
    "write_summary",
]  # fmt: skip

NAME = "summary.json"
SCHEMA_VERSION = 1
SCREENS = ("invalid", "duplicate", "merged", "suppressed", "filtered", "already")
FAILED = (Verdict.REJECTED, Verdict.UNRENDERABLE, Verdict.CANCELLED, Verdict.EXPIRED)
TIMELINE_POINTS = 300
LONGEST_REASON = 100  # characters of a reply on the terminal; failed.csv and the report have all of it


def balance(books: Books, verdicts: Mapping[str, int]) -> list[str]:
    """What does not add up, one sentence each; empty when the row counts balance.

    rows read + further addresses of cells = invalid + duplicate + merged + suppressed + filtered + already + planned,
    and planned = the sum over the nine verdicts.
    """
    complaints = [f"{name} is {count}, below nothing" for name, count in _all(books, verdicts) if count < 0]
    complaints += [f"{name!r} is no verdict" for name in verdicts if name not in set(Verdict)]
    screened = books.planned + sum(getattr(books, name) for name in SCREENS)
    if books.read + books.further != screened:
        parts = " + ".join(f"{getattr(books, name):,} {name}" for name in (*SCREENS, "planned"))
        further = f" and {books.further:,} further addresses" if books.further else ""
        complaints.append(f"{books.read:,} rows{further} were read, but {parts} make {screened:,}")
    ended = sum(verdicts.values())
    if books.planned != ended:
        parts = " + ".join(f"{verdicts.get(name, 0):,} {formatting.verdict(name)}" for name in formatting.READING_ORDER)
        complaints.append(f"{books.planned:,} recipients were planned, but {parts} make {ended:,}")
    return complaints


def _all(books: Books, verdicts: Mapping[str, int]) -> list[tuple[str, int]]:
    rows = [(name, getattr(books, name)) for name in ("read", "further", *SCREENS, "planned")]
    return rows + [(formatting.verdict(name), count) for name, count in verdicts.items()]


def write_summary(folder: Path, facts: RunFacts) -> None:
    """Write ``summary.json`` (0600), as `summary.schema.json` beside this module describes it. Raises StorageError."""
    with replacing(folder / NAME) as stream:
        stream.write(json.dumps(summary_json(facts), ensure_ascii=False, indent=2) + "\n")


def summary_json(facts: RunFacts) -> dict[str, Any]:
    """``summary.json`` as plain values. It contains no recipient's address: they are removed from relays' texts."""
    complaints = balance(facts.books, facts.verdicts)
    return {
        "schema_version": SCHEMA_VERSION,
        "campaign": facts.campaign,
        "edition": facts.edition,
        "run": facts.run,
        "folder": facts.folder,
        "file": facts.file,
        "generation": facts.generation,
        "rehearsal": facts.rehearsal,
        "trace_id": facts.trace_id,
        "started": formatting.iso(facts.started),
        "ended": formatting.iso(facts.ended),
        "seconds": round(facts.seconds, 3),
        "passes": facts.passes,
        "exit_code": facts.exit_code,
        "balanced": not complaints,
        "complaints": complaints,
        "books": {name: getattr(facts.books, name) for name in ("read", "further", *SCREENS, "planned")},
        "verdicts": {name: facts.count(name) for name in Verdict},
        "domains": {domain: dict(counts) for domain, counts in facts.by_domain.items()},
        "replies": [_reply(one) for one in facts.by_reply],
        "latency_seconds": {name: round(value, 6) for name, value in facts.latency.items() if math.isfinite(value)},
        "timeline": _timeline(facts),
        "relays": dict(facts.relays),
        "settings": dict(facts.settings),
        "fingerprints": dict(facts.fingerprints),
        "notes": [formatting.without_addresses(note) for note in facts.notes],
        "feedback": feedback_json(facts.feedback) if facts.feedback else None,
    }


def ended_facts(facts: RunFacts, error: CampaignError | None = None) -> dict[str, Any]:
    """What `tally` says, for programs; the names are those of ``summary.json``. ``error`` ended the run early."""
    return {
        "exit_code": facts.exit_code,
        "run": facts.folder,
        "campaign": facts.campaign,
        "edition": facts.edition,
        "rehearsal": facts.rehearsal,
        "seconds": round(facts.seconds, 3),
        "books": {name: getattr(facts.books, name) for name in ("read", "further", *SCREENS, "planned")},
        "verdicts": {name: facts.count(name) for name in Verdict},
        "report": str(Path(facts.folder) / "report.html"),
        "error": error_facts(error.what, error.evidence, error.next_step, facts.exit_code) if error else None,
    }


def _reply(one: ReplyTally) -> dict[str, Any]:
    return {
        "code": one.code,
        "enhanced_code": one.enhanced,
        "verdict": one.verdict,
        "count": one.count,
        "reason": formatting.without_addresses(formatting.printable(one.reason)),
        "meaning": one.meaning,
        "advice": one.advice,
    }


def _timeline(facts: RunFacts) -> dict[str, Any]:
    width, bins = rebinned(facts.timeline, facts.bucket_seconds, TIMELINE_POINTS)
    return {
        "started": formatting.iso(bins[0].at) if bins else None,
        "bucket_seconds": width,
        "accepted": [one.accepted for one in bins],
        "deferred": [one.deferred for one in bins],
        "rejected": [one.rejected for one in bins],
    }


def tally(facts: RunFacts, error: CampaignError | None = None) -> str:
    """The text that ends a run on the terminal: verdicts, row counts, where the report is, what to type next.

    ``error`` is the one that ended the run early: it is printed once, in the form of every error, and not repeated as
    the last note.
    """
    notes = facts.notes[:-1] if error else facts.notes
    told = [error.what, *(f"  {line}" for line in error.evidence)] if error else []
    blocks = [_headline(facts), _verdict_table(facts), _facts_lines(facts, notes)]
    blocks += [told + _next_after(error, facts) if error else _next_lines(facts)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _headline(facts: RunFacts) -> list[str]:
    edition = f" {facts.edition}" if facts.edition else ""
    accepted, planned = facts.count(Verdict.ACCEPTED), facts.books.planned
    pace = f" at {formatting.rate_text(accepted / facts.seconds)}" if accepted and facts.seconds else ""
    nothing = "nobody was left to serve" if not planned else f"{accepted:,} of {planned:,} accepted"
    return [f"{facts.campaign}{edition}: {nothing}, {formatting.duration_text(facts.seconds)}{pace}"]


def _verdict_table(facts: RunFacts) -> list[str]:
    seen = [name for name in formatting.READING_ORDER if facts.count(name) or name == Verdict.ACCEPTED]
    width = max(len(formatting.grouped(facts.count(name))) for name in seen)
    return [
        f"  {formatting.verdict(name):<13}{formatting.grouped(facts.count(name)):>{width}}"
        f"  {formatting.percentage(facts.count(name), facts.books.planned):>7}"
        for name in seen
        if facts.books.planned
    ]


def _facts_lines(facts: RunFacts, notes: Sequence[str]) -> list[str]:
    complaints = balance(facts.books, facts.verdicts)
    lines = [f"Books   {books_text(facts.books)}{'' if complaints else '; they balance'}"]
    lines += [f"        THE BOOKS DO NOT BALANCE: {one}" for one in complaints]
    lines += [f"Note    {formatting.printable(note)}" for note in notes]
    lines.append(f"Report  {Path(facts.folder) / 'report.html'}")
    if facts.settings.get("relay") == "mailbox":
        nobody = "; a rehearsal: nobody got one" if facts.rehearsal else ""
        lines.append(f"Letters {Path(facts.folder) / 'mailbox'}, a Maildir{nobody}")
    return lines + _failed_line(facts) + (feedback_lines(facts.feedback) if facts.feedback else [])


def books_text(books: Books) -> str:
    """``9 rows read = 2 already + 7 planned``; ``9 rows read + 1 further address = 10 planned``."""
    parts = [f"{getattr(books, name):,} {name}" for name in SCREENS if getattr(books, name)]
    planned = [f"{books.planned:,} planned"] if books.planned or not parts else []
    return f"{rows_text(books, ' read')} = {' + '.join([*parts, *planned])}"


def rows_text(books: Books, read: str = "") -> str:
    """``9 rows``, and how many further addresses their cells have, if any."""
    further = f" + {formatting.counted(books.further, 'further address', 'further addresses')}" if books.further else ""
    return f"{formatting.counted(books.read, 'row')}{read}{further}"


def _failed_line(facts: RunFacts) -> list[str]:
    """The path of the failed rows, and the commonest reason."""
    if not any(facts.count(verdict) for verdict in FAILED):
        return []
    why = max((one for one in facts.by_reply if one.verdict in FAILED), key=lambda one: one.count, default=None)
    said = formatting.without_addresses(formatting.printable(why.reason)) if why else ""
    most = f"; {why.count:,} because: {said[:LONGEST_REASON]}" if why and said else ""
    return [f"Failed  {Path(facts.folder) / 'failed.csv'}{most}"]


def _next_lines(facts: RunFacts) -> list[str]:
    lines = [line for command, why in next_steps(facts) for line in (f"        {why}:", f"          {command}")]
    return [f"Next    {lines[0].strip()}", *lines[1:]] if lines else []


def _next_after(error: CampaignError, facts: RunFacts) -> list[str]:
    steps = [line for command, why in next_steps(facts) for line in (f"      {why}:", f"        {command}")]
    return [f"Next: {error.next_step}" + (";" if error.next_step and steps else ""), *steps]


def next_steps(facts: RunFacts) -> list[tuple[str, str]]:
    """The commands to type now: (command, why) for each situation this run ended in; empty if nothing is left to do."""
    run, again = shlex.quote(facts.folder), facts.command("send")
    left = facts.count(Verdict.DEFERRED) + facts.count(Verdict.WAITING)
    if balance(facts.books, facts.verdicts):
        return [(f"campaign repair {run} --dry-run", "keep this folder as it is; this says what the journal holds")]
    steps = []
    if facts.exit_code == 5:
        steps.append((f"campaign resume {run}", f"release it; {formatting.grouped(left)} still to go"))
    elif facts.exit_code in (69, 77):
        why = "to try the relay" if facts.exit_code == 69 else "to try the login once, when it is corrected"
        steps += [(facts.command("check"), why), (again, "then to go on where it stopped")]
    elif left:
        steps.append((again, f"go on; {formatting.grouped(left)} deferred or waiting"))
    ended = [] if left else [*_failures(facts), *_invalid(facts)]
    return steps + _doubts(facts, run) + ended


def _invalid(facts: RunFacts) -> list[tuple[str, str]]:
    count = facts.books.invalid
    if not count:
        return []
    where = Path(facts.folder) / "screened.csv"
    why = f"{formatting.counted(count, 'invalid row')} got no letter: see {where}, fix the list, then send it to them"
    return [(facts.command("send"), why)]


def _doubts(facts: RunFacts, run: str) -> list[tuple[str, str]]:
    count = facts.count(Verdict.IN_DOUBT)
    if not count:
        return []
    why = "listed in in-doubt.csv; settle those whose Message-ID is in the relay's log"
    return [
        (f"campaign resolve {run} --accepted LOG", f"{count:,} in doubt, {why}"),
        (f"{facts.command('retry')} --in-doubt", "or send them once more; some may get it twice"),
    ]


def _failures(facts: RunFacts) -> list[tuple[str, str]]:
    failed = facts.count(Verdict.REJECTED) + facts.count(Verdict.UNRENDERABLE)
    alive = max(0, failed - facts.dead)
    if not alive:
        return []
    besides = f"; {facts.dead:,} more are dead and in suppressed.csv" if facts.dead else ""
    why = f"{alive:,} failed: see failed.csv, correct what can be corrected, try those again{besides}"
    return [(facts.command("retry"), why)]
