"""Ids of requests are remembered with their bodies, up to a number."""

from __future__ import annotations

from campaign.listen.signatures.replay_memory import ReplayMemory


def test_an_id_is_bound_to_its_first_body() -> None:
    memory = ReplayMemory()
    assert [memory.is_other("a", one) for one in (b"1", b"1", b"2")] == [False, False, True]


def test_a_request_is_stored_when_it_is_said_to_be_and_not_when_it_is_seen() -> None:
    memory = ReplayMemory()
    memory.is_other("a", b"1")
    assert not memory.is_stored("a", b"1")
    memory.stored("a")
    assert memory.is_stored("a", b"1")
    assert not memory.is_stored("a", b"2")
    assert not memory.is_stored("b", b"1")


def test_the_oldest_is_forgotten_when_it_is_full() -> None:
    memory = ReplayMemory(most=2)
    for name in "abc":
        memory.is_other(name, b"1")
        memory.stored(name)
    assert [memory.is_stored(name, b"1") for name in "abc"] == [False, True, True]
    memory.stored("never seen")
    assert not memory.is_stored("never seen", b"1")
