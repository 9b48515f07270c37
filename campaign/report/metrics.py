"""The numbers of a run for Prometheus, as a textfile that node_exporter picks up.

Its own registry, nothing of the process itself. Nothing is pushed and nothing is served. The file is read back
once before it is replaced: a counter must go on where it was, and a failed run must not forget the last success.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign.model import FINAL, Verdict
from campaign.report.facts import RunFacts
from campaign.report.files import replacing

#: Exit codes of a run that went to its end, though some recipients may have failed or be in doubt.
FINISHED = frozenset({0, 3, 4})
#: Verdicts a counter may count: they end a recipient's story or wait for a person. The others go up and down.
COUNTED = (*(one for one in Verdict if one in FINAL), Verdict.IN_DOUBT)
#: node_exporter is another user. There are counts and names in it, and nobody's address.
READABLE = 0o644


@dataclass(slots=True)
class Earlier:
    """What the file said before: totals and this run's own share by outcome, and the last success."""

    totals: dict[str, float] = field(default_factory=dict)
    of_run: dict[str, float] = field(default_factory=dict)
    last_success: float = 0.0


def write_metrics(path: Path, facts: RunFacts) -> None:
    """Write the textfile ``path`` (``.prom``, one per campaign; 0644), whole or not at all. Raises StorageError."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(facts, _earlier(path, facts)))
    with replacing(path, mode=READABLE) as stream:
        stream.write(generate_latest(registry).decode("utf-8"))


class _Collector:
    """Gives the registry the families below, once."""

    def __init__(self, facts: RunFacts, earlier: Earlier) -> None:
        self._facts, self._earlier = facts, earlier

    def collect(self) -> Iterator[Any]:
        yield _messages_total(self._facts, self._earlier)
        yield _run_messages(self._facts)
        yield from _gauges(self._facts, self._earlier)
        yield _info(self._facts)
        if self._facts.latency_buckets:
            yield _send_seconds(self._facts)


def _messages_total(facts: RunFacts, earlier: Earlier) -> Any:
    from prometheus_client.core import CounterMetricFamily

    text = "Recipients by what became of them, over all runs written to this file."
    family = CounterMetricFamily("campaign_messages", text, labels=["campaign", "outcome"])
    for outcome in COUNTED:
        more = max(0.0, facts.count(outcome) - earlier.of_run.get(outcome, 0.0))
        family.add_metric([facts.campaign, outcome], earlier.totals.get(outcome, 0.0) + more)
    return family


def _run_messages(facts: RunFacts) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    labels = ["campaign", "edition", "run", "outcome"]
    family = GaugeMetricFamily("campaign_run_messages", "Recipients of the last run by verdict.", labels=labels)
    for outcome in Verdict:
        family.add_metric([facts.campaign, facts.edition, facts.run, outcome], facts.count(outcome))
    return family


def _gauges(facts: RunFacts, earlier: Earlier) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    success = facts.ended if facts.exit_code in FINISHED else earlier.last_success
    for name, text, value in (
        (
            "campaign_last_success_timestamp_seconds",
            "When a run last went to its end (exit 0, 3 or 4); 0: never.",
            success,
        ),
        ("campaign_last_run_timestamp_seconds", "When the last run ended, however it ended.", facts.ended),
        ("campaign_exit_code", "Exit code of the last run.", facts.exit_code),
        (
            "campaign_in_doubt",
            "Letters whose reply was never recorded; a person decides.",
            facts.count(Verdict.IN_DOUBT),
        ),
        ("campaign_planned", "Recipients of the last run's plan.", facts.books.planned),
        ("campaign_run_seconds", "How long the last run took.", facts.seconds),
    ):
        family = GaugeMetricFamily(name, text, labels=["campaign"])
        family.add_metric([facts.campaign], value)
        yield family


def _info(facts: RunFacts) -> Any:
    from prometheus_client.core import InfoMetricFamily

    names = {name: getattr(facts, name) for name in ("edition", "run", "trace_id")}
    family = InfoMetricFamily("campaign_run", "Which run these numbers are of.", labels=["campaign"])
    family.add_metric([facts.campaign], names)
    return family


def _send_seconds(facts: RunFacts) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    text = "Seconds from a letter's final dot to the relay's reply, in the last run."
    family = HistogramMetricFamily("campaign_send_seconds", text, labels=["campaign"])
    family.add_metric([facts.campaign], _cumulative(facts.latency_buckets), facts.latency_sum)
    return family


def _cumulative(buckets: Mapping[float, int]) -> list[tuple[str, float]]:
    bounds = sorted({*buckets, math.inf})
    running, rows = 0, []
    for bound in bounds:
        running += buckets.get(bound, 0)
        rows.append(("+Inf" if math.isinf(bound) else repr(float(bound)), float(running)))
    return rows


def _earlier(path: Path, facts: RunFacts) -> Earlier:
    from prometheus_client.parser import text_string_to_metric_families

    found = Earlier()
    try:
        samples = [one for family in text_string_to_metric_families(path.read_text("utf-8")) for one in family.samples]
    except (OSError, ValueError, KeyError, IndexError):  # none yet, or not ours: begin anew
        return found
    for sample in samples:
        if sample.labels.get("campaign") != facts.campaign:
            continue
        if sample.name == "campaign_messages_total":
            found.totals[sample.labels["outcome"]] = sample.value
        elif sample.name == "campaign_run_messages" and sample.labels.get("run") == facts.run:
            found.of_run[sample.labels["outcome"]] = sample.value
        elif sample.name == "campaign_last_success_timestamp_seconds":
            found.last_success = sample.value
    return found
