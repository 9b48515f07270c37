"""What comes back is known on all machines of a store: events, who is left out, and one collect at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.errors import ConfigError, DamageError, UnfinishedError
from campaign.ledger.feedback import feedback_store
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.ledger.feedback.stored_event import LONGEST_TEXT
from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.ledger.postgres.feedback_exchange import FeedbackExchange, one_collect
from campaign.ledger.postgres.runs.copy_mark import EXCHANGED, refuse_in_copies
from campaign.ledger.postgres.schema import ensure_schema
from campaign.model import FeedbackEvent, FeedbackOutcome
from campaign.system.postgres import StoreAddress, connect, store_address
from tests.support.servers.store_server import StoreServer


@pytest.fixture
def address(server: StoreServer) -> StoreAddress:
    return store_address(server.database())


@pytest.fixture
def connection(address: StoreAddress) -> Iterator[StoreConnection]:
    with connect(address) as connection:
        ensure_schema(connection)
        yield connection


def event(name: str) -> FeedbackEvent:
    return FeedbackEvent(name, "test", FeedbackOutcome.HARD, 1.0, 2.0, f"{name[:40]}@example.com", "person")


def add(directory: Path, *names: str) -> None:
    with FeedbackStore(directory) as store:
        store.add([event(name) for name in names])
        store.sync()


def exchange(address: StoreAddress, directory: Path) -> int:
    with FeedbackExchange(address, directory) as found:
        return found.exchange()


def ids(directory: Path) -> list[str]:
    return [one.id for one in read_events(directory)]


def stored(connection: StoreConnection) -> int:
    return int(connection.execute("SELECT count(*) FROM campaign.feedback_event").fetchall()[0][0])


def test_what_one_machine_adds_is_on_the_others_after_an_exchange_of_each(
    tmp_path: Path, address: StoreAddress, connection: StoreConnection
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    add(one, "a", "b")
    add(two, "c")
    assert exchange(address, one) == 0
    assert exchange(address, two) == 2
    assert exchange(address, one) == 1
    assert ids(one) == ["a", "b", "c"]
    assert ids(two) == ["c", "a", "b"]
    assert (one / feedback_store.NAME).read_bytes().splitlines()[2] == (
        two / feedback_store.NAME
    ).read_bytes().splitlines()[0]
    assert stored(connection) == 3


def test_an_event_that_two_machines_have_read_is_there_once(
    tmp_path: Path, address: StoreAddress, connection: StoreConnection
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    add(one, "a", "b")
    add(two, "b", "c")
    for machine in (one, two, one, two):
        exchange(address, machine)
    assert sorted(ids(one)) == sorted(ids(two)) == ["a", "b", "c"]
    assert stored(connection) == 3


def test_an_exchange_reads_only_what_was_added_since_the_last(
    tmp_path: Path, address: StoreAddress, connection: StoreConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    add(one, "a")
    exchange(address, one)
    add(two, "b")
    exchange(address, two)
    exchange(address, one)
    starts: list[int] = []
    real = read_events

    def watched(directory: Path, *, start: int = 0, end: int | None = None) -> Iterator[FeedbackEvent]:
        starts.append(start)
        return real(directory, start=start, end=end)

    monkeypatch.setattr("campaign.ledger.postgres.feedback_exchange.read_events", watched)
    size = (one / feedback_store.NAME).stat().st_size
    assert exchange(address, one) == 0
    assert starts == [size]
    mark = json.loads((one / EXCHANGED).read_text())
    assert mark["seq"] == 2


def test_an_exchange_that_was_killed_before_it_noted_how_far_it_was_doubles_nothing(
    tmp_path: Path, address: StoreAddress, connection: StoreConnection
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    add(two, "x", "y")
    exchange(address, two)
    add(one, "a")
    exchange(address, one)
    (one / EXCHANGED).unlink()
    assert exchange(address, one) == 0
    assert sorted(ids(one)) == ["a", "x", "y"]


@pytest.mark.parametrize("lost", ["file", "store"])
def test_what_one_side_has_lost_comes_back_from_the_other(
    tmp_path: Path, server: StoreServer, address: StoreAddress, connection: StoreConnection, lost: str
) -> None:
    add(tmp_path, "a", "b")
    exchange(address, tmp_path)
    if lost == "file":
        (tmp_path / feedback_store.NAME).unlink()
        assert exchange(address, tmp_path) == 2
    else:
        connection.execute("DROP SCHEMA campaign CASCADE")
        assert exchange(address, tmp_path) == 0
    assert ids(tmp_path) == ["a", "b"]
    assert stored(connection) == 2


def test_a_long_id_of_any_letters_is_stored(tmp_path: Path, address: StoreAddress, connection: StoreConnection) -> None:
    add(tmp_path / "one", "漢" * LONGEST_TEXT)
    exchange(address, tmp_path / "one")
    assert exchange(address, tmp_path / "two") == 1


def test_an_event_that_was_altered_in_the_store_is_refused_with_its_number(
    tmp_path: Path, address: StoreAddress, connection: StoreConnection
) -> None:
    add(tmp_path / "one", "a")
    exchange(address, tmp_path / "one")
    connection.execute("UPDATE campaign.feedback_event SET event = overlay(event PLACING 'z' FROM 9)")
    with pytest.raises(DamageError, match="damaged") as refused:
        exchange(address, tmp_path / "two")
    assert "seq = 1" in refused.value.evidence[0]
    assert ids(tmp_path / "two") == []


def test_a_higher_number_is_never_committed_before_a_lower_one(
    tmp_path: Path, address: StoreAddress, connection: StoreConnection
) -> None:
    add(tmp_path / "one", "a")
    with connect(address) as slow, slow.transaction():
        slow.execute("SELECT pg_advisory_xact_lock(%s)", (0x63616D71,))
        slow.execute("INSERT INTO campaign.feedback_event (id, event) VALUES ('slow', 'slow')")
        adding = threading.Thread(target=exchange, args=(address, tmp_path / "one"))
        adding.start()
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while connection.execute(waits).fetchall()[0][0] == 0:
            assert adding.is_alive()
        assert stored(connection) == 0
        slow.execute("DELETE FROM campaign.feedback_event")
    adding.join()
    assert stored(connection) == 1


def test_one_machine_collects_at_a_time(address: StoreAddress, connection: StoreConnection) -> None:
    waits: list[float] = []
    with one_collect(address):
        with pytest.raises(UnfinishedError, match="Another machine is collecting"), one_collect(address):
            pass
        with pytest.raises(UnfinishedError), one_collect(address, patience=1.0, sleep=waits.append):
            pass
    assert waits == [0.5, 0.5]
    with one_collect(address):
        pass


def test_nobody_is_forgotten_in_a_file_that_the_store_would_fill_again(
    tmp_path: Path, address: StoreAddress, connection: StoreConnection
) -> None:
    add(tmp_path, "a")
    refuse_in_copies(tmp_path)
    exchange(address, tmp_path)
    with pytest.raises(ConfigError, match="copies of what a store keeps") as refused:
        refuse_in_copies(tmp_path)
    assert refused.value.evidence == (str(tmp_path / EXCHANGED),)
