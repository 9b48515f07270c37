"""What is kept for the rows to come stays within its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from campaign.compose.lru_cache import LruCache


def test_the_longest_unused_goes_first():
    kept: LruCache[str, int] = LruCache(3, 1_000)
    for number, name in enumerate("abc"):
        kept.keep(name, number, 1)
    assert kept.get("a") == 0
    kept.keep("d", 3, 1)
    assert [kept.get(name) for name in "abcd"] == [0, None, 2, 3]


def test_what_is_too_heavy_is_not_kept_and_displaces_nothing():
    kept: LruCache[str, int] = LruCache(3, 10)
    kept.keep("a", 1, 10)
    kept.keep("b", 2, 11)
    assert (kept.get("a"), kept.get("b")) == (1, None)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12))))
def test_neither_number_nor_weight_is_ever_exceeded(steps):
    kept: LruCache[int, int] = LruCache(4, 20)
    weights: dict[int, int] = {}
    for key, weight in steps:
        kept.keep(key, weight, weight)
        weights[key] = weight
        there = [one for one in range(10) if kept.get(one) is not None]
        assert len(kept) == len(there) <= 4
        assert sum(kept.get(one) or 0 for one in there) == kept._weight <= 20
        assert all(kept.get(one) == weights[one] for one in there)
