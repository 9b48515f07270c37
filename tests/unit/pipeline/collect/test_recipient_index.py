"""Words lead to the numbers of recipients, in few octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.pipeline.collect.recipient_index import RecipientIndex


@given(st.lists(st.text(max_size=5), max_size=60))
def test_every_word_leads_to_its_first_numbers(words: list[str]) -> None:
    index = RecipientIndex(((word, number) for number, word in enumerate(words)), len(words))
    for word in words:
        numbers = [number for number, one in enumerate(words) if one == word]
        assert index.find(word) == numbers[:2]


def test_a_word_that_nobody_has_leads_nowhere() -> None:
    index = RecipientIndex(((str(number), number) for number in range(10_000)), 10_000)
    assert not [word for word in range(10_000, 20_000) if index.find(str(word))]


def test_a_word_that_all_have_costs_no_more_than_others() -> None:
    index = RecipientIndex((("queued", number) for number in range(200_000)), 200_000)
    assert index.find("queued") == [0, 1]


def test_the_same_word_twice_of_one_recipient_stands_for_one() -> None:
    assert RecipientIndex([("a", 7), ("a", 7)], 4).find("a") == [7]


@pytest.mark.parametrize("size", [0, 1, 3])
def test_what_goes_beyond_the_size_is_left_out(size: int) -> None:
    index = RecipientIndex(((str(number), number) for number in range(10)), size)
    assert [number for number in range(10) if index.find(str(number))] == list(range(size))


def test_a_word_takes_twelve_octets() -> None:
    index = RecipientIndex(((str(number), number) for number in range(1000)), 1000)
    assert len(index.slots) * index.slots.itemsize / 1000 == pytest.approx(12, abs=0.1)
