"""Sixteen bytes a key, and the same answers as a Python set."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.audience.screening import key_set
from campaign.audience.screening.key_set import KeySet, digest

DIGESTS = st.binary(min_size=16, max_size=16) | st.sampled_from(
    [bytes(16), b"\xff" * 16, bytes(15) + b"\1", bytes(8) + b"\xff" * 8, b"a" * 8 + bytes(8), b"a" * 16]
)


@settings(deadline=None)  # the first example loads numpy
@given(st.lists(st.lists(DIGESTS, max_size=20), max_size=8), st.sampled_from([(1, 1), (3, 10), (10, 50), (1000, 9)]))
def test_a_key_set_answers_as_a_set_does(batches: list[list[bytes]], sizes: tuple[int, int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_set, "LATEST", sizes[0])
        patch.setattr(key_set, "SEGMENT", sizes[1])
        known: set[bytes] = set()
        found = KeySet()
        for batch in batches:
            assert found.contains(batch) == [one in known for one in batch]
            assert [found.contains([one]) for one in batch] == [[one in known] for one in batch]
            expected = []
            for one in batch:
                expected.append(one not in known)
                known.add(one)
            assert found.add(batch) == expected
            assert len(found) == len(known)
        assert found.contains(sorted(known)) == [True] * len(known)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many keys each sorting copied, in a set that is a hundredth of the usual size."""
    monkeypatch.setattr(key_set, "LATEST", 1000)
    monkeypatch.setattr(key_set, "SEGMENT", 10_000)
    sizes: list[int] = []
    usual = key_set._sorted
    monkeypatch.setattr(key_set, "_sorted", lambda high, low: (sizes.append(len(high)), usual(high, low))[1])
    return sizes


def test_each_key_is_copied_a_bounded_number_of_times(copied: list[int]) -> None:
    found, count = KeySet(), 200_000
    for start in range(0, count, 1000):
        assert all(found.add([digest(str(n)) for n in range(start, start + 1000)]))
        assert sum(copied) <= (key_set.SHARE + 6) * max(start, 1000)
    assert len(found) == count


def test_what_is_searched_grows_far_more_slowly_than_what_is_kept(copied: list[int]) -> None:
    found, count = KeySet(), 200_000
    for start in range(0, count, 1000):
        found.add([digest(str(n)) for n in range(start, start + 1000)])
        assert len(found._segments) <= 8
    assert max(copied) <= max(key_set.SEGMENT, 2 * count // key_set.PARTS)
    assert found.contains([digest(str(count - 1)), digest(str(count))]) == [True, False]


def test_keys_that_share_their_first_eight_bytes_are_told_apart() -> None:
    twins = [b"a" * 8 + bytes([n]) * 8 for n in range(50)]
    found = KeySet()
    found.add(twins[::2])
    assert found.contains(twins) == [n % 2 == 0 for n in range(50)]


def test_a_digest_is_sixteen_bytes_and_differs_from_key_to_key() -> None:
    assert len({digest(str(n)) for n in range(1000)}) == 1000
    assert {len(digest(text)) for text in ("", "zoë@example.com")} == {16}
