"""Times of a log become POSIX seconds, whichever way they are written."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator

import pytest

from campaign.feedback.event_feeds.log_time import LogTime

NOW = dt.datetime(2026, 11, 28, 8, 30, tzinfo=dt.UTC).timestamp()


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This machine's zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def at(text: str, now: float = NOW) -> float:
    return LogTime(lambda: now).seconds(text.encode())


def local(*parts: int) -> float:
    return time.mktime((*parts, 0, 0, -1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-28T08:00:00Z", "2026-11-28T08:00:00+00:00"),
        ("2026-11-28T08:00:00.123456+01:00", "2026-11-28T07:00:00.123456+00:00"),
        ("2026-11-28T08:00:00-0500", "2026-11-28T13:00:00+00:00"),
        ("2026-11-28T08:00:00.123456789+00:00", "2026-11-28T08:00:00.123456+00:00"),
    ],
)
def test_rfc_3339_times_carry_their_zone(text: str, expected: str, zone: str) -> None:
    assert at(text) == dt.datetime.fromisoformat(expected).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov 28 08:00:00", (2026, 11, 28, 8, 0, 0)),
        ("Nov  2 23:59:59", (2026, 11, 2, 23, 59, 59)),
        ("Dec 31 23:00:00", (2025, 12, 31, 23, 0, 0)),
        ("Jan  1 00:00:00", (2026, 1, 1, 0, 0, 0)),
        ("Feb 29 12:00:00", (2024, 2, 29, 12, 0, 0)),
    ],
)
def test_a_traditional_time_is_the_latest_such_one_of_this_machine(
    text: str, expected: tuple[int, ...], zone: str
) -> None:
    assert at(text) == local(*expected)


def test_in_the_night_of_new_year_a_log_may_be_a_year_ahead_or_behind() -> None:
    before, after = local(2026, 12, 31, 23, 59, 0), local(2027, 1, 1, 0, 1, 0)
    assert at("Jan  1 00:00:30", before) == local(2027, 1, 1, 0, 0, 30)
    assert at("Dec 31 23:59:30", after) == local(2026, 12, 31, 23, 59, 30)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "2026-13-45T99:00:00Z", "Xyz 28 08:00:00", "Nov 31 08:00:00", "Nov 28 08:00", "Nov 28 8", "\x00"],
)
def test_what_is_no_time_is_zero(text: str) -> None:
    assert at(text) == 0.0
