"""Commands and workers that were frozen, cut off or overtaken at the worst moment: they change nothing any more."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any
from unittest.mock import AsyncMock, Mock

import psycopg
import pytest

from campaign.errors import CampaignError, StorageError, UnfinishedError
from campaign.ledger import checkpoint
from campaign.ledger.postgres import edition_lease, worker_session
from campaign.ledger.postgres.runs.check_in import check_in, check_out
from campaign.ledger.postgres.runs.run_copies import refresh_copy
from campaign.ledger.postgres.segment_writer import lease_lost
from campaign.ledger.postgres.segments import StoredShard
from campaign.ledger.postgres.session_connection import StoreLostError
from campaign.pipeline.workers.store_sender import StoreSender
from campaign.system.postgres import connect, store_errors
from tests.integration.test_store_ledger import PEOPLE, Place, place
from tests.integration.test_workers import machines
from tests.support.servers.shelf import Shelf
from tests.support.servers.store_server import StoreServer
from tests.support.stand import Stand

__all__ = ["machines", "place"]  # fixtures


def test_a_lease_of_an_edition_that_is_over_stays_over(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edition_lease, "BEAT_SECONDS", 0.05)
    with place.held() as lease:
        place.connection.execute("UPDATE campaign.edition SET until = clock_timestamp() - interval '1 s'")
        end = time.monotonic() + 0.5
        while time.monotonic() < end:  # the process is awake again, and renews
            assert place.value("SELECT until < clock_timestamp() FROM campaign.edition")
        with pytest.raises(UnfinishedError, match="others may have gone on"):
            check_in(place.connection, lease, place.folder, {})


async def test_what_a_worker_appended_since_the_copy_was_made_refuses_the_change(place: Place) -> None:
    with place.held() as lease:
        check_out(place.connection, lease)
        copy = refresh_copy(place.connection, place.run, place.folder / "first")
        place.connection.execute("UPDATE campaign.edition SET until = '-infinity'")
        async with place.worker() as one:
            numbers = await one.take()
            await one.send(*numbers[:5])
        place.connection.execute("UPDATE campaign.edition SET until = clock_timestamp() + interval '1 min'")
        held = checkpoint.Checkpoint(place.folder / "first")
        held.end(75, abandoned=True)
        held.close()
        with pytest.raises(CampaignError, match=r"Workers are serving|has gone on"):
            check_in(place.connection, lease, place.folder, {"first": copy})
        place.expire()
        with pytest.raises(UnfinishedError, match="has gone on"):
            check_in(place.connection, lease, place.folder, {"first": copy})
    assert place.value("SELECT open FROM campaign.run")
    assert place.standing() == {"accepted": 5, "waiting": PEOPLE - 5}


async def test_a_worker_that_was_frozen_before_it_took_over_a_shard_does_not_get_it(place: Place) -> None:
    async with place.worker() as frozen:
        woken, began = asyncio.Event(), asyncio.Event()
        take_over = frozen.session._take_over

        async def later(*words: Any) -> Any:
            began.set()
            await woken.wait()
            return await take_over(*words)

        frozen.session._take_over = later  # type: ignore[method-assign]
        taking = asyncio.create_task(frozen.take())
        await began.wait()
        place.expire()
        with place.held() as lease:
            check_out(place.connection, lease)
            woken.set()
            assert await taking == []  # the edition is held, so there is no other shard either
    assert place.value("SELECT count(*) FROM campaign.segment WHERE shard > 0") == 0


async def test_a_shard_that_was_handed_back_is_not_renewed(place: Place) -> None:
    async with place.worker() as one:
        place.alone(3)
        await one.send(*await one.take())
        await one.session.writer.flush()
        back = asyncio.create_task(one.session.hand_back())
        await asyncio.sleep(0)
        assert one.session._store._turn.locked()
        await one.session._renew()
        await back
        assert one.session.failure is None
    assert place.value("SELECT until < clock_timestamp() FROM campaign.shard WHERE shard = 3")


async def test_a_letter_that_waits_for_its_intent_is_told_that_the_shard_is_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_session, "RENEW_SECONDS", 0.05)
    async with place.worker() as one:
        await one.take()
        await one.send(0)
        with connect(place.address) as slow, slow.transaction():
            slow.execute("LOCK TABLE campaign.segment IN SHARE ROW EXCLUSIVE MODE")  # an append takes long
            dot = asyncio.create_task(one.dot(1))
            await asyncio.sleep(0.1)
            place.connection.execute("UPDATE campaign.shard SET token = 5 WHERE shard = 1")
            async with asyncio.timeout(10):
                with pytest.raises(StorageError, match="taken over"):
                    await dot
        assert b'"number":1' in b"".join(one.session._held[1].lines.unsaid)


async def test_a_server_that_may_lack_what_was_confirmed_is_seen_on_each_new_connection(place: Place) -> None:
    async with place.worker() as one:
        await one.send(*(await one.take())[:2])
        place.connection.execute("UPDATE campaign.run SET server = '1/00000001/alone'")  # the run began on another one
        await one.session._store.close()
        with pytest.raises(StoreLostError, match="has failed over"):
            await one.session.standing()
        await one.session.writer._drop_connection()
        with pytest.raises(StoreLostError, match="has failed over"):
            await one.dot(2)


def test_a_command_does_not_wait_for_ever_for_a_commit(place: Place, server: StoreServer) -> None:
    connection = connect(place.address)
    connection.limit = 0.3

    def commit_until_one_waits() -> None:
        with store_errors(place.address):
            while True:  # until the server has read its settings, it does not wait
                connection.execute("UPDATE campaign.run SET changed = changed + 1")

    with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
        owner.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        owner.execute("SELECT pg_reload_conf()")
        try:
            with pytest.raises(StorageError, match="cannot be used") as refused:
                commit_until_one_waits()
        finally:
            owner.execute("ALTER SYSTEM RESET synchronous_standby_names")
            owner.execute("SELECT pg_reload_conf()")
    assert "has not answered for" in str(refused.value)
    assert connection.closed


async def test_a_look_at_a_session_that_has_failed_does_not_end_the_worker() -> None:
    failed = Mock(failure=lease_lost(StoredShard(1, 2, 0, 100)), standing=AsyncMock())
    sender: Any = StoreSender.__new__(StoreSender)
    sender._watch = Mock(failure=None)
    sender._sender = Mock(suppression=Mock(look=AsyncMock()))
    sender._session, sender._looked, sender._counted = failed, float("-inf"), float("-inf")
    sender._heed = lambda _: None
    await sender.look()
    with pytest.raises(StorageError, match="taken over"):
        sender.session()


async def test_a_copy_whose_plan_was_changed_does_not_say_who_was_served(machines: list[Stand], shelf: Shelf) -> None:
    machine = machines[0]
    machine.people(range(5))
    (await machine.send()).ends(0)
    plan = machine.run / "plan.jsonl"
    plan.write_bytes(plan.read_bytes().replace(b"p3@example.com", b"q3@example.com"))
    machine.people(range(6))
    (await machine.send()).tells(78, "The frozen plan of this run was changed", step="campaign repair")
    (await machine.campaign("repair", machine.run)).ends(0)
    (await machine.send()).ends(0)
    assert Counter(shelf.recipients) == Counter(f"p{number}@example.com" for number in range(6))


async def test_a_copy_whose_journal_was_changed_is_made_anew_by_repair(machines: list[Stand], shelf: Shelf) -> None:
    machine = machines[0]
    machine.people(range(5))
    (await machine.send()).ends(0)
    journal = machine.run / "checkpoint.journal"
    octets = bytearray(journal.read_bytes())
    octets[len(octets) // 2] ^= 1
    journal.write_bytes(octets)
    (await machine.campaign("status", machine.run)).tells(74, step="campaign repair")
    (await machine.campaign("repair", machine.run)).ends(0)
    (await machine.send()).ends(0, "Nobody is left")
