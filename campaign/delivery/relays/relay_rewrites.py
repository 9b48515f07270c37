"""How the campaign's relays treat letters: fields and return paths they replace, and second copies they drop."""

from __future__ import annotations

from campaign.config.delivery import DeliverySection
from campaign.delivery.relays.presets import ReturnPath, idempotency_at, return_path_at, rewritten_at
from campaign.delivery.relays.relay import Where, find
from campaign.errors import CampaignError

_NOWHERE = Where("smtp", "", "", 0)


def rewritten(delivery: DeliverySection) -> tuple[str, ...]:
    """The header fields that any of the relays replaces: a letter is the same whichever relay it goes through."""
    return tuple(sorted({name for url in delivery.urls for name in _by(_where(url))}))


def return_paths(delivery: DeliverySection) -> dict[str, ReturnPath | None]:
    """What each relay, by its host, does with a return path; ``None`` if unknown."""
    found = (_where(url) for url in delivery.urls)
    return {
        where.host: where.gateway.return_path if where.gateway else return_path_at(where.host)
        for where in found
        if where.host
    }


def idempotency_header(delivery: DeliverySection) -> str:
    """The header by which any of the relays drops a second copy of a letter; ``""`` if none does."""
    return next((header for url in delivery.urls if (header := idempotency_at(_where(url).host)[0])), "")


def drops_second_copies(delivery: DeliverySection) -> float:
    """For how many seconds every one of the relays drops a second copy of a letter; 0 if one of them does not."""
    return min((idempotency_at(_where(url).host)[1] for url in delivery.urls), default=0.0)


def _by(where: Where) -> tuple[str, ...]:
    return where.gateway.rewrites if where.gateway else rewritten_at(where.host)


def _where(url: str) -> Where:
    """Where a relay is; nowhere for an invalid URL, which is reported when the relays are opened."""
    try:
        where, _ = find(url, "smtp://127.0.0.1:9")
    except CampaignError:
        return _NOWHERE
    return where
