"""Which limits bind a run before it has begun: those of the relays that will serve it, and what share each has.

The promise itself is kept by `delivery.throttle`; here it is only foretold, for a check and for the bar.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from campaign.config.delivery import DeliverySection
from campaign.config.units import Rate
from campaign.delivery.relays.relay import find
from campaign.errors import CampaignError


def shares_of(delivery: DeliverySection) -> list[tuple[str, float]]:
    """The relays that serve while none fails, and how much of the letters each gets: the first, or all by weight."""
    if not delivery.weights:
        return [(url, 1.0) for url in delivery.urls[:1]]
    total = sum(delivery.weights)
    return [(url, one / total) for url, one in zip(delivery.urls, delivery.weights, strict=True) if one]


def limits_of(delivery: DeliverySection, url: str) -> tuple[Rate, ...]:
    """The limits of the account at ``url``: the campaign's own, or else those of its preset."""
    if delivery.rate:
        return delivery.rate
    try:
        _, preset = find(url, "smtp://127.0.0.1:9")
    except CampaignError:  # told when the relays are opened
        return ()
    return preset.rate if preset else ()


def pace_of(delivery: DeliverySection, letters: int) -> float | None:
    """Letters a second at best for so many: the relay that is slowest for its share sets the pace of all."""
    paces = [
        (pace_for(limits_of(delivery, url), math.ceil(letters * share)), share) for url, share in shares_of(delivery)
    ]
    return min((pace / share for pace, share in paces if pace is not None), default=None)


def pace_for(rates: Sequence[Rate], letters: int) -> float | None:
    """Letters a second at best for so many at one account: a limit of a day slows nobody who stays below it."""
    shortest = min((rate.per for rate in rates), default=0.0)
    return min((rate.per_second for rate in rates if rate.per == shortest or letters > rate.count), default=None)
