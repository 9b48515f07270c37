"""`campaign collect` on one page: read each source, store its events, settle letters in doubt, export suppression."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path

import msgspec

from campaign.config import Settings
from campaign.config.feedback import FeedbackSourceSection
from campaign.delivery.replies.bounce_meaning import bounce_meaning
from campaign.delivery.replies.classify import Rules
from campaign.errors import CampaignError, ConfigError
from campaign.exit_codes import ExitCode, first_of, of_error
from campaign.feedback.feedback_source import FeedbackSource
from campaign.ledger.feedback.feedback_store import read_events
from campaign.pipeline.collect.collect_lock import collecting
from campaign.pipeline.collect.collect_tally import CollectTally
from campaign.pipeline.collect.find_recipient import RecipientFinder
from campaign.pipeline.collect.judge_notice import WEBHOOK, Judge
from campaign.pipeline.collect.open_sources import (
    STANDARD_INPUT,
    believed_as,
    opened_source,
    tells_of_all_mail,
)
from campaign.pipeline.collect.read_source import SourceReader
from campaign.pipeline.collect.sent_runs import sent_runs
from campaign.pipeline.collect.why_unrecognised import WhyUnrecognised
from campaign.pipeline.command_context import Job, prepare
from campaign.pipeline.serve.gc_tuning import seldom
from campaign.pipeline.workers.feedback.shared_feedback import collecting_alone, event_store, share_feedback
from campaign.report.live.console import Console, path_text
from campaign.report.live.step_progress import StepProgress

SAME_WORDS = 4_096  #: cached judgements of replies, because many recipients get the same text
PIPE_PATIENCE = 20.0  #: seconds that a message on standard input waits for another collect to end


class Collected(msgspec.Struct, frozen=True):
    """The exit code and the counts of a collect."""

    code: ExitCode
    tally: CollectTally


@seldom()
def collect(settings: Settings, urls: tuple[str, ...], console: Console) -> Collected:
    """Read all sources of the campaign file, or only those that ``urls`` names; ``-`` is standard input.

    If a source fails, the others are still read. Raises ConfigError if there is nothing to read, UnfinishedError if
    another process collects, StorageError and DamageError of the store.
    """
    began, job = time.monotonic(), prepare(settings)
    sources = chosen_sources(job, urls)
    piped = [one.url for one in sources] == [STANDARD_INPUT]
    patience = PIPE_PATIENCE if piped else 0.0
    with collecting(job.directory, patience=patience) as folder, collecting_alone(job, patience):
        fetch_runs(job, refresh=not piped)
        tally = read_all(job, sources, folder, console)
        follow_up(job, tally, piped=piped)
    if not piped:  # without the lock, so that no other message waits for it
        write_reports(job, tally)
    for error in tally.failures:
        console.tell(str(error))
    console.say(tally.text(time.monotonic() - began))
    return Collected(first_of(map(of_error, tally.failures)), tally)


def chosen_sources(job: Job, urls: tuple[str, ...]) -> tuple[FeedbackSourceSection, ...]:
    """The campaign file's sources, or the requested ones. Raises ConfigError."""
    known = {one.url: one for one in job.settings.feedback.source}
    file = path_text(job.settings.file)
    if not known and not urls:
        raise ConfigError(
            "This campaign reads no feedback: it names no source of it.",
            evidence=file,
            next_step='write [[feedback.source]] with url = "imaps://user@host/INBOX", or another; docs/feedback.md',
        )
    known.setdefault(STANDARD_INPUT, FeedbackSourceSection(url=STANDARD_INPUT))
    for url in urls:
        if url not in known:
            raise ConfigError(
                f"{url} is no source of this campaign.",
                evidence=[f"{file} has {one}" for one in known if one != STANDARD_INPUT],
                next_step="name one of these as it stands there, or - for a message on standard input",
            )
    return tuple(known[url] for url in urls) if urls else job.settings.feedback.source


def fetch_runs(job: Job, *, refresh: bool) -> None:
    """With a store, have copies of the campaign's runs here, in which the recipients are found."""
    if job.settings.ledger.store:
        from campaign.pipeline.workers.stored_run import fetch_copies

        fetch_copies(job, refresh=refresh)


def read_all(job: Job, sources: tuple[FeedbackSourceSection, ...], folder: Path, console: Console) -> CollectTally:
    """Read all sources into the store. Raises StorageError or DamageError of the store."""
    tally = CollectTally(sources=len(sources))
    finder, rehearsals = recipient_finder(job), cache(partial(recipient_finder, job, rehearsals=True))
    rules = Rules.load(job.settings.delivery.reply_rules)
    meaning = lru_cache(SAME_WORDS)(partial(bounce_meaning, rules))
    with event_store(job) as store:
        for section in sources:
            theirs = tells_of_all_mail(section)
            believed = believed_as(section)
            only_ours = believed not in ("", WEBHOOK)  # a webhook also reports all other mail of its account
            find = partial(finder.find, relays_own=theirs, believed=only_ours)
            with open_for_reading(section, job, folder, tally) as source:
                if source is not None:
                    explain = WhyUnrecognised(section, rehearsals).explain
                    judge = Judge(source.name, meaning, find, time.time, not theirs, believed, explain)
                    with StepProgress(console, size_of(source), "read", "message") as meter:
                        SourceReader(store, judge.judged, tally, meter.at).read(source)
    return tally


def recipient_finder(job: Job, *, rehearsals: bool = False) -> RecipientFinder:
    """Finds recipients of the ledger's runs, or of its ``rehearsals``."""
    runs = sent_runs(job.directory, job.secret, rehearsals=rehearsals)
    return RecipientFinder(runs, job.secret, job.settings.campaign.name, job.settings.compose.unsubscribe_id)


def size_of(source: FeedbackSource) -> int | None:
    """The number of items to read, for progress; None on an error, which is reported when the source is read."""
    try:
        return source.size()
    except CampaignError:
        return None


@contextmanager
def open_for_reading(
    section: FeedbackSourceSection, job: Job, folder: Path, tally: CollectTally
) -> Iterator[FeedbackSource | None]:
    """The source, closed afterwards; None if it cannot be opened, which goes into the tally."""
    try:
        source = opened_source(section, job.settings, folder, sys.stdin.buffer)
    except CampaignError as error:
        tally.failures.append(error)
        yield None
        return
    try:
        yield source
    finally:
        source.close()


def follow_up(job: Job, tally: CollectTally, *, piped: bool) -> None:
    """Settle letters in doubt, and export the list of suppressed addresses.

    After a ``piped`` message both are left to the next full collect or run, because a mail server is waiting.
    """
    if piped:
        return
    from campaign.ledger.feedback.suppressed_csv import read_list
    from campaign.pipeline.collect.settle_doubts import settle_doubts, taken_letters
    from campaign.pipeline.operate.suppressed_export import export_suppressed

    tally.settled, failures = settle_doubts(job.directory, taken_letters(read_events(job.directory)))
    tally.failures += failures
    export_suppressed(job.directory, job.settings)
    share_feedback(job)  # also the lines that people added to the list
    tally.left_out = sum(1 for _ in read_list(job.directory))


def write_reports(job: Job, tally: CollectTally) -> None:
    """Write the report again of each run about which more has come back than it shows."""
    from campaign.pipeline.finish.refresh_reports import refresh_reports

    tally.reports, failures = refresh_reports(job.directory, read_events(job.directory))
    tally.failures += failures
