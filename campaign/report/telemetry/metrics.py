"""The metrics of a run for Prometheus: a textfile that node_exporter reads, and the text for a Pushgateway.

They have a registry of their own, without metrics of the process, and no server. The file is read once before it is
replaced: a counter must continue from its value, and a failed run must not erase the last success. `pushgateway.py`
sends the text; the pipeline decides when it is written again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from campaign.errors import ConfigError, install_extra
from campaign.model import FINAL, FeedbackOutcome, Verdict
from campaign.report.facts import RunFacts
from campaign.report.feedback.feedback_facts import FeedbackFacts, FeedbackLevel, feedback_alarms
from campaign.report.report_file import replacing

#: Exit codes of a run that went to its end, though some recipients may have failed or be in doubt.
FINISHED = frozenset({0, 3, 4})
#: Verdicts for counters: those that are final for a recipient or wait for a person. The others go up and down.
COUNTED = (*(one for one in Verdict if one in FINAL), Verdict.IN_DOUBT)
#: node_exporter is another user. The file holds counts and names, but no addresses.
READABLE = 0o644
#: `FeedbackLevel` as a number; the others are 0.
LEVELS = {FeedbackLevel.WARNING: 1, FeedbackLevel.ALARM: 2}
SUCCESS = "campaign_last_success_timestamp_seconds"


class WorkerFigures(msgspec.Struct, frozen=True):
    """How a run that several workers serve stands.

    ``shards`` counts its shards by state: open, of these held by a worker, of these silent (their holder has not been
    heard of), and finished. ``workers`` have been heard of within the last seconds; ``append_seconds`` is what the
    slowest of them waits for the store.
    """

    shards: Mapping[str, int]
    workers: int
    append_seconds: float


class Snapshot(msgspec.Struct, frozen=True):
    """A run's numbers at one moment.

    ``at`` and ``started`` are POSIX seconds, ``verdicts`` counts recipients, ``deferrals`` counts the replies that
    deferred a letter. ``latency_buckets`` and ``latency_sum`` are as in `RunFacts`. ``exit_code`` is None while the run
    is at work. ``seconds``: how long processes have served it. ``feedback`` is as in `RunFacts`. ``workers``
    only while a run in a store is at work.
    """

    campaign: str
    edition: str
    run: str
    trace_id: str
    at: float
    started: float
    planned: int
    verdicts: Mapping[str, int]
    deferrals: int = 0
    latency_buckets: Mapping[float, int] = msgspec.field(default_factory=dict)
    latency_sum: float = 0.0
    exit_code: int | None = None
    seconds: float | None = None
    feedback: FeedbackFacts | None = None
    workers: WorkerFigures | None = None

    @classmethod
    def of(cls, facts: RunFacts) -> Snapshot:
        """The numbers of a run that has ended."""
        return cls(
            facts.campaign,
            facts.edition,
            facts.run,
            facts.trace_id,
            facts.ended,
            facts.started,
            facts.books.planned,
            facts.verdicts,
            sum(one.deferred for one in facts.timeline),
            facts.latency_buckets,
            facts.latency_sum,
            facts.exit_code,
            facts.seconds,
            facts.feedback,
        )

    def count(self, verdict: str) -> float:
        """How many recipients have ``verdict`` now."""
        return float(self.verdicts.get(verdict, 0))


class Earlier(msgspec.Struct):
    """What was written before: totals and this run's own share by outcome, how the last run ended, the last success.

    None: unknown, and not written.
    """

    totals: dict[str, float] = msgspec.field(default_factory=dict)
    of_run: dict[str, float] = msgspec.field(default_factory=dict)
    last_success: float | None = None
    last_run: float | None = None
    exit_code: float | None = None
    run: str = ""
    started: float = 0.0
    text: str = ""

    def began_later(self, numbers: Snapshot) -> bool:
        """Whether the previous file is of another run that began after this one."""
        return bool(self.run) and self.run != numbers.run and self.started > numbers.started


def require_metrics_library() -> None:
    """Raise ConfigError if the extra ``metrics`` is not installed."""
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise ConfigError(
            "Metrics need a library that is not installed.",
            evidence="metrics_file or push_url under [report] asks for them",
            next_step=install_extra("metrics"),
        ) from None


def write_metrics(path: Path, facts: RunFacts | Snapshot) -> str:
    """Write the textfile ``path`` (``.prom``, one per campaign; 0644) atomically, and return its text.

    A file that a later run has written is left unchanged. Raises StorageError.
    """
    numbers = Snapshot.of(facts) if isinstance(facts, RunFacts) else facts
    earlier = _earlier(path, numbers)
    if earlier.began_later(numbers):
        return earlier.text
    text = exposition(numbers, earlier)
    with replacing(path, mode=READABLE) as stream:
        stream.write(text)
    return text


def note_success(path: Path, campaign: str, at: float) -> str:
    """Record in the textfile, if there is one, that a start at ``at`` found no recipient left, which is a success.

    Returns what `success` returns. Raises StorageError.
    """
    line = f'{SUCCESS}{{campaign="{campaign}"}} {at!r}'
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError):
        text = ""
    noted = re.sub(rf'^{SUCCESS}\{{campaign="{re.escape(campaign)}"\}} .*$', line, text, flags=re.MULTILINE)
    if noted != text:
        with replacing(path, mode=READABLE) as stream:
            stream.write(noted)
    return success(campaign, at)


def success(campaign: str, at: float) -> str:
    """The time of the last success alone, in Prometheus' text format."""
    return f'# TYPE {SUCCESS} gauge\n{SUCCESS}{{campaign="{campaign}"}} {at!r}\n'


def exposition(numbers: Snapshot, earlier: Earlier | None = None) -> str:
    """The numbers in Prometheus' text format, continuing from ``earlier``."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(numbers, earlier or Earlier()))
    return generate_latest(registry).decode("utf-8")


class _Collector:
    """Gives the registry the metric families below, once."""

    def __init__(self, numbers: Snapshot, earlier: Earlier) -> None:
        self._numbers, self._earlier = numbers, earlier

    def collect(self) -> Iterator[Any]:
        yield _messages_total(self._numbers, self._earlier)
        yield _deferrals_total(self._numbers)
        yield _run_messages(self._numbers)
        yield from _gauges(self._numbers, self._earlier)
        yield _info(self._numbers)
        yield _send_seconds(self._numbers)
        if self._numbers.feedback:
            yield from _feedback(self._numbers.campaign, self._numbers.feedback)
        if self._numbers.workers:
            yield from _workers(self._numbers.campaign, self._numbers.workers)


def _messages_total(numbers: Snapshot, earlier: Earlier) -> Any:
    from prometheus_client.core import CounterMetricFamily

    text = "Recipients by what became of them, over all runs written to this file."
    family = CounterMetricFamily("campaign_messages", text, labels=["campaign", "outcome"])
    for outcome in COUNTED:
        more = max(0.0, numbers.count(outcome) - earlier.of_run.get(outcome, 0.0))
        family.add_metric([numbers.campaign, outcome], earlier.totals.get(outcome, 0.0) + more)
    return family


def _deferrals_total(numbers: Snapshot) -> Any:
    from prometheus_client.core import CounterMetricFamily

    text = "Replies that put a letter off to a later pass, in the last run."
    family = CounterMetricFamily("campaign_deferrals", text, labels=["campaign"])
    family.add_metric([numbers.campaign], numbers.deferrals)
    return family


def _run_messages(numbers: Snapshot) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    labels = ["campaign", "edition", "run", "outcome"]
    family = GaugeMetricFamily("campaign_run_messages", "Recipients of the last run by verdict.", labels=labels)
    for outcome in Verdict:
        family.add_metric([numbers.campaign, numbers.edition, numbers.run, outcome], numbers.count(outcome))
    return family


def _gauges(numbers: Snapshot, earlier: Earlier) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    for name, text, value in (*_of_the_run(numbers), *_of_its_end(numbers, earlier)):
        if value is not None:
            family = GaugeMetricFamily(f"campaign_{name}", text, labels=["campaign"])
            family.add_metric([numbers.campaign], value)
            yield family


def _of_the_run(numbers: Snapshot) -> Iterator[tuple[str, str, float | None]]:
    doubts = numbers.count(Verdict.IN_DOUBT)
    yield (
        "running",
        "Whether a run is at work; 1 and not updated for minutes: it was killed.",
        numbers.exit_code is None,
    )
    yield "updated_timestamp_seconds", "When these numbers were taken.", numbers.at
    yield "in_doubt", "Letters whose reply was never recorded; a person decides.", doubts
    yield "run_started_timestamp_seconds", "When the last run started.", numbers.started
    yield "planned", "Recipients of the last run's plan.", numbers.planned
    yield "run_seconds", "How long processes have served the last run.", _seconds(numbers)


def _of_its_end(numbers: Snapshot, earlier: Earlier) -> Iterator[tuple[str, str, float | None]]:
    code, success = numbers.exit_code, numbers.exit_code in FINISHED
    at = numbers.at if success else earlier.last_success
    yield "last_success_timestamp_seconds", "When a run last went to its end (exit 0, 3 or 4); 0: never.", at
    ended = earlier.last_run if code is None else numbers.at
    yield "last_run_timestamp_seconds", "When the last run ended, however it ended.", ended
    yield "exit_code", "Exit code of the last run that ended.", earlier.exit_code if code is None else code


def _info(numbers: Snapshot) -> Any:
    from prometheus_client.core import InfoMetricFamily

    names = {name: getattr(numbers, name) for name in ("edition", "run", "trace_id")}
    family = InfoMetricFamily("campaign_run", "Which run these numbers are of.", labels=["campaign"])
    family.add_metric([numbers.campaign], names)
    return family


def _seconds(numbers: Snapshot) -> float:
    return max(0.0, numbers.at - numbers.started if numbers.seconds is None else numbers.seconds)


def _send_seconds(numbers: Snapshot) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    text = "Seconds from a letter's final dot to the relay's reply, in the last run."
    family = HistogramMetricFamily("campaign_send_seconds", text, labels=["campaign"])
    family.add_metric([numbers.campaign], _cumulative(numbers.latency_buckets), numbers.latency_sum)
    return family


def _feedback(campaign: str, facts: FeedbackFacts) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    text = "Recipients of the last run by what came back about their letter; each counts once for each outcome."
    events = GaugeMetricFamily("campaign_feedback_events", text, labels=["campaign", "outcome"])
    for outcome in FeedbackOutcome:
        if outcome is not FeedbackOutcome.RELEASED:
            events.add_metric([campaign, outcome], facts.recipients(outcome))
    text = "Recipients who complained or whose letter bounced, as a share of the letters accepted in the last run."
    shares = GaugeMetricFamily("campaign_feedback_share", text, labels=["campaign", "kind"])
    text = "Whether that share is quiet (0), a warning (1) or an alarm (2); a few events are always quiet."
    levels = GaugeMetricFamily("campaign_feedback_level", text, labels=["campaign", "kind"])
    for alarm in feedback_alarms(facts):
        shares.add_metric([campaign, alarm.kind], alarm.share)
        levels.add_metric([campaign, alarm.kind], LEVELS.get(alarm.level, 0))
    yield from (events, shares, levels)


def _workers(campaign: str, figures: WorkerFigures) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    text = "Shards of the run by state; held and silent ones are open, too."
    shards = GaugeMetricFamily("campaign_shards", text, labels=["campaign", "state"])
    for state, count in figures.shards.items():
        shards.add_metric([campaign, state], count)
    text = "Workers of the run that were heard of within the last seconds."
    alive = GaugeMetricFamily("campaign_workers", text, labels=["campaign"])
    alive.add_metric([campaign], figures.workers)
    text = "How long the slowest worker waits for the store to append."
    append = GaugeMetricFamily("campaign_store_append_seconds", text, labels=["campaign"])
    append.add_metric([campaign], figures.append_seconds)
    yield from (shards, alive, append)


def _cumulative(buckets: Mapping[float, int]) -> list[tuple[str, float]]:
    bounds = sorted({*buckets, math.inf})
    running, rows = 0, []
    for bound in bounds:
        running += buckets.get(bound, 0)
        rows.append(("+Inf" if math.isinf(bound) else repr(float(bound)), float(running)))
    return rows


def _earlier(path: Path, numbers: Snapshot) -> Earlier:
    from prometheus_client.parser import text_string_to_metric_families

    found = Earlier(last_success=0.0)
    try:
        text = path.read_text("utf-8")
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    except (OSError, ValueError, KeyError, IndexError):  # none yet, or not ours: begin anew
        return found
    found.text = text
    for sample in samples:
        if sample.labels.get("campaign") == numbers.campaign:
            _take(found, sample.name.removeprefix("campaign_"), sample.labels, sample.value, numbers.run)
    return found


def _take(found: Earlier, name: str, labels: Mapping[str, str], value: float, run: str) -> None:
    match name:
        case "messages_total":
            found.totals[labels.get("outcome", "")] = value
        case "run_messages" if labels.get("run") == run:
            found.of_run[labels.get("outcome", "")] = value
        case "last_success_timestamp_seconds":
            found.last_success = value
        case "last_run_timestamp_seconds":
            found.last_run = value
        case "exit_code":
            found.exit_code = value
        case "run_started_timestamp_seconds":
            found.started = value
        case "run_info":
            found.run = labels.get("run", "")
