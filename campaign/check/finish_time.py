"""The least time a run takes under its limits, and whether that meets its deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import msgspec

from campaign.check.findings import Findings
from campaign.config.delivery import DeliverySection
from campaign.config.units import Ramp, Rate
from campaign.delivery.pacing.domain_groups import domains_of
from campaign.delivery.pacing.effective_rate import limits_of, shares_of
from campaign.delivery.pacing.throttle import seconds_for
from campaign.pipeline.command_context import Job
from campaign.report import formatting

DAY = 86_400.0  #: seconds


class Span(msgspec.Struct, frozen=True):
    """When a run begins (POSIX seconds), how long it takes at least (None: no limit), and the limits in words."""

    start: float
    seconds: float | None
    rate: str

    @property
    def end(self) -> float:
        """The earliest time at which the last letter leaves."""
        return self.start + (self.seconds or 0.0)


def span_of(job: Job, letters: int, domains: Mapping[str, int], now: float | None = None) -> Span:
    """The span of a run over so many letters; ``domains`` maps each domain to its letters."""
    campaign, delivery = job.settings.campaign, job.settings.delivery
    start = max(time.time() if now is None else now, campaign.not_before.timestamp() if campaign.not_before else 0.0)
    shares = shares_of(delivery)
    seconds = max(least_seconds(letters, domains, delivery, limits_of(delivery, url), share) for url, share in shares)
    words = list(dict.fromkeys(str(limit) for url, _ in shares for limit in limits_of(delivery, url)))
    words += [f"{name} {' '.join(map(str, rates))}" for name, rates in delivery.domain_rate.items()]
    words += [f"ramp {delivery.ramp}"] if delivery.ramp else []
    words += ["a warm-up, not counted here"] if delivery.warmup_file else []
    return Span(start, seconds if words else None, ", ".join(words) or "no limit")


def least_seconds(
    letters: int, domains: Mapping[str, int], delivery: DeliverySection, limits: tuple[Rate, ...], share: float
) -> float:
    """Seconds from the first letter to the last of this ``share`` of them, by the slowest limit."""
    letters = math.ceil(letters * share)
    spans = [seconds_for(letters, limits), ramp_seconds(letters, delivery.ramp)]
    for name, rates in delivery.domain_rate.items():
        count = sum(domains.get(domain, 0) for domain in domains_of(delivery, name))
        spans.append(seconds_for(math.ceil(share * count), rates))
    return max(spans)


def ramp_seconds(letters: int, ramp: Ramp | None) -> float:
    """Seconds that ``letters`` take under the ramp."""
    if ramp is None:
        return 0.0
    first, last, over = ramp.start.per_second, ramp.end.per_second, ramp.over
    while_growing = (first + last) / 2 * over
    if letters >= while_growing:
        return over + (letters - while_growing) / last
    growth = (last - first) / over
    return letters / first if growth == 0 else (math.sqrt(first * first + 2 * growth * letters) - first) / growth


def first_day(delivery: DeliverySection, domains: Mapping[str, int]) -> dict[str, float]:
    """Letters of the first 24 hours to each of ``domains`` (name -> letters), assuming a well mixed list."""
    shares = shares_of(delivery)
    most = min(most_in_a_day(limits_of(delivery, url), delivery.ramp) / share for url, share in shares)
    part = min(1.0, most / max(1, sum(domains.values())))
    found = {name: part * letters for name, letters in domains.items()}
    for name, rates in delivery.domain_rate.items():  # a limit of each relay's account
        those = [domain for domain in domains_of(delivery, name) if domain in found]
        wanted = sum(found[domain] for domain in those)
        most = min(most_in_a_day(rates) / share for _, share in shares)
        found |= {domain: found[domain] * min(1.0, most / wanted) for domain in those}
    return found


def most_in_a_day(limits: Sequence[Rate], ramp: Ramp | None = None) -> float:
    """The most letters that one account sends in its first 24 hours; infinite without limits."""
    most = [limit.count * max(1.0, DAY / limit.per) for limit in limits]
    if ramp:
        growing = min(DAY, ramp.over)
        most.append(
            (ramp.per_second(0) + ramp.per_second(growing)) / 2 * growing + (DAY - growing) * ramp.end.per_second
        )
    return min(most, default=math.inf)


def check_time(job: Job, span: Span, findings: Findings) -> None:
    """Whether the limits let the run end before ``not_after``."""
    last = job.settings.campaign.not_after
    if last is None:
        return
    if span.start > last.timestamp():
        findings.add(
            "error",
            "too-late",
            "not_after has passed: nothing would be sent",
            where="campaign.not_after",
            remedy="give a later time, or remove it",
        )
    elif span.end > last.timestamp():
        late = formatting.duration_text(span.end - last.timestamp())
        findings.add(
            "error",
            "outlasts",
            f"under its limits ({span.rate}) the run takes at least "
            f"{formatting.duration_text(span.seconds or 0.0)} and ends {late} after not_after; the rest would expire",
            where="campaign.not_after",
            remedy="raise delivery.rate, start earlier, or end later",
        )
