"""Shards in PostgreSQL: one holder at a time, appended by compare-and-swap, whoever was frozen, cut off or killed."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path
from unittest.mock import AsyncMock

import psycopg
import pytest

from campaign.errors import CampaignError, ConfigError, UnfinishedError
from campaign.ledger import checkpoint
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.postgres import edition_lease, schema, segment_writer, worker_session
from campaign.ledger.postgres.edition_lease import EditionLease, StoreConnection, hold_edition, hold_every_edition
from campaign.ledger.postgres.runs import run_copies
from campaign.ledger.postgres.runs.check_in import WorkersError, check_in, check_out
from campaign.ledger.postgres.runs.copy_mark import is_copy
from campaign.ledger.postgres.runs.run_copies import RunCopy, copied, refresh_copy
from campaign.ledger.postgres.runs.stored_runs import newest_stored, record_request, run_records
from campaign.ledger.postgres.schema import ensure_schema
from campaign.ledger.postgres.segment_writer import LeaseLostError
from campaign.ledger.postgres.session_connection import StoreAwayError, StoreLostError
from campaign.ledger.postgres.worker_session import WorkerSession
from campaign.ledger.recovery import read_history
from campaign.ledger.shards.lease import nobody_due
from campaign.ledger.shards.shard_ledger import ShardLedger
from campaign.model import Letter, Outcome, Verdict
from campaign.system.postgres import StoreAddress, connect, store_address
from campaign.system.process_name import placed_name, process_name
from tests.support.servers.store_server import StoreServer, store_server

PEOPLE = 250  # three shards: 100, 100, 50


@pytest.fixture
def place(server: StoreServer, tmp_path: Path) -> Iterator[Place]:
    place = Place(server, tmp_path)
    yield place
    place.connection.close()


class Place:
    """A store with one run of `PEOPLE` recipients, and as many workers as are asked for."""

    def __init__(self, server: StoreServer, folder: Path) -> None:
        self.folder = folder / "gazette"
        self.address: StoreAddress = store_address(server.database())
        self.connection: StoreConnection = connect(self.address)
        ensure_schema(self.connection)
        self.opened = Opened("gazette", "", "first", 1, PEOPLE, "plan", {}, "shape", 1.7e9, "trace")
        self._names = itertools.count(1)
        run = self.folder / "first"
        run.mkdir(parents=True)
        (run / "plan.jsonl").write_text("a plan\n")
        checkpoint.create(run, self.opened)
        with self.held() as lease:
            self.copies = check_in(self.connection, lease, self.folder, {}, to_serve="first")
        self.run = self.copies["first"].run

    def held(self) -> AbstractContextManager[EditionLease]:
        return hold_edition(self.address, self.connection, "gazette", "", lambda _: False)

    @asynccontextmanager
    async def worker(self, *, resend: bool = False) -> AsyncIterator[Worker]:
        worker = Worker(self, f"worker{next(self._names)}", resend=resend)
        working = asyncio.create_task(worker.session.work())
        try:
            yield worker
            with suppress(CampaignError):
                await worker.session.writer.flush()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await worker.session.close()

    def value(self, statement: str) -> object:
        row = self.connection.execute(statement).fetchone()
        return row[0] if row else None

    def alone(self, shard: int) -> None:
        """Let no other shard be leased."""
        self.connection.execute("UPDATE campaign.shard SET done = (shard <> %s)", (shard,))

    def expire(self) -> None:
        """Let all leases have run out."""
        self.connection.execute("UPDATE campaign.shard SET until = '-infinity'")

    def standing(self) -> dict[str, int]:
        """The verdicts of the whole run, by the segments alone."""
        refresh_copy(self.connection, self.run, self.folder / "copy")
        tally = read_history(self.folder / "copy", running=True).tally()
        return {name: count for name, count in tally.items() if count}


class Worker:
    """One worker's session and ledger."""

    def __init__(self, place: Place, name: str, *, resend: bool) -> None:
        self.history = nobody_due(place.opened)
        self.session = WorkerSession(place.address, place.run, place.opened, name, self.history, resend=resend)
        self.ledger = ShardLedger(self.history, self.session.open_shard, self.session.finished)

    async def take(self) -> list[int]:
        lease = await self.session.lease()
        if lease is None:
            return []
        self.ledger.take(lease)
        return list(lease.numbers)

    async def dot(self, number: int) -> None:
        """The intent, as far as the moment in which the dot may leave."""
        found = self.ledger.intent(letter(number), "relay")
        assert found is not None
        await found

    async def send(self, *numbers: int) -> None:
        for number in numbers:
            await self.dot(number)
            self.answer(number)

    def answer(self, number: int, verdict: Verdict = Verdict.ACCEPTED) -> None:
        self.ledger.verdict(Outcome(number, verdict, "ok", 250, relay="relay"))


def letter(number: int) -> Letter:
    return Letter(number, f"<{number}@x>", "a@example.com", f"p{number}@example.org", b"x\r\n", bytes([number]) * 32)


# -- leases


async def test_each_shard_has_one_holder_and_all_are_served_once(place: Place) -> None:
    async with place.worker() as one, place.worker() as two:
        numbers = [await one.take(), await two.take(), await one.take()]
        assert sorted(itertools.chain(*numbers)) == list(range(PEOPLE))
        assert await two.take() == []
        for worker, mine in ((one, numbers[0] + numbers[2]), (two, numbers[1])):
            await asyncio.gather(*(worker.send(number) for number in mine))
            await worker.session.hand_back()
        standing = await one.session.standing()
        assert (standing.left, standing.held) == (0, 0)
        assert list(await two.session.tally(9))[:2] == [0, PEOPLE]
    assert place.standing() == {"accepted": PEOPLE}


async def test_what_is_left_of_a_shard_is_due_for_others_at_once(place: Place) -> None:
    async with place.worker() as one, place.worker() as two:
        assert (await one.take())[:3] == [0, 1, 2]
        await one.send(0, 1)
        one.ledger.leave()
        await one.session.hand_back()
        place.alone(1)
        assert (await two.take())[:2] == [2, 3]


async def test_a_shard_that_cannot_be_handed_back_while_the_store_is_away_is_handed_back_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.alone(3)
    async with place.worker() as one:
        await one.send(*await one.take())
        one.ledger.leave()
        away = AsyncMock(side_effect=StoreAwayError("The store does not answer."))
        with monkeypatch.context() as cut:
            cut.setattr(one.session._store, "execute", away)
            with pytest.raises(StoreAwayError):
                await one.session.hand_back()
        await one.session.hand_back()
    assert place.value("SELECT holder IS NULL AND done FROM campaign.shard WHERE shard = 3") is True


async def test_a_shard_whose_recipients_were_put_off_is_due_when_they_are(place: Place) -> None:
    async with place.worker() as one:
        numbers = await one.take()
        await one.send(*numbers[1:])
        await one.dot(0)
        one.ledger.verdict(Outcome(0, Verdict.DEFERRED, "later", 451, relay="relay"), not_before=4e9)
        await one.session.hand_back()
        taken = await one.take() + await one.take()
        assert 0 not in taken
        assert await one.take() == []
        assert place.value("SELECT extract(year FROM due)::int FROM campaign.shard WHERE shard = 1") == 2096


async def test_no_shard_is_leased_while_an_edition_is_held_or_a_run_is_stopped(place: Place) -> None:
    async with place.worker() as one:
        with place.held():
            assert await one.take() == []
        place.connection.execute("UPDATE campaign.run SET state = 'stop'")
        assert await one.take() == []
        place.connection.execute("UPDATE campaign.run SET state = 'pause'")
        assert await one.take() != []


async def test_the_holder_of_a_shard_gets_time_to_come_back_after_the_server_was_away(place: Place) -> None:
    async with place.worker() as one, place.worker() as two:
        await one.take()
        place.alone(1)
        place.expire()
        assert await two.take() == []  # the server has only begun
        place.connection.execute("UPDATE campaign.shard SET holder = NULL")
        assert await two.take() != []


# -- the fence


@pytest.fixture
def long_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts as having run for long, so that leases that have run out are free."""
    monkeypatch.setattr(
        worker_session,
        "_LEASE",
        worker_session._LEASE.replace("pg_postmaster_start_time()", "'-infinity'::timestamptz"),
    )


@pytest.mark.usefixtures("long_up")
async def test_a_holder_that_was_frozen_sends_no_further_dot_and_its_doubts_are_listed(place: Place) -> None:
    async with place.worker() as frozen, place.worker() as other:
        await frozen.take()
        await frozen.send(0)
        await frozen.dot(1)
        place.expire()
        assert (await other.take())[0] == 2
        with pytest.raises(LeaseLostError, match="taken over"):
            await frozen.dot(3)
    assert place.standing() == {"accepted": 1, "in_doubt": 1, "waiting": PEOPLE - 2}


@pytest.mark.usefixtures("long_up")
async def test_what_a_frozen_holder_hears_late_settles_its_doubt(place: Place) -> None:
    async with place.worker() as frozen, place.worker() as other, place.worker() as third:
        place.alone(1)
        numbers = await frozen.take()
        await frozen.dot(0)
        place.expire()
        taken = await other.take()
        await other.send(*taken)
        await other.session.hand_back()
        frozen.answer(0)
        with pytest.raises(LeaseLostError):
            await frozen.session.writer.flush()
        await frozen.session.testify()
        assert place.value("SELECT done FROM campaign.shard WHERE shard = 1") is False
        assert place.value("SELECT data IS NOT NULL FROM campaign.late") is True
        assert await third.take() == []  # nobody is due in it, and the testimony is merged
        assert place.standing() == {"accepted": len(numbers), "waiting": PEOPLE - len(numbers)}


@pytest.mark.usefixtures("long_up")
async def test_a_dot_waits_until_its_lease_is_known_to_hold(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place.worker() as one:
        await one.take()
        monkeypatch.setattr(one.session.writer, "_clock", lambda: 1e12)
        with pytest.raises(LeaseLostError):
            await one.dot(0)


async def test_an_append_whose_answer_was_lost_is_recognised_as_our_own(place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        once, writer = one.session.writer._append_once, one.session.writer

        async def lose_answer(*words: object) -> None:
            await once(*words)  # type: ignore[arg-type]
            writer._shards[0].seq -= 1
            writer._append_once = once  # type: ignore[method-assign]
            raise OSError("the answer was lost")

        writer._append_once = lose_answer  # type: ignore[method-assign]
        await one.send(0)
        await writer.flush()
        assert one.session.failure is None
    assert place.standing() == {"accepted": 1, "waiting": PEOPLE - 1}


async def test_a_store_that_has_lost_what_it_confirmed_stops_everything(place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        await one.send(0)
        await one.session.writer.flush()
        place.connection.execute("DELETE FROM campaign.segment WHERE shard = 1")
        with pytest.raises(StoreLostError, match="has lost what it had confirmed"):
            await one.dot(1)


async def test_lines_of_an_append_that_failed_are_not_lost_for_the_testimony(place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        await one.dot(0)
        await one.dot(1)
        place.connection.execute(
            "INSERT INTO campaign.segment (run, shard, seq, token, data) "
            "SELECT run, shard, max(seq) + 1, 1, '' FROM campaign.segment WHERE shard = 1 GROUP BY run, shard"
        )
        one.answer(0)
        one.answer(1)
        with pytest.raises(LeaseLostError):
            await one.session.writer.flush()
        assert b"".join(one.session._held[1].lines.unsaid).count(b"accepted") == 2


async def test_an_intent_wakes_the_writer_and_does_not_wait_for_its_next_look(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "ALONE_SECONDS", 3600.0)
    async with place.worker() as one, asyncio.timeout(20):
        await one.take()
        await one.send(0, 1, 2)
        await one.session.writer.flush()


async def test_a_store_that_does_not_answer_is_said_and_asked_again(server: StoreServer, place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        place.connection.close()
        server.stop("fast")
        for _ in range(2):  # the connection that is lost, and the one that cannot be opened
            with pytest.raises(StoreAwayError, match="does not answer"):
                await one.session.standing()
        waiting = asyncio.create_task(one.send(0))
        await asyncio.to_thread(server.start)
        await waiting  # the same segment again, once the store is back
        assert one.session.failure is None
        place.connection = connect(place.address)
    assert place.standing() == {"accepted": 1, "waiting": PEOPLE - 1}


async def test_a_commit_that_no_standby_confirmed_counts_as_not_done(place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        writer = one.session.writer
        await one.send(0)
        writer._unsure = True
        await one.send(1)  # said again, and confirmed
        assert writer._unsure is False
    assert place.standing() == {"accepted": 2, "waiting": PEOPLE - 2}


# -- editions


def test_an_edition_has_one_holder(place: Place) -> None:
    with place.held(), pytest.raises(UnfinishedError, match="Another command"), place.held():
        pass
    with place.held():
        pass


def test_a_holder_whose_lease_was_taken_changes_nothing(place: Place) -> None:
    with place.held() as lease:
        place.connection.execute("UPDATE campaign.edition SET token = 1")
        with pytest.raises(UnfinishedError, match="others may have gone on"):
            check_in(place.connection, lease, place.folder, {}, to_serve="first")
    assert place.value("SELECT count(*) FROM campaign.run") == 1


def holder(place: Place, process: int, *, here: bool = True, edition: str = "") -> str:
    """Let a process hold an edition for another minute; returns its name, as people see it."""
    host, _, rest, where = placed_name(process_name()).split(":")
    name = f"{host}:{process}:{rest}"
    place.connection.execute(
        "INSERT INTO campaign.edition (name, label, holder, token, until) "
        "VALUES ('gazette', %s, %s, %s, clock_timestamp() + interval '60 s') "
        "ON CONFLICT (name, label) DO UPDATE SET holder = excluded.holder, token = excluded.token, "
        "until = excluded.until",
        (edition, f"{name}:{where if here else '0' * 12}", 7 + len(edition)),
    )
    return name


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_an_edition_whose_holder_was_killed_on_this_machine_is_taken_at_once(place: Place, ended: int) -> None:
    holder(place, ended)
    with place.held() as lease:
        assert place.value("SELECT token FROM campaign.edition") == lease.token


def test_a_holder_that_lives_or_that_nothing_is_known_of_keeps_its_edition_and_it_is_said_until_when(
    place: Place, ended: int
) -> None:
    for process, here in ((os.getpid(), True), (ended, False)):
        name = holder(place, process, here=here)
        with pytest.raises(UnfinishedError) as refused, place.held():
            pass
        assert place.value("SELECT token FROM campaign.edition") == 7
    seconds = re.fullmatch(rf"{name}; if that was killed, the edition is free in (\d+) s", str(*refused.value.evidence))
    assert seconds
    assert 50 < int(seconds[1]) <= 60


def test_two_commands_do_not_both_take_the_edition_of_one_that_was_killed(place: Place, ended: int) -> None:
    holder(place, ended)
    first = "UPDATE campaign.edition SET token = 8, holder = 'another'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edition_lease, "has_ended", lambda _: bool(place.connection.execute(first)))
        with pytest.raises(UnfinishedError), place.held():
            pass
    assert place.value("SELECT token FROM campaign.edition") == 8


def test_all_editions_are_held_together_or_none_of_them(place: Place, ended: int) -> None:
    holder(place, ended)
    name = holder(place, os.getpid(), edition="two")
    with pytest.raises(UnfinishedError, match=name), hold_every_edition(place.address, place.connection):
        pass
    assert place.value("SELECT array_agg(token ORDER BY edition) FROM campaign.edition") == [7, 10]
    holder(place, ended, edition="two")
    with hold_every_edition(place.address, place.connection) as lease:
        assert lease
        assert place.value("SELECT array_agg(token) FROM campaign.edition") == [lease.token] * 2


async def test_nothing_is_checked_out_while_workers_hold_shards(place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        with place.held() as lease, pytest.raises(WorkersError, match="Workers are serving"):
            check_out(place.connection, lease)
        one.ledger.leave()
        await one.session.hand_back()
        with place.held() as lease:
            check_out(place.connection, lease)


async def test_checking_out_fences_whoever_was_frozen_and_lists_its_doubts(place: Place) -> None:
    async with place.worker() as frozen:
        await frozen.take()
        await frozen.dot(0)
        place.expire()
        with place.held() as lease:
            check_out(place.connection, lease)
        with pytest.raises(LeaseLostError):
            await frozen.dot(1)
    assert place.standing() == {"in_doubt": 1, "waiting": PEOPLE - 1}


async def test_what_was_done_on_a_copy_is_in_the_shards_it_is_about(place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        await one.send(0)
        one.ledger.leave()
        await one.session.hand_back()
    with place.held() as lease:
        check_out(place.connection, lease)
        copy = refresh_copy(place.connection, place.run, place.folder / "first")
        held = checkpoint.Checkpoint(place.folder / "first")
        for number in (1, 150):
            held.settle(number, Verdict.CANCELLED, "by hand")
        held.end(75)
        held.close()
        check_in(place.connection, lease, place.folder, {"first": copy})
    async with place.worker() as one:
        assert (await one.take())[:2] == [2, 3]
        assert 150 not in await one.take()
    assert run_records(place.connection, place.run).ended is not None
    assert place.standing() == {"accepted": 1, "cancelled": 2, "waiting": PEOPLE - 3}


def test_a_copy_is_the_run_as_it_was_made(place: Place) -> None:
    refresh_copy(place.connection, place.run, place.folder / "copy")
    for name in ("plan.jsonl", "checkpoint.journal"):
        assert (place.folder / "copy" / name).read_bytes() == (place.folder / "first" / name).read_bytes()
    found = newest_stored(place.connection, "gazette", "")
    assert found is not None
    assert (found.stamp, found.open) == ("first", True)


async def test_a_copy_lacks_nothing_that_was_committed_late(place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        await one.send(0)
    late = connect(place.address)
    late.autocommit = False
    # a segment whose number is given out before another's, and which is committed after it
    late.execute(
        "INSERT INTO campaign.segment (run, shard, seq, token, data) SELECT run, shard, seq + 1, token, data "
        "FROM campaign.segment WHERE shard = 1 ORDER BY seq DESC LIMIT 1"
    )
    async with place.worker() as two:
        await two.take()
        await two.session.writer.flush()
    before = refresh_copy(place.connection, place.run, place.folder / "copy")
    late.commit()
    late.close()
    after = refresh_copy(place.connection, place.run, place.folder / "copy")
    assert (after.segment, after.segments) == (before.segment, before.segments + 1)
    assert after.octets > before.octets


async def test_a_copy_whose_making_was_killed_is_no_run_on_files_and_is_made_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.worker() as one:
        await one.take()
        await one.send(0)
    folder, note = place.folder / "copy", run_copies.note_copy

    def killed(run: Path, copy: RunCopy) -> RunCopy:
        if copy.octets > 0:
            raise KeyboardInterrupt
        return note(run, copy)

    monkeypatch.setattr(run_copies, "note_copy", killed)
    with pytest.raises(KeyboardInterrupt):
        refresh_copy(place.connection, place.run, folder)
    monkeypatch.undo()
    assert (folder / "checkpoint.journal").read_bytes().count(b"\n") > 1
    assert is_copy(folder)  # otherwise the next command takes it for a run on files, and refuses the edition
    assert copied(folder) is None
    assert refresh_copy(place.connection, place.run, folder) == copied(folder)


# -- the server


def test_a_server_that_may_lose_what_it_confirmed_is_refused() -> None:
    with (
        store_server("fsync=off") as unsafe,
        connect(store_address(unsafe.database())) as connection,
        pytest.raises(ConfigError, match="may lose what it has confirmed"),
    ):
        ensure_schema(connection)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_character_is_refused(server: StoreServer, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")  # type: ignore[arg-type]
    with (
        connect(store_address(server.url(name))) as connection,
        pytest.raises(ConfigError, match="not in UTF-8") as refused,
    ):
        ensure_schema(connection)
    assert refused.value.evidence == (f"its encoding is {encoding}",)


def test_a_database_that_would_answer_in_octets_answers_in_text(place: Place) -> None:
    name = place.value("SELECT current_database()")
    place.connection.execute(f"ALTER DATABASE {name} SET client_encoding = 'SQL_ASCII'")  # type: ignore[arg-type]
    with connect(place.address) as connection:
        assert connection.execute("SELECT current_setting('fsync')").fetchone() == ("on",)


def test_a_schema_of_a_later_release_is_refused(place: Place) -> None:
    place.connection.execute("UPDATE campaign.meta SET version = 99")
    with pytest.raises(ConfigError, match="another release"):
        ensure_schema(place.connection)


@pytest.mark.parametrize("number", range(1, schema.VERSION))
def test_the_store_of_an_earlier_release_is_brought_up_to_date(
    server: StoreServer, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with connect(store_address(server.database())) as connection:
        with monkeypatch.context() as earlier:
            earlier.setattr(schema, "VERSION", number)
            ensure_schema(connection)
        connection.execute("UPDATE campaign.meta SET lease = '7 s'")
        ensure_schema(connection)
        assert connection.execute("SELECT version, lease::text FROM campaign.meta").fetchall() == [
            (schema.VERSION, "00:00:07")
        ]
        for table in ("feedback_event", "forgotten", "segment"):
            assert connection.execute(f"SELECT count(*) FROM campaign.{table}").fetchone() == (0,)


async def test_segments_go_with_the_run_that_is_deleted_and_others_stay(place: Place) -> None:
    async with place.worker() as one:
        await one.take()
        await one.send(0)
    place.connection.execute(
        "INSERT INTO campaign.segment (run, shard, seq, token, data) VALUES (%s, 1, 1, 7, 'x')", (place.run + 1,)
    )
    place.connection.execute("DELETE FROM campaign.run WHERE run = %s", (place.run,))
    left = place.connection.execute("SELECT DISTINCT run FROM campaign.segment").fetchall()
    assert left == [(place.run + 1,)]


def test_two_first_commands_make_the_schema_once(server: StoreServer) -> None:
    address = store_address(server.database())
    with connect(address) as one, connect(address) as two:
        ensure_schema(one)
        ensure_schema(two)
        with suppress(psycopg.Error):
            assert one.execute("SELECT count(*) FROM campaign.meta").fetchone() == (1,)


async def test_a_shard_whose_recipients_were_put_off_for_different_times_is_due_when_the_next_of_them_is(
    place: Place,
) -> None:
    place.alone(3)
    async with place.worker() as one:
        numbers = await one.take()
        await one.send(*numbers[2:])
        for number, after in zip(numbers[:2], (-5.0, 3600.0), strict=True):
            await one.dot(number)
            one.ledger.verdict(Outcome(number, Verdict.DEFERRED, "later", 451), time.time() + after)
        await one.session.hand_back()
        assert await one.take() == numbers[:1]
        await one.send(*numbers[:1])
        await one.session.hand_back()
        assert await one.take() == []  # and not at once a shard with nobody due
        due = place.value(
            "SELECT extract(epoch FROM due - clock_timestamp())::float8 FROM campaign.shard WHERE shard = 3"
        )
        assert isinstance(due, float)
        assert 3500 < due <= 3601


# -- the canary


async def test_the_rest_is_free_only_once_the_canary_has_been_tried_and_released(place: Place) -> None:
    place.connection.execute("UPDATE campaign.run SET canary = 2")  # 0 and 125: none in the third shard
    async with place.worker() as one, place.worker() as two:
        canary = one.session.canary
        assert await one.take() == [0]
        assert await two.take() == [125]
        assert await one.take() == []
        await one.send(0)
        await two.dot(125)
        assert await canary.hold("pause") is False  # some are under way
        two.answer(125, Verdict.REJECTED)
        for worker in (one, two):
            await worker.session.hand_back()
        found = await canary.standing()
        assert found is not None
        assert (found.out, found.held, found.share) == (False, False, 0.5)
        assert await canary.release(0.0) is False  # nothing was held yet
        assert [await worker.session.canary.hold("pause") for worker in (one, two)] == [True, False]
        assert await canary.release(None) is False
        assert await canary.release(3600.0) is False
        assert await one.take() == []
        assert await two.session.canary.release(0.0) is True
        assert await canary.standing() is None
        served = [await one.take(), await two.take(), await one.take()]
        assert sorted(itertools.chain(*served)) == sorted(set(range(PEOPLE)) - {0, 125})


async def test_somebody_of_the_canary_who_was_put_off_waits_for_its_end_like_the_rest(place: Place) -> None:
    place.connection.execute("UPDATE campaign.run SET canary = 1")
    async with place.worker() as one:
        assert await one.take() == [0]
        await one.dot(0)
        one.ledger.verdict(Outcome(0, Verdict.DEFERRED, "later", 451), time.time() - 5.0)
        await one.session.hand_back()
        assert await one.take() == []
        found = await one.session.canary.standing()
        assert found is not None
        assert (found.out, found.share) == (False, 0.0)
        assert await one.session.canary.hold("stop") is True
        standing = await one.session.standing()
        assert (standing.state, standing.failed) == ("stop", True)
        record_request(place.connection, place.run, "run", None, None)
        assert await one.session.canary.release(None) is True
        assert 0 in await one.take()
