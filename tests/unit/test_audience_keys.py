"""Sixteen bytes a key, and the same answers as a Python set."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.audience import keys
from campaign.audience.keys import KeySet, digest

DIGESTS = st.binary(min_size=16, max_size=16) | st.sampled_from(
    [bytes(16), b"\xff" * 16, bytes(15) + b"\1", bytes(8) + b"\xff" * 8, b"a" * 8 + bytes(8), b"a" * 16]
)


@settings(deadline=None)  # the first example loads numpy
@given(st.lists(st.lists(DIGESTS, max_size=20), max_size=8))
def test_a_key_set_answers_as_a_set_does(batches: list[list[bytes]]) -> None:
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


def test_many_batches_end_in_few_segments_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SEGMENT", 1000)
    found = KeySet()
    for start in range(0, 10_000, 100):
        assert all(found.add([digest(str(n)) for n in range(start, start + 100)]))
    assert len(found) == 10_000
    assert len(found._segments) <= 20
    assert all(len(high) <= 1000 for high, _ in found._segments)
    assert found.contains([digest("9999"), digest("10000")]) == [True, False]


def test_keys_that_share_their_first_eight_bytes_are_told_apart() -> None:
    twins = [b"a" * 8 + bytes([n]) * 8 for n in range(50)]
    found = KeySet()
    found.add(twins[::2])
    assert found.contains(twins) == [n % 2 == 0 for n in range(50)]


def test_a_digest_is_sixteen_bytes_and_differs_from_key_to_key() -> None:
    assert len({digest(str(n)) for n in range(1000)}) == 1000
    assert {len(digest(text)) for text in ("", "zoë@example.com")} == {16}
