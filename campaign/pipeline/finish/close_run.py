"""Closing a run: the facts, collected from plan and journal in two streams, and the files written from them.

`campaign report` calls it again later. It makes no decision about recipients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from campaign.audience.plan.forgotten_rows import is_forgotten
from campaign.audience.plan.plan_reader import Plan
from campaign.audience.sources.kept_lists.https_list import shown_source
from campaign.config.ledger import InDoubt
from campaign.delivery.replies.classify import Rules
from campaign.delivery.send.connection_pool import Rest
from campaign.errors import InternalError
from campaign.exit_codes import ExitCode, first_of
from campaign.ledger.journal.journal_records import Leased, Pass, Started, VerdictRecord
from campaign.ledger.recovery import read_run
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.finish.feedback_figures import domain_in_report, feedback_figures
from campaign.pipeline.finish.reply_summary import Refusals
from campaign.pipeline.operate.forget.letter_id import letter_id
from campaign.pipeline.operate.publish_metrics import publish_last
from campaign.pipeline.operate.suppress_dead import conclude_suppression
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.serve_loop import Ending
from campaign.pipeline.start.already_served import FAILED
from campaign.pipeline.start.sample_letter import read_sample
from campaign.report.facts import RELAY_OPTION, TIME_ZONE, DoubtRow, FailedRow, RunFacts, TimelineBucket
from campaign.report.failed_csv import write_failed, write_in_doubt
from campaign.report.formatting import duration_text, moment, sentence
from campaign.report.html.report_page import write_page
from campaign.report.live.console import Console, path_text
from campaign.report.summary import balance, ended_facts, tally, write_summary
from campaign.report.telemetry.reply_latency import SendTimes
from campaign.report.telemetry.tracing import conclude, span
from campaign.system.time_zone import time_zone

TOP_DOMAINS, TOP_REPLIES, LISTED_DOUBTS, TOLD_RESTS = 25, 25, 1000, 5


class Stream(msgspec.Struct):
    """The totals of one walk through the journal. ``active``: seconds in which a process served the run."""

    started: float = 0.0
    ended: float = 0.0
    active: float = 0.0
    latest: float = 0.0
    passes: int = 0
    times: SendTimes = msgspec.field(default_factory=SendTimes)
    seconds: dict[int, list[int]] = msgspec.field(default_factory=dict)
    relays: Counter[str] = msgspec.field(default_factory=Counter)
    refusals: Refusals = msgspec.field(default_factory=Refusals)
    last: dict[int, VerdictRecord] = msgspec.field(default_factory=dict)
    sent_at: dict[int, tuple[float, str]] = msgspec.field(default_factory=dict)

    def taken_up(self, at: float) -> None:
        """Record that a process began to serve the run; no process did since the record before this one."""
        self.started = self.started or at
        self.ended = max(self.ended, at)
        self.latest = at

    def leased(self, at: float) -> None:
        """Record that a worker took a shard; others may serve the run meanwhile."""
        self.started = self.started or at
        self.ended = max(self.ended, at)
        self.latest = max(self.latest, at)

    def settled(self, record: VerdictRecord) -> None:
        """Add one verdict."""
        self.ended = max(self.ended, record.at)
        self.active += max(0.0, record.at - self.latest)
        self.latest = max(self.latest, record.at)
        at = self.seconds.setdefault(int(record.at), [0, 0, 0])
        if record.verdict == Verdict.ACCEPTED:
            at[0] += 1
            self.relays[record.relay] += 1
            self.last.pop(record.number, None)
        else:
            at[1] += record.verdict == Verdict.DEFERRED
            at[2] += record.verdict == Verdict.REJECTED
            self.last[record.number] = record
            if record.code or record.reason:
                self.refusals.add(record)
        if record.took and record.verdict != Verdict.IN_DOUBT:
            self.times.add(record.took)


def walk(folder: Path) -> Stream:
    """Stream a run's records once; memory grows with failures and seconds, not with recipients."""
    stream = Stream()
    for record in read_run(folder):
        if isinstance(record, VerdictRecord):
            stream.settled(record)
        elif isinstance(record, Started):
            stream.taken_up(record.at)
        elif isinstance(record, Leased):
            stream.leased(record.at)
        elif isinstance(record, Pass):
            stream.passes += 1
    return stream


@span("close")
def close_run(run: OpenRun, ending: Ending, console: Console) -> ExitCode:
    """Write the run's files, print the tally, return the exit code. Raises InternalError, StorageError."""
    job, folder, plan, history = run.job, run.folder, run.plan, run.history
    stream = walk(folder)
    facts = gather_facts(job, folder, plan, history, stream)
    complaints = balance(plan.books, facts.verdicts)
    codes = ending.codes | verdict_codes(history, job.settings.ledger.in_doubt)
    code = ExitCode.INTERNAL if complaints else first_of(codes)
    notes, settings = (*run.chosen.notes, *rest_notes(ending.rests), *_error_note(ending)), settings_in_words(job)
    facts = replace(facts, exit_code=int(code), notes=notes, settings=settings)
    # In this order: if the run is killed before its report is complete, the journal does not record an orderly end, and
    # the next command closes it.
    write_all(job, folder, plan, history, stream, facts)
    publish_last(job, folder, facts)
    conclude_suppression(job, folder, history)
    run.checkpoint.end(int(code), notes=notes, settings=settings, remembered=True)
    conclude(int(code), facts.verdicts)
    console.ended(tally(facts, ending.error), ended_facts(facts, ending.error))
    if complaints:
        raise InternalError("The books do not balance, which is an internal error.", evidence=complaints)
    if ending.error and console.quiet:
        console.tell(str(ending.error))
    return code


def verdict_codes(history: RunState, policy: InDoubt) -> set[ExitCode]:
    """The exit codes that follow from the verdicts."""
    counts = history.tally()
    codes = set()
    if any(counts[verdict] for verdict in FAILED):
        codes.add(ExitCode.SOME_FAILED)
    if counts[Verdict.IN_DOUBT]:
        codes.add(ExitCode.SOME_FAILED if policy == "skip" else ExitCode.IN_DOUBT)
    if counts[Verdict.WAITING] or counts[Verdict.DEFERRED]:
        codes.add(ExitCode.UNFINISHED)
    return codes


def gather_facts(job: Job, folder: Path, plan: Plan, history: RunState, stream: Stream) -> RunFacts:
    """Everything that a report says about this run."""
    domains = _by_domain(plan, history)
    opened, rules = history.opened, Rules.load(job.settings.delivery.reply_rules)
    return RunFacts(
        campaign=opened.campaign,
        edition=opened.edition,
        run=opened.run,
        folder=path_text(folder),
        generation=opened.generation,
        rehearsal=history.rehearsal,
        started=stream.started,
        ended=stream.ended,
        active=stream.active,
        books=plan.books,
        verdicts=history.tally(),
        by_domain=_largest(domains),
        domain_count=len(domains),
        sample=read_sample(folder),
        by_reply=stream.refusals.top(rules, TOP_REPLIES),
        dead=stream.refusals.dead(rules),
        timeline=[TimelineBucket(float(at), *counts) for at, counts in sorted(stream.seconds.items())],
        latency=stream.times.percentiles(),
        relays=dict(stream.relays),
        passes=stream.passes,
        settings=history.settings or settings_in_words(job),
        fingerprints=dict(history.fingerprints),
        exit_code=history.ended.exit_code if history.ended else int(ExitCode.UNFINISHED),
        in_doubt=list(_doubts(job, plan, history, stream))[:LISTED_DOUBTS],
        file=path_text(job.settings.file),
        trace_id=opened.trace,
        notes=history.notes,
        latency_buckets=stream.times.buckets(),
        latency_sum=stream.times.sum,
        feedback=feedback_figures(job, plan, history, domains),
    )


def write_all(job: Job, folder: Path, plan: Plan, history: RunState, stream: Stream, facts: RunFacts) -> None:
    """Write summary.json, failed.csv, in-doubt.csv and report.html. Raises StorageError."""
    write_failed(folder, plan.headers, _failures(plan, history, stream))
    write_in_doubt(folder, _doubts(job, plan, history, stream))
    write_page(folder, facts)
    write_summary(folder, facts)


def settings_in_words(job: Job) -> dict[str, str]:
    """The settings that explain a run's pace and guarantees; no secret is among them."""
    delivery, ledger = job.settings.delivery, job.settings.ledger
    ignored = "; ".join(f"{one.finding} ({one.reason})" for one in job.settings.report.ignore)
    return {
        "source": shown_source(job.settings.audience.source),
        "subject": job.settings.compose.subject,
        "relay": ", ".join(map(str, delivery.relay)),
        **({RELAY_OPTION: job.settings.relay_option} if job.settings.relay_option else {}),
        "connections": str(delivery.connections),
        "rate": ", ".join(map(str, delivery.rate)) or "no limit",
        "attempts": str(delivery.attempts),
        "in_doubt": ledger.in_doubt,
        "durability": ledger.durability,
        **({"ignored findings": ignored} if ignored else {}),
        TIME_ZONE: time_zone(),
    }


def _failures(plan: Plan, history: RunState, stream: Stream) -> Iterator[FailedRow]:
    wanted = bytearray(plan.size)
    for number in history.numbers(*FAILED):
        wanted[number] = 1
    for recipient in plan.recipients(lambda number: bool(wanted[number])):
        last = stream.last.get(recipient.number)
        if last and not is_forgotten(recipient):
            for values in plan.input_rows(recipient):
                yield FailedRow(values, last.verdict, last.code, last.enhanced, last.reason)


def _doubts(job: Job, plan: Plan, history: RunState, stream: Stream) -> Iterator[DoubtRow]:
    identity = job.identity(history.opened.generation)
    today = job.domain
    for number in history.numbers(Verdict.IN_DOUBT):
        recipient, last = plan.recipient(number), stream.last.get(number)
        relay, at = (last.relay, last.at) if last else ("", float(history.dates[number]))
        domain = history.domains.get(number) or today
        yield DoubtRow(number, recipient.address, letter_id(identity, domain, recipient), relay, at)


def _by_domain(plan: Plan, history: RunState) -> dict[str, Counter[str]]:
    domains: dict[str, Counter[str]] = {}
    for number, address in enumerate(plan.addresses()):
        domains.setdefault(domain_in_report(address), Counter())[history.verdict(number).value] += 1
    return domains


def _largest(domains: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    largest = sorted(domains.items(), key=lambda one: (-one[1].total(), one[0]))[:TOP_DOMAINS]
    return {domain: dict(counts) for domain, counts in largest}


def rest_notes(rests: Sequence[Rest]) -> list[str]:
    """A sentence for each relay that was paused because it was slow: when, for how long, and why."""
    by_relay: dict[str, list[Rest]] = {}
    for rest in rests:
        by_relay.setdefault(rest.relay, []).append(rest)
    return [_rested(relay, found) for relay, found in by_relay.items()]


def _rested(relay: str, found: Sequence[Rest]) -> str:
    told = [f"from {moment(one.at)} for {duration_text(one.seconds)}, as it {one.why}" for one in found[:TOLD_RESTS]]
    if len(found) > TOLD_RESTS:
        left = found[TOLD_RESTS:]
        told.append(f"and {len(left)} times more, {duration_text(sum(one.seconds for one in left))} together")
    return f"{relay} was slow and was left alone while another relay could serve: {'; '.join(told)}."


def _error_note(ending: Ending) -> tuple[str, ...]:
    if not ending.error:
        return ()
    return (" ".join(map(sentence, [ending.error.what, *ending.error.evidence, ending.error.next_step])),)
