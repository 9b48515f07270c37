"""Limits that several workers keep in sum through PostgreSQL: exact by the times at which letters left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from campaign.config.delivery import DeliverySection
from campaign.config.units import Ramp, Rate
from campaign.delivery.pacing import slots
from campaign.delivery.pacing.slots import SlotThrottle, open_slots
from campaign.system.postgres import StoreAddress, connect, store_address
from tests.support.pacing_simulation import EPOCH, Simulation, fullest
from tests.support.servers.store_server import StoreServer

PACE = Path(slots.__file__).parents[2] / "ledger" / "postgres" / "sql" / "pace.sql"
ACCOUNT = "user@relay.example"


@pytest.fixture
def address(server: StoreServer) -> StoreAddress:
    found = store_address(server.database())
    with connect(found) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS campaign")
        connection.execute(PACE.read_bytes())
    return found


class PlayedStore:
    """`campaign.take_at` of a real server, at played times; it can forget what it was asked last, as after a crash."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._saved: list[tuple[float, list[Any], list[Any]]] = []
        self.keep = False
        connection.execute("TRUNCATE campaign.pace, campaign.pace_bucket")
        connection.execute("INSERT INTO campaign.pace (account, lane, boot) VALUES ('a', '', '0')")

    def __call__(self, ask: Mapping[str, Any], clock: float, boot: str) -> Mapping[str, Any]:
        if self.keep and not ask.get("durable"):
            self._saved.append((clock, *(self._rows(table) for table in ("pace", "pace_bucket"))))
        row = self.connection.execute(
            "SELECT campaign.take_at('a', %s::jsonb, %s, %s)", (json.dumps(ask), clock, boot)
        ).fetchone()
        assert row is not None
        return row[0]  # type: ignore[no-any-return]

    def forget(self, now: float) -> None:
        """Be as 0.6 s ago."""
        lost = [saved for saved in self._saved if saved[0] > EPOCH + now - 0.6]
        for table, rows in zip(("pace", "pace_bucket"), lost[0][1:] if lost else (), strict=False):
            self.connection.execute(f"TRUNCATE campaign.{table}")
            self.connection.execute(
                f"INSERT INTO campaign.{table} "
                f"SELECT * FROM jsonb_populate_recordset(NULL::campaign.{table}, %s::jsonb)",
                (json.dumps(rows),),
            )
        self._saved.clear()

    def _rows(self, table: str) -> list[Any]:
        row = self.connection.execute(f"SELECT coalesce(jsonb_agg(t), '[]') FROM campaign.{table} t").fetchone()
        assert row is not None
        return row[0]  # type: ignore[no-any-return]


@pytest.fixture
def played(address: StoreAddress) -> Iterator[PlayedStore]:
    with connect(address) as connection:
        connection.execute("SET synchronous_commit = off")
        yield PlayedStore(connection)


@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 2**32),
    workers=st.lists(
        st.tuples(st.floats(-3600, 3600), st.floats(-2e-4, 2e-4), st.sampled_from([0.0005, 0.01, 0.05, 0.2])),
        min_size=1,
        max_size=4,
    ),
    restarts=st.lists(st.floats(0.3, 1.8), max_size=2),
    dies=st.floats(0.3, 2.5),
)
def test_no_window_is_over_its_limit_for_any_latency_skew_restart_or_number_of_workers(
    played: PlayedStore, seed: int, workers: list[tuple[float, float, float]], restarts: list[float], dies: float
) -> None:
    limits = [Rate(40, 0.5), Rate(60, 1.1)]
    domains = {"d.example": [Rate(8, 0.4), Rate(14, 0.9)]}
    played.__init__(played.connection)  # type: ignore[misc]
    played.keep = bool(restarts)
    simulation = Simulation(played, seed, sorted(restarts), played.forget)
    for number, (skew, drift, latency) in enumerate(workers):
        simulation.add(
            limits,
            domains,
            groups=("a.example", "d.example"),
            skew=skew,
            drift=drift,
            latency=latency,
            dies=dies if number else 1e9,
        )
    simulation.run(2.5)
    uses = simulation.uses
    assert uses
    for limit in limits:
        assert fullest(uses, limit.per) <= limit.count, limit
    for limit in domains["d.example"]:
        assert fullest(uses, limit.per, "d.example") <= limit.count, limit


def test_three_workers_use_97_percent_of_a_second_and_of_a_longer_window(played: PlayedStore) -> None:
    simulation = Simulation(played, 1)
    for _ in range(3):
        simulation.add([Rate(200, 1), Rate(380, 2)])
    simulation.run(6.0)
    # 380 in 2 s, of which the slowest second allows 200; the first second is left out.
    later = [use for use in simulation.uses if use[0] >= 2.0]
    assert 0.97 * 380 <= fullest(later, 2.0) <= 380
    assert len(later) >= 0.97 * 760
    assert fullest(simulation.uses, 1.0) <= 200


def test_a_limit_of_a_second_alone_is_used_to_97_percent(played: PlayedStore) -> None:
    simulation = Simulation(played, 2)
    for _ in range(3):
        simulation.add([Rate(200, 1)])
    simulation.run(4.0)
    later = [use for use in simulation.uses if use[0] >= 1.0]
    assert 0.97 * 200 <= fullest(later, 1.0) <= 200


def test_50_ms_to_the_database_cost_little_of_a_window_of_ten_seconds(played: PlayedStore) -> None:
    simulation = Simulation(played, 3)
    for skew in (-5.0, 0.0, 7.0):
        simulation.add([Rate(400, 4)], skew=skew, latency=0.05)
    simulation.run(8.0)
    later = [use for use in simulation.uses if use[0] >= 4.0]
    assert 0.95 * 400 <= len(later) <= 400


def test_a_worker_that_dies_takes_at_most_the_horizon_with_it(played: PlayedStore) -> None:
    simulation = Simulation(played, 4)
    for _ in range(2):
        simulation.add([Rate(200, 1)])
    simulation.add([Rate(200, 1)], dies=1.5)
    simulation.run(3.0)
    assert len([use for use in simulation.uses if 1.5 <= use[0] < 2.5]) >= 200 * 0.7
    assert len([use for use in simulation.uses if 2.0 <= use[0] < 3.0]) >= 200 * 0.95


def ask_for(want: int, *limits: Rate, **more: Any) -> dict[str, Any]:
    """A question for slots of the account alone."""
    lane = {"name": "", "want": want, "counts": [one.count for one in limits], "pers": [one.per for one in limits]}
    return {"account": lane | more, "grace": 0.02, "lead": 0.0, "horizon": 0.3}


def test_slots_that_were_not_used_are_given_back_to_their_own_bucket(played: PlayedStore) -> None:
    ask = ask_for(20, Rate(1000, 1), Rate(20, 60))
    answer = played(ask, EPOCH, "0")
    assert len(answer["slots"]) == 20
    assert played(ask, EPOCH + 0.1, "0")["slots"] == []
    back = [{"lane": "", "era": answer["era"], "stop": slot[3]} for slot in answer["slots"][:7]]
    assert len(played(ask | {"back": back}, EPOCH + 0.2, "0")["slots"]) == 7


def test_slots_of_before_a_restart_cannot_be_given_back(played: PlayedStore) -> None:
    ask = ask_for(20, Rate(100, 1), Rate(2000, 60))
    answer = played(ask, EPOCH, "0")
    assert len(answer["slots"]) == 20
    back = [{"lane": "", "era": answer["era"], "stop": slot[3]} for slot in answer["slots"]]
    played(ask_for(0, Rate(100, 1), Rate(2000, 60)) | {"back": back}, EPOCH + 1, "1")
    row = played.connection.execute("SELECT sum(n) FROM campaign.pace_bucket WHERE per = 60").fetchone()
    assert row is not None
    assert row[0] == 20 + 89  # and 0.9 s of turns, which may have been forgotten


def test_the_store_says_which_limit_keeps_letters_back_and_until_when(played: PlayedStore) -> None:
    ask = ask_for(20, Rate(1000, 1), Rate(20, 60))
    played(ask, EPOCH, "0")
    first, blocked = played(ask, EPOCH + 1, "0")["lanes"][""]
    assert blocked == 2
    assert EPOCH + 60 < first < EPOCH + 60.2


def test_letters_that_left_count_under_a_limit_that_is_set_later(played: PlayedStore) -> None:
    for tenth in range(10):
        assert len(played(ask_for(30, Rate(300, 1)), EPOCH + tenth / 10, "0")["slots"]) >= 28
    first, blocked = played(ask_for(20, Rate(10, 1), Rate(200, 30)), EPOCH + 1.0, "0")["lanes"][""]
    assert blocked == 2
    assert first > EPOCH + 30
    assert played(ask_for(20, Rate(10, 1)), EPOCH + 1.0, "0")["slots"] == []
    assert played(ask_for(20, Rate(10, 1)), EPOCH + 2.5, "0")["slots"] != []


def test_a_ramp_begins_slowly_and_a_warm_up_ends_a_day_early(played: PlayedStore) -> None:
    ramp = Ramp(Rate(10, 1), Rate(100, 1), 100.0)
    ask = ask_for(99, Rate(100, 1), ramp=[ramp.start.per_second, ramp.end.per_second, ramp.over])
    assert len(played(ask, EPOCH, "0")["slots"]) == 4
    played(ask, EPOCH + 50, "0")
    assert len(played(ask, EPOCH + 90, "0")["slots"]) >= 25
    played.__init__(played.connection)  # type: ignore[misc]
    ask = ask_for(99, warmup=[5, 12])
    assert len(played(ask, EPOCH, "0")["slots"]) == 5
    assert len(played(ask, EPOCH + 3600, "0")["slots"]) == 0
    assert len(played(ask, EPOCH + 86400 * 1.01, "0")["slots"]) == 12


def test_old_buckets_are_cleaned(played: PlayedStore) -> None:
    for second in range(0, 100, 2):
        played(ask_for(5, Rate(1000, 1), Rate(100_000, 3)), EPOCH + second, "0")
    row = played.connection.execute("SELECT count(*) FROM campaign.pace_bucket WHERE per = 3").fetchone()
    assert row is not None
    assert row[0] < 100


# Real event loops, real time.


@contextlib.asynccontextmanager
async def sending(
    throttle: SlotThrottle, groups: Sequence[str] = ("a.example",), *, connections: int = 6
) -> AsyncIterator[list[tuple[float, str]]]:
    """Connections that take every turn they can get; the list is when, and to whom."""
    uses: list[tuple[float, str]] = []

    async def connection(number: int) -> None:
        group = groups[number % len(groups)]
        while True:
            while wait := throttle.take(group, time.monotonic()):  # noqa: ASYNC110 - as Admission does
                await asyncio.sleep(min(wait, 0.05))
            uses.append((time.monotonic(), group))

    tasks = [asyncio.create_task(connection(number)) for number in range(connections)]
    try:
        yield uses
    finally:
        for task in tasks:
            task.cancel()
        throttle.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(true: Callable[[], bool], seconds: float = 8.0) -> None:
    """Return once it is true."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


LIMITS = [Rate(100, 0.5), Rate(150, 1.0)]
DOMAINS = {"d.example": [Rate(15, 0.5)]}


def _worker(address: StoreAddress, pipe: Any) -> None:
    """A worker process: says when each letter left, at once, until it is ended or killed."""

    async def work() -> None:
        throttle = SlotThrottle(address, ACCOUNT, LIMITS, DOMAINS)
        async with sending(throttle, ("a.example", "d.example")) as uses:
            told = 0
            while not pipe.poll():
                pipe.send(uses[told:])
                told = len(uses)
                await asyncio.sleep(0.005)
        pipe.send(uses[told:])
        pipe.send(None)

    asyncio.run(work())


@pytest.fixture
def worker_processes(address: StoreAddress) -> Iterator[list[tuple[Any, Any]]]:
    """Three processes that send, each with its end of a pipe."""
    context = multiprocessing.get_context("fork")
    found = []
    for _ in range(3):
        pipe, end = context.Pipe()
        process = context.Process(target=_worker, args=(address, end), daemon=True)
        process.start()
        end.close()
        found.append((process, pipe))
    yield found
    for process, _ in found:
        process.kill()
        process.join()


def hear(workers: list[tuple[Any, Any]], uses: list[list[tuple[float, str]]], enough: Callable[[], bool]) -> None:
    """Receive what left until that is enough, or all workers have ended."""
    silent: set[int] = set()
    limit = time.monotonic() + 15
    while not enough() and len(silent) < len(workers) and time.monotonic() < limit:
        for number, (_, pipe) in enumerate(workers):
            if number not in silent and pipe.poll(0.001):
                try:
                    found = pipe.recv()
                except EOFError:
                    found = None
                uses[number] += found or []
                silent |= {number} if found is None else set()


def test_three_processes_keep_every_limit_in_sum_also_when_one_is_killed(
    worker_processes: list[tuple[Any, Any]],
) -> None:
    uses: list[list[tuple[float, str]]] = [[], [], []]
    hear(worker_processes, uses, lambda: all(len(some) > 20 for some in uses))
    worker_processes[2][0].kill()
    killed = time.monotonic()
    hear(worker_processes, uses, lambda: time.monotonic() > killed + 1.2)
    for _, pipe in worker_processes[:2]:
        pipe.send("end")
    hear(worker_processes, uses, lambda: False)
    together = sorted(use for some in uses for use in some)
    for limit in LIMITS:
        assert fullest(together, limit.per) <= limit.count
    assert fullest(together, 0.5, "d.example") <= 15
    after = [use for use in together if killed + 0.3 < use[0] < killed + 1.2]
    assert len(after) > 0.9 * 150 * 0.5  # the others have its turns


async def test_no_letter_leaves_while_the_server_is_away_and_limits_hold_over_its_restart(
    server: StoreServer, address: StoreAddress, caplog: pytest.LogCaptureFixture
) -> None:
    limits = [Rate(100, 1), Rate(500, 20)]
    throttle = SlotThrottle(address, ACCOUNT, limits)
    async with sending(throttle) as uses:
        await until(lambda: len(uses) > 20)
        await asyncio.to_thread(server.stop, "immediate")
        away = time.monotonic()
        await until(lambda: "the store does not answer" in caplog.text)
        await asyncio.sleep(0.5)
        back = time.monotonic()
        await asyncio.to_thread(server.start)
        await until(lambda: len([use for use in uses if use[0] > back]) > 20)
    assert not [use for use in uses if away + 0.4 < use[0] < back]
    assert caplog.text.count("the store does not answer") == 1
    for limit in limits:
        assert fullest(uses, limit.per) <= limit.count


async def test_slow_and_hold_of_one_worker_hold_for_all(address: StoreAddress) -> None:
    domains = {"d.example": [Rate(100, 1)]}
    one, other = (SlotThrottle(address, ACCOUNT, [Rate(200, 1)], domains) for _ in range(2))
    async with sending(one, ("a.example", "d.example")), sending(other, ("a.example",)) as uses:
        await until(lambda: len(uses) > 20)
        sentence = one.slow(None, time.monotonic(), 0.1)
        assert sentence.startswith("the relay: slowed from 200/s to 20/s")
        assert one.slow(None, time.monotonic(), 0.1) == ""  # the same event
        await asyncio.sleep(0.4)
        start = time.monotonic()
        await asyncio.sleep(0.5)
        assert len([use for use in uses if use[0] > start]) <= 11
        assert other.slow(None, time.monotonic(), 0.1) == ""  # it was told
        one.hold("d.example", time.monotonic(), 30.0)
        await until(lambda: other.wait("d.example", time.monotonic()) > 20)
        assert other.wait("a.example", time.monotonic()) < 5


async def test_an_account_without_limits_asks_for_no_turns_and_hears_of_a_hold(address: StoreAddress) -> None:
    one, other = (SlotThrottle(address, ACCOUNT, []) for _ in range(2))
    for throttle in (one, other):
        for _ in range(100):
            assert throttle.take("a.example", time.monotonic()) == 0.0
    await asyncio.sleep(0)
    one.hold("a.example", time.monotonic(), 30.0)
    one.slow("b.example", time.monotonic())
    await until(lambda: other.wait("a.example", time.monotonic()) > 20)
    assert other.slow("b.example", time.monotonic()) == ""  # it was told, so this is the same event
    assert other.wait("c.example", time.monotonic()) == 0.0
    with connect(address) as connection:
        assert connection.execute("SELECT sum(next) FROM campaign.pace WHERE lane = ''").fetchone() == (0.0,)
        assert connection.execute("SELECT FROM campaign.pace_bucket").fetchone() is None
    one.close()
    other.close()


async def test_a_rate_set_while_running_holds_from_then_on(address: StoreAddress) -> None:
    throttle = SlotThrottle(address, ACCOUNT, [Rate(50, 0.5)])
    async with sending(throttle) as uses:
        await until(lambda: len(uses) > 30)
        throttle.set_rate([Rate(10, 0.5)])
        changed = time.monotonic()
        await asyncio.sleep(1.2)
    assert throttle.limits == (Rate(10, 0.5),)
    after = [use for use in uses if use[0] >= changed]
    assert len(after) > 5
    assert fullest(after, 0.5) <= 10
    assert after[0][0] > changed + 0.1  # those that had left count too


async def test_a_letter_that_left_without_a_turn_is_counted(address: StoreAddress) -> None:
    throttle = SlotThrottle(address, ACCOUNT, [Rate(100, 1), Rate(30, 60)])
    async with sending(throttle) as uses:
        await until(lambda: len(uses) > 3)
        for _ in range(10):
            throttle.spend("a.example", time.monotonic())
        await until(lambda: throttle.held_by("a.example", time.monotonic())[1] == Rate(30, 60))
        name, limit, seconds = throttle.held_by("a.example", time.monotonic())
        assert (name, limit) == ("", Rate(30, 60))
        assert 55 < seconds <= 61
    assert len(uses) <= 20 + 8  # what was held when they left


async def test_the_settings_of_a_campaign_make_the_throttle(address: StoreAddress, tmp_path: Path) -> None:
    (tmp_path / "warmup.csv").write_text("day,letters\n1,3\n")
    delivery = DeliverySection.model_validate(
        {
            "relay": "smtp://127.0.0.1",
            "rate": ["20/s"],
            "domain_rate": {"gmail.com": ["2/min"]},
            "warmup_file": "warmup.csv",
        }
    )
    throttle = open_slots(delivery, address, ACCOUNT, tmp_path)
    assert throttle.limits == (Rate(20, 1),)
    assert throttle.by_domain
    assert not throttle.shared
    async with sending(throttle, ("gmail.com", "a.example")) as uses:
        await until(lambda: len(uses) == 3)
        await until(lambda: throttle.wait("a.example", time.monotonic()) > 60)
    assert len(uses) == 3
