"""`campaign repair` of a run in a store: damage and loss put in doubt those whom they concern, and nobody else."""

from __future__ import annotations

import asyncio
import email
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from campaign.config import load
from campaign.ledger.postgres.segments import unpack
from campaign.pipeline.command_context import prepare
from campaign.pipeline.workers.upkeep.repair_store import repair_newest
from tests.support.servers.shelf import FIN, Shelf
from tests.support.servers.store_server import StoreServer, store_server
from tests.support.stand import Stand, toml, until

PEOPLE = 430  # five shards: four of 100, and one of 30
SENT = 120
KILLED = 9


@pytest.fixture
def url(server: StoreServer) -> str:
    return server.database()


@pytest.fixture
async def machines(tmp_path: Path, shelf: Shelf, url: str) -> AsyncIterator[list[Stand]]:
    """Two machines with the same campaign; the first has sent to `SENT` people, the second has no copy of the run."""
    secret, found = tmp_path / "secret", []
    secret.write_text("one secret for all machines, of some length\n")
    secret.chmod(0o600)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        machine = Stand(tmp_path / name, PEOPLE)
        machine.set(campaign__secret_file="../secret", ledger__store=url)
        machine.set(delivery__relay=shelf.url, delivery__connections=4)
        found.append(machine)
    (await found[0].send("--limit", SENT)).ends(75)
    yield found
    for machine in found:
        await machine.leave()


def change(url: str, statement: str, *values: Any) -> list[Any]:
    with psycopg.connect(url) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description else []


def segments(url: str) -> dict[tuple[int, int], bytes]:
    rows = change(url, "SELECT shard, seq, data FROM campaign.segment")
    return {(shard, seq): bytes(data) for shard, seq, data in rows}


def damage(url: str, shard: int, seq: int) -> bytes:
    """Change an octet in the middle of a segment; returns what it is now."""
    data = bytearray(segments(url)[shard, seq])
    data[len(data) // 2] ^= 0x55
    change(url, "UPDATE campaign.segment SET data = %s WHERE shard = %s AND seq = %s", bytes(data), shard, seq)
    return bytes(data)


async def told(machine: Stand, *options: str, code: int = 0) -> Any:
    return json.loads((await machine.campaign("repair", machine.file, *options, "--json")).ends(code).out)


async def verdicts(machine: Stand) -> dict[str, int]:
    now = json.loads((await machine.campaign("status", machine.file, "--json")).ends(0).out)
    return {name: count for name, count in now["verdicts"].items() if count}


async def settled_by_log(machine: Stand, shelf: Shelf) -> None:
    """Settle doubts by the relay's log, and send to whom it does not have."""
    ids = [str(email.message_from_bytes(content)["Message-ID"]) for _, _, content in shelf.letters]
    machine.write("relay.log", "\n".join(ids) + "\n")
    (await machine.campaign("resolve", newest(machine), "--accepted", machine.folder / "relay.log"))
    (await machine.campaign("retry", machine.file, "--in-doubt")).ends(0)


def newest(machine: Stand) -> Path:
    """The folder of the run that began last."""
    return max((path.parent for path in machine.folder.rglob("runs/**/checkpoint.journal")), key=lambda run: run.name)


def everybody(shelf: Shelf) -> bool:
    """Whether each of them has exactly one letter."""
    return Counter(shelf.recipients) == Counter(f"p{number}@example.com" for number in range(PEOPLE))


# -- damage


async def test_a_damaged_segment_puts_in_doubt_whoever_of_its_shard_has_no_verdict(
    machines: list[Stand], shelf: Shelf, url: str
) -> None:
    one, two = machines
    ((shard, waiting),) = change(
        url, "SELECT shard, tally[1] FROM campaign.shard WHERE tally[1] > 0 AND tally[2] > 0 AND shard > 0"
    )
    damaged, before = damage(url, shard, 2), segments(url)
    foreseen = await told(two, "--dry-run")
    assert segments(url) == before
    done = await told(two)
    assert {**foreseen, "dry_run": False} == done
    assert {place.partition(": ")[0] for place in done["lost"]} == {f"shard {shard}, segment 2"}
    assert waiting <= done["in_doubt"] <= 100
    after = segments(url)
    assert {place for place in before if before[place] != after[place]} == {(shard, 2)}
    assert {place[0] for place in after.keys() - before.keys()} == {shard}
    (kept,) = two.run.glob(f"segment-{shard}-2.damaged-*")
    assert kept.read_bytes() == damaged
    now = await verdicts(two)
    assert now["in_doubt"] == done["in_doubt"]
    assert now["waiting"] == PEOPLE - SENT - waiting
    (await one.send()).ends(4)
    assert len(shelf.recipients) == PEOPLE - waiting  # none of them in that shard, as nobody knows who was served
    await settled_by_log(one, shelf)
    assert everybody(shelf)


async def test_a_worker_that_finds_damage_says_so_and_what_to_type(
    machines: list[Stand], shelf: Shelf, url: str
) -> None:
    for shard in range(1, 6):
        change(url, "UPDATE campaign.shard SET done = false")
        change(
            url,
            "INSERT INTO campaign.segment (run, shard, seq, token, data) SELECT run, %s, 900, 1, 'x' FROM campaign.run",
            shard,
        )
    (await machines[1].send()).tells(74, "is damaged", step="campaign repair FILE --dry-run")
    assert len(shelf.recipients) == SENT


async def test_segments_that_are_gone_are_damage_too_and_once_repaired_there_is_none(
    machines: list[Stand], shelf: Shelf, url: str
) -> None:
    one, two = machines
    change(url, "DELETE FROM campaign.segment WHERE shard = 1 AND seq BETWEEN 2 AND 5")
    change(url, "UPDATE campaign.shard SET done = false WHERE shard = 1")
    done = await told(one)
    assert done["lost"] == [f"shard 1, segment {number}: gone" for number in range(2, 6)]
    assert done["in_doubt"] > 0
    (await two.campaign("repair", two.file)).ends(0, "nothing needs repair")
    (await two.send()).ends(4)
    await settled_by_log(two, shelf)
    assert everybody(shelf)


async def test_where_nothing_is_damaged_nothing_is_repaired(machines: list[Stand], shelf: Shelf, url: str) -> None:
    before = segments(url)
    one, two = machines
    (await two.campaign("repair", two.file)).ends(0, "nothing needs repair")
    (await one.campaign("repair", one.run)).ends(0, "nothing needs repair")
    (await one.campaign("repair", one.file, "--dry-run")).ends(0, "nothing needs repair")
    assert segments(url) == before
    (await machines[1].send()).ends(0)
    assert everybody(shelf)


async def test_a_repair_is_refused_while_workers_serve_the_run(machines: list[Stand], shelf: Shelf, url: str) -> None:
    one, two = machines
    shelf.waits["dot"] = 1.0
    running = await one.sending()
    await until(lambda: len(shelf.recipients) > SENT, "it sends")
    (await two.campaign("repair", two.file)).tells(75, "Workers are serving this run", step="campaign stop RUN")
    await running.kill()


async def test_the_lost_first_line_of_a_run_cannot_be_repaired(machines: list[Stand], url: str) -> None:
    change(url, "UPDATE campaign.segment SET data = 'nothing' WHERE shard = 0 AND seq = 1")
    before = segments(url)
    for options in ((), ("--dry-run",)):
        (await machines[0].campaign("repair", machines[0].file, *options)).tells(74, "Nothing can be saved")
    assert segments(url) == before


async def test_other_lines_of_the_run_itself_put_nobody_in_doubt(machines: list[Stand], shelf: Shelf, url: str) -> None:
    (last,) = change(url, "SELECT max(seq) FROM campaign.segment WHERE shard = 0")[0]
    change(url, "UPDATE campaign.segment SET data = %s WHERE shard = 0 AND seq = %s", b"00000000 {}\n", last)
    done = await told(machines[0])
    assert (done["lost"], done["in_doubt"]) == ([f"shard 0, segment {last}: line 1"], 0)
    (await machines[1].send()).ends(0)
    assert everybody(shelf)


async def test_damaged_late_verdicts_are_kept_aside_and_settle_nothing(
    machines: list[Stand], shelf: Shelf, url: str
) -> None:
    change(url, "INSERT INTO campaign.late (run, shard, token, data) SELECT run, 2, 7, 'no line' FROM campaign.run")
    (await machines[1].send()).tells(74, "damaged")
    change(url, "UPDATE campaign.shard SET until = '-infinity', holder = NULL")
    done = await told(machines[1])
    assert (len(done["lost"]), done["in_doubt"]) == (1, 0)
    (kept,) = machines[1].run.glob("late-*.damaged-1")
    assert kept.read_bytes() == b"no line"
    (await machines[1].send()).ends(0)
    assert everybody(shelf)


async def test_a_damaged_plan_is_put_back_from_a_machine_that_has_it_and_nobody_is_in_doubt(
    machines: list[Stand], shelf: Shelf, url: str
) -> None:
    one, two = machines
    change(url, "UPDATE campaign.file SET data = overlay(data placing 'xx' from 40) WHERE name = 'plan.jsonl'")
    for options in ((), ("--dry-run",)):
        (await two.campaign("repair", two.file, *options)).tells(74, "this machine has no copy of it")
    done = await told(one)
    assert (done["lost"], done["in_doubt"]) == (["the file plan.jsonl"], 0)
    assert list(one.run.glob("store-plan.jsonl-0.damaged-1"))
    (await two.send()).ends(0)
    assert everybody(shelf)


# -- a fail-over


@pytest.fixture
async def lagging(machines: list[Stand], shelf: Shelf, server: StoreServer, url: str) -> str:
    """The store as a standby has it that lacks the last 40 letters of the first machine, one of them in doubt."""
    name = f"lagging_{os.urandom(3).hex()}"
    change(url, "SELECT 1")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {url.rpartition('/')[2]}")
    shelf.break_at("dot", FIN, after=10)
    (await machines[0].send("--limit", 40)).ends(75)
    found = server.url(name)
    change(found, "UPDATE campaign.run SET server = '123/00000001/alone'")
    for machine in machines:
        machine.set(ledger__store=found)
    return found


async def test_after_a_fail_over_whoever_has_no_verdict_is_in_doubt_and_by_the_relays_log_each_gets_one_letter(
    machines: list[Stand], shelf: Shelf, lagging: str
) -> None:
    one, two = machines
    for options in ((), ("--accept-changes",), ("--fresh",), ("--again",)):
        (await two.send(*options)).tells(74, "failed over", step="campaign repair gazette.toml --dry-run")
    assert len(shelf.recipients) == SENT + 40
    before = segments(lagging)
    foreseen = await told(two, "--dry-run")
    assert segments(lagging) == before
    assert (foreseen["failed_over"], foreseen["in_doubt"], foreseen["lost"]) == (True, PEOPLE - SENT, [])
    done = (await two.campaign("repair", two.file)).ends(0, "failed over", f"{PEOPLE - SENT} recipients are in doubt")
    assert "retry FILE --in-doubt serves the others" in done.err
    assert await verdicts(one) == {"accepted": SENT, "in_doubt": PEOPLE - SENT}
    (await one.campaign("repair", one.file)).ends(0, "nothing needs repair")
    (await two.send()).ends(4)
    assert len(shelf.recipients) == SENT + 40
    await settled_by_log(two, shelf)
    assert everybody(shelf)


async def test_a_standby_that_lagged_and_was_promoted_costs_nobody_a_letter_and_nobody_gets_two(
    machines: list[Stand], shelf: Shelf
) -> None:
    one, two = machines
    with store_server() as primary:
        url = primary.database()
        for machine in machines:
            machine.set(ledger__store=url, campaign__edition="two")
        shelf.letters.clear()
        (await one.send("--limit", SENT)).ends(75)
        primary.stop()
        standby = primary.standby()
        primary.start()
        (await two.send("--limit", 40)).ends(75)
        primary.stop("kill")
        standby.start()
        try:
            standby.promote()
            for machine in machines:
                machine.set(ledger__store=standby.url(url.rpartition("/")[2]))
            (await two.send()).tells(74, "/00000001/alone, and this is ", "/00000002/alone")
            (await two.campaign("repair", two.file)).ends(0, f"{PEOPLE - SENT} recipients are in doubt")
            (await one.send()).ends(4)
            assert len(shelf.recipients) == SENT + 40
            await settled_by_log(one, shelf)
            assert everybody(shelf)
        finally:
            standby.stop("immediate")


async def test_a_run_whose_commits_waited_for_a_standby_goes_on(machines: list[Stand], shelf: Shelf, url: str) -> None:
    change(url, "UPDATE campaign.run SET server = '123/00000001/synchronous'")
    (await machines[1].campaign("repair", machines[1].file)).ends(0, "nothing needs repair")
    (await machines[1].send()).ends(0)
    assert everybody(shelf)


# -- kills


def killed_at(step: int, act: Callable[[], object]) -> bool:
    """Whether ``act``, in a process of its own, was killed right before its ``step``-th statement or write."""
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def one(*args: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os._exit(KILLED)
                return call(*args, **options)

            return one

        for home, name in ((os, "write"), (Path, "replace"), (psycopg.Connection, "execute")):
            setattr(home, name, counted(getattr(home, name)))
        try:
            act()
        except BaseException:  # noqa: BLE001 - the parent sees it by the code
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"it failed at step {step}"
    return code == KILLED


async def test_a_repair_can_be_killed_at_every_step_and_the_same_command_completes_it(
    machines: list[Stand], shelf: Shelf, server: StoreServer, lagging: str
) -> None:
    damaged = damage(lagging, 1, 2)
    one, step, template = machines[0], 0, lagging.rpartition("/")[2]
    while True:
        step += 1
        name = f"{template}_{step}"
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        one.set(ledger__store=server.url(name))
        one.write("gazette.toml", toml(one.settings))
        job = prepare(load(one.file))
        killed = await asyncio.to_thread(killed_at, step, lambda job=job: repair_newest(job, dry_run=False))  # type: ignore[misc]
        if not killed:
            break
        change(server.url(name), "UPDATE campaign.edition SET until = '-infinity'")
        repair_newest(job, dry_run=False)
        assert repair_newest(job, dry_run=True).lost == []  # type: ignore[union-attr]
        counts = await asyncio.to_thread(tallies, server.url(name))
        assert counts["waiting"] == 0, step
        assert damaged in {path.read_bytes() for path in one.run.glob("segment-1-2.damaged-*")}
        for path in one.run.glob("*.damaged-*"):
            path.unlink()
    assert step > 20
    await settled_by_log(one, shelf)
    assert everybody(shelf)


def tallies(url: str) -> Counter[str]:
    """The verdicts by the segments alone."""
    state: dict[int, str] = {}
    for (data,) in change(url, "SELECT data FROM campaign.segment ORDER BY id"):
        for line in unpack(bytes(data)).splitlines():
            record = json.loads(line[9:])
            if record["is"] == "verdict":
                state[record["number"]] = record["verdict"]
    return Counter(state.get(number, "waiting") for number in range(PEOPLE))
