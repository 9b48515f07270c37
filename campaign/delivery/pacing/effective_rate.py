"""The limits that will apply to a run: those of the relays that will serve it, and the share of each relay.

This is only a forecast, for ``check`` and the progress bar; `throttle` enforces the limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from campaign.config.delivery import DeliverySection
from campaign.config.units import Rate
from campaign.delivery.relays.relay import find
from campaign.errors import CampaignError


def shares_of(delivery: DeliverySection) -> list[tuple[str, float]]:
    """The relays that serve while none fails, with their shares of the letters: the first relay, or all by weight."""
    if not delivery.weights:
        return [(url, 1.0) for url in delivery.urls[:1]]
    total = sum(delivery.weights)
    return [(url, one / total) for url, one in zip(delivery.urls, delivery.weights, strict=True) if one]


def limits_of(delivery: DeliverySection, url: str) -> tuple[Rate, ...]:
    """The limits of the account at ``url``: the campaign's own, or else those of its preset."""
    if delivery.rate:
        return delivery.rate
    try:
        where, preset = find(url, "smtp://127.0.0.1:9")
    except CampaignError:  # reported when the relays are opened
        return ()
    if where.gateway:
        return where.gateway.rate
    return preset.rate if preset else ()


def pace_of(delivery: DeliverySection, letters: int) -> float | None:
    """The highest pace for so many letters, in letters a second, set by the relay that is slowest for its share."""
    paces = [
        (pace_for(limits_of(delivery, url), math.ceil(letters * share)), share) for url, share in shares_of(delivery)
    ]
    return min((pace / share for pace, share in paces if pace is not None), default=None)


def pace_for(rates: Sequence[Rate], letters: int) -> float | None:
    """The highest pace for so many letters at one account, in letters a second.

    A daily limit does not slow a run that stays below it.
    """
    shortest = min((rate.per for rate in rates), default=0.0)
    return min((rate.per_second for rate in rates if rate.per == shortest or letters > rate.count), default=None)
