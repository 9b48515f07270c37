"""What is said of letters in doubt that are sent again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from campaign.config.delivery import DeliverySection
from campaign.pipeline.start.run_announcement import dropped_twice

NOW = 1_800_000_000.0
HOUR = 3600


@pytest.mark.parametrize(
    ("relay", "ages", "words"),
    [
        (("resend",), [HOUR, 2 * HOUR], "2 of these 2 letters cannot arrive twice"),
        (("resend",), [HOUR, 30 * HOUR], "1 of these 2 letters cannot arrive twice"),
        (("resend",), [24 * HOUR], ""),
        (("resend", "smtp://smtp.example.com"), [HOUR], ""),
        (("smtp://smtp.example.com",), [HOUR], ""),
    ],
)
def test_how_many_doubts_are_without_risk_is_said_where_the_relay_drops_second_copies(
    relay: tuple[str, ...], ages: list[int], words: str
) -> None:
    history = SimpleNamespace(numbers=lambda _: range(len(ages)), dates=[int(NOW) - age for age in ages])
    job = SimpleNamespace(settings=SimpleNamespace(delivery=DeliverySection(relay=relay)))
    told = dropped_twice(cast("Any", SimpleNamespace(job=job, history=history)), NOW)
    assert words in told if words else told == ""
