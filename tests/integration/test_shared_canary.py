"""The canary of a run that several machines serve: it goes first, holds the rest for all, and outlives its workers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from campaign.ledger.postgres.schema import ensure_schema
from campaign.system.postgres import connect, store_address
from tests.support.servers.shelf import Shelf
from tests.support.servers.store_server import StoreServer
from tests.support.stand import Running, Stand, until

PEOPLE, SIZE = 900, 6  # nine shards, six of which have somebody who goes first
FIRST = [f"p{number}@example.com" for number in range(0, PEOPLE, PEOPLE // SIZE)]


@pytest.fixture
async def machines(
    tmp_path: Path, server: StoreServer, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Stand]]:
    """Two machines with the same campaign, which has a canary; each has a folder of its own."""
    monkeypatch.setattr("tests.support.stand.PATIENCE", 60.0)
    url, found = server.database(), []
    with connect(store_address(url)) as connection:
        ensure_schema(connection)
        connection.execute("UPDATE campaign.meta SET lease = '5 s'")
    secret = tmp_path / "secret"
    secret.write_text("one secret for all machines, of some length\n")
    secret.chmod(0o600)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        machine = Stand(folder, PEOPLE)
        machine.set(campaign__secret_file="../secret", ledger__store=url)
        machine.set(delivery__relay=shelf.url, delivery__connections=4, delivery__canary=SIZE)
        found.append(machine)
    yield found
    for machine in found:
        await machine.leave()


def everybody(shelf: Shelf) -> bool:
    return Counter(shelf.recipients) == Counter(f"p{number}@example.com" for number in range(PEOPLE))


async def says(running: Running, text: str) -> None:
    await until(lambda: text in running.talk or running.process.returncode is not None, text)
    assert text in running.talk, running.talk


async def status(machine: Stand) -> Any:
    return json.loads((await machine.campaign("status", machine.file, "--json")).ends(0).out)


async def test_the_canary_goes_first_and_a_resume_from_any_machine_lets_all_workers_send_the_rest(
    machines: list[Stand], shelf: Shelf
) -> None:
    one = await machines[0].sending()
    await says(one, "the canary is out, 100.0% of it accepted; the rest waits for campaign resume")
    two = await machines[1].sending()
    await says(two, "this worker waits with the others")
    assert sorted(shelf.recipients) == sorted(FIRST)
    now = await status(machines[1])
    assert (now["state"], now["running"], now["canary"]) == ("paused", True, SIZE)
    table = (await machines[1].campaign("status", machines[1].file)).out
    assert f"{SIZE} go first, the rest waits" in table
    resumed = await machines[1].campaign("resume", machines[1].file)
    assert "no process serves" not in resumed.out + resumed.err
    ended = [(await running.end()).ends(0) for running in (one, two)]
    assert "".join(each.err for each in ended).count("the rest goes out") == 1
    assert everybody(shelf)


async def test_the_rest_goes_out_by_itself_after_the_hold(machines: list[Stand], shelf: Shelf) -> None:
    ended = (await machines[0].set(delivery__canary_hold="1s").send()).ends(0, "or 1 s from now by itself")
    assert "the rest goes out" in ended.err
    assert everybody(shelf)


async def test_too_few_accepted_of_the_canary_end_the_run_for_all_workers_until_it_is_released(
    machines: list[Stand], shelf: Shelf
) -> None:
    for address in FIRST[:2]:
        shelf.refuse[address] = "550 5.7.1 not you"
    shelf.waits["dot"] = 0.3
    running = [await machine.sending() for machine in machines]
    ended = [(await each.end()).ends(5) for each in running]
    assert any("only 66.7% of the canary was accepted" in each.err for each in ended)
    assert not any("an operator asked" in each.err for each in ended)
    (await machines[1].send()).ends(5)
    shelf.waits.clear()
    assert sorted(shelf.recipients) == sorted(FIRST[2:])
    (await machines[1].campaign("resume", machines[1].file)).ends(0)
    (await machines[1].send()).ends(3)
    assert len(shelf.recipients) == PEOPLE - 2


async def test_another_machine_goes_on_with_the_canary_of_a_worker_that_was_killed(
    machines: list[Stand], shelf: Shelf
) -> None:
    shelf.waits["dot"] = 2.0
    one = await machines[0].sending()
    await until(lambda: len(shelf.recipients) > 1, "letters of the canary wait for the reply to their dots")
    await one.kill()
    shelf.waits.clear()
    two = await machines[1].sending()
    await says(two, "the rest waits for campaign resume")
    assert sorted(shelf.recipients) == sorted(FIRST)
    now = await status(machines[1])
    assert now["verdicts"]["accepted"] + now["verdicts"]["in_doubt"] == SIZE
    assert 0 < now["verdicts"]["in_doubt"] <= 4
    await two.kill()
    (await machines[0].campaign("resume", machines[0].file)).ends(0)
    (await machines[0].send()).ends(4, "the rest goes out")
    assert everybody(shelf)


async def test_a_hold_outlives_all_workers_and_a_restart_of_the_store(
    machines: list[Stand], shelf: Shelf, server: StoreServer
) -> None:
    one = await machines[0].sending()
    await says(one, "the rest waits for campaign resume")
    await one.kill()
    await asyncio.to_thread(server.stop, "immediate")
    await asyncio.to_thread(server.start)
    two = await machines[1].sending()
    await says(two, "this worker waits with the others")
    (await machines[0].campaign("cancel", machines[0].file)).ends(0)
    (await two.end()).ends(3)
    assert sorted(shelf.recipients) == sorted(FIRST)


async def test_an_operator_s_pause_outlasts_the_hold(machines: list[Stand], shelf: Shelf) -> None:
    one = await machines[0].set(delivery__canary_hold="3s").sending()
    await says(one, "the rest waits for campaign resume")
    (await machines[1].campaign("pause", machines[1].file)).ends(0)
    await asyncio.sleep(4.0)  # longer than the hold
    assert sorted(shelf.recipients) == sorted(FIRST)
    (await machines[1].campaign("resume", machines[1].file)).ends(0)
    (await one.end()).ends(0)
    assert everybody(shelf)


async def test_a_canary_that_was_held_on_files_is_still_held_once_it_has_been_moved_into_a_store(
    machines: list[Stand], shelf: Shelf
) -> None:
    url = machines[0].settings["ledger"].pop("store")
    one = await machines[0].sending()
    await says(one, "the rest waits for campaign resume")
    await one.kill()
    machines[0].set(ledger__store=url)
    (await machines[0].campaign("move", machines[0].file)).ends(0)
    two = await machines[1].sending()
    await says(two, "the rest waits for campaign resume")
    assert sorted(shelf.recipients) == sorted(FIRST)
    (await machines[0].campaign("resume", machines[0].file)).ends(0)
    (await two.end()).ends(0)
    assert everybody(shelf)
