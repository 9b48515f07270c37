"""What a command says before it sends: which run this is, what was found in it, or why nobody is left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict

from campaign.delivery.relays.relay_rewrites import drops_second_copies
from campaign.model import Books, Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.start.already_served import FAILED
from campaign.pipeline.start.choose_run import ChosenRun
from campaign.pipeline.start.nothing_to_retry import nothing_to_retry
from campaign.pipeline.start.past_runs import kind_in_words, newest
from campaign.report.formatting import counted, duration_text
from campaign.report.live.console import Console, path_text
from campaign.report.summary import books_text, rows_text


def announce(run: OpenRun, console: Console) -> None:
    """Print which run this is and what was found in it."""
    job, chosen, plan = run.job, run.chosen, run.plan
    tally = run.history.tally()
    if kind := kind_in_words(job, new=not chosen.continued):
        console.say(kind)
    for note in (*chosen.notes, *run.checkpoint.notices):
        console.say(note)
    if not chosen.continued:
        console.planned(
            f"new run {path_text(chosen.folder)}: {counted(plan.size, 'recipient')} planned of "
            f"{rows_text(plan.books, ' read')}",
            planned_facts(job, chosen, tally),
        )
        return
    settled = plan.size - tally["waiting"] - tally["deferred"] - tally["in_doubt"]
    console.planned(
        f"continuing run {path_text(chosen.folder)}: {settled:,} of {plan.size:,} settled earlier, "
        f"{tally['in_doubt']:,} in doubt, {tally['waiting'] + tally['deferred']:,} to go",
        planned_facts(job, chosen, tally),
    )
    if tally["in_doubt"]:
        console.say(f"in doubt: {DOUBT_WORDS[job.settings.ledger.in_doubt]}")
        if job.settings.ledger.in_doubt == "resend" and (told := dropped_twice(run, time.time())):
            console.say(told)


def planned_facts(job: Job, chosen: ChosenRun, verdicts: Mapping[str, int]) -> dict[str, object]:
    """Which run this is and what was found in it, for programs."""
    return {
        "run": path_text(chosen.folder),
        "campaign": job.settings.campaign.name,
        "edition": job.edition,
        "continued": chosen.continued,
        "rehearsal": job.rehearsal,
        "recipients": chosen.plan.size,
        "books": asdict(chosen.plan.books),
        "verdicts": dict(verdicts),
    }


def dropped_twice(run: OpenRun, now: float) -> str:
    """For which letters in doubt the relay itself drops a second copy, in a sentence; ``""`` if for none."""
    seconds = drops_second_copies(run.job.settings.delivery)
    doubts = list(run.history.numbers(Verdict.IN_DOUBT))
    safe = sum(now - run.history.dates[number] < seconds for number in doubts)
    if not safe:
        return ""
    return (
        f"  {safe:,} of these {counted(len(doubts), 'letter')} cannot arrive twice: the relay drops a second copy "
        f"within {duration_text(seconds)}"
    )


def nobody_left(job: Job, books: Books, *, retry: bool) -> str:
    """The message for an empty run: where the rows went, and what the newest run still leaves to the operator."""
    text = "Nobody is left to be served: everybody in the list has a verdict in this edition, or is screened out."
    rows = books_text(books)
    text = nothing_to_retry(job, rows) if retry else f"{text}\n  {rows}"
    if not books.already and not retry:
        text += "\nNext: look at where and suppress under [audience]; nobody of this list has been served yet"
    if job.rehearsal:
        text += (
            f"\n  this is a rehearsal; to send the letters: campaign send {path_text(job.settings.file)} --relay URL"
        )
    last, history = newest(job)
    tally = history.tally() if history else {}
    failed, doubts = sum(tally.get(verdict, 0) for verdict in FAILED), tally.get(Verdict.IN_DOUBT, 0)
    if failed and retry:
        text += (
            f"\n  {failed:,} failed, and none of them can be tried again: their addresses are suppressed "
            f"(see {job.command('suppression')} --why ADDRESS) or not in the list any more"
        )
    elif failed:
        text += f"\n  {failed:,} failed; to try them again: {job.command('retry')}"
    if doubts and last:
        text += f"\n  {doubts:,} in doubt; from the relay's log: campaign resolve {path_text(last)} --accepted LIST"
    return text


DOUBT_WORDS = {
    "hold": "they are listed and not sent again (in_doubt = hold); the others go on",
    "resend": "they are sent again with the same Message-ID and bytes (in_doubt = resend)",
    "skip": "they are never sent again (in_doubt = skip)",
}
