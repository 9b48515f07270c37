"""Several machines serve one run: the same command in folders of their own, a store between them, one relay."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from campaign.ledger.postgres.schema import ensure_schema
from campaign.system.postgres import connect, store_address
from tests.support.bounces import Maildir, bounce
from tests.support.servers.shelf import FIN, Shelf
from tests.support.servers.store_server import StoreServer
from tests.support.stand import Running, Stand, until

PEOPLE = 900  # nine shards
SLOW, VERY_SLOW = 0.02, 0.3


@pytest.fixture
async def machines(
    tmp_path: Path, server: StoreServer, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Stand]]:
    """Three machines with the same campaign; each has a folder of its own."""
    monkeypatch.setattr("tests.support.stand.PATIENCE", 60.0)
    url, found = server.database(), []
    address = store_address(url)
    with connect(address) as connection:
        ensure_schema(connection)
        connection.execute("UPDATE campaign.meta SET lease = '5 s'")
    secret = tmp_path / "secret"
    secret.write_text("one secret for all machines, of some length\n")
    secret.chmod(0o600)
    for name in ("one", "two", "three"):
        folder = tmp_path / name
        folder.mkdir()
        machine = Stand(folder, PEOPLE)
        machine.set(campaign__secret_file="../secret", ledger__store=url)
        machine.set(delivery__relay=shelf.url, delivery__connections=4)
        found.append(machine)
    yield found
    for machine in found:
        await machine.leave()


def everybody(shelf: Shelf, people: int = PEOPLE) -> bool:
    """Whether each of them has exactly one letter."""
    return Counter(shelf.recipients) == Counter(f"p{number}@example.com" for number in range(people))


def gone(running: list[Running]) -> str:
    """What those said that have ended already."""
    return "".join(one.talk for one in running if one.process.returncode is not None)


async def all_at_work(machines: list[Stand], shelf: Shelf, then: float = SLOW) -> list[Running]:
    """All machines send, and have letters under way."""
    shelf.waits["dot"] = VERY_SLOW
    running = [await machine.sending() for machine in machines]
    await until(lambda: gone(running) or shelf.open == 4 * len(machines), "all are at work")
    assert not gone(running), gone(running)
    shelf.waits["dot"] = then
    return running


async def status(machine: Stand) -> Any:
    return json.loads((await machine.campaign("status", machine.file, "--json")).ends(0).out)


async def test_one_makes_the_run_the_others_join_and_each_letter_leaves_once(
    machines: list[Stand], shelf: Shelf
) -> None:
    running = await all_at_work(machines, shelf, VERY_SLOW)
    now = await status(machines[0])
    assert now["running"] is True
    assert len(now["workers"]) == 3
    shelf.waits["dot"] = SLOW
    ended = [await one.end() for one in running]
    assert [one.code for one in ended] == [0, 0, 0]
    assert everybody(shelf)
    talk = "".join(one.err for one in ended)
    assert talk.count("new run") == 1
    assert talk.count("joining run") == 2
    assert talk.count("another worker has written its report") == 2
    closed = [machine for machine in machines if (machine.run / "summary.json").exists()]
    assert len(closed) == 1
    assert closed[0].verdicts() == {"accepted": PEOPLE}
    for machine in machines:
        (await machine.send()).ends(0, "Nobody is left")


async def test_a_worker_that_is_killed_leaves_its_doubts_and_the_others_take_its_shards(
    machines: list[Stand], shelf: Shelf
) -> None:
    one, two, _ = await all_at_work(machines, shelf, VERY_SLOW)
    await until(lambda: len(shelf.recipients) > 12, "letters wait for the reply to their dots")
    await one.kill()
    shelf.waits["dot"] = SLOW
    ended = await two.end()
    listed = sum(
        len((machine.run / "in-doubt.csv").read_text().splitlines()) - 1
        for machine in machines
        if (machine.run / "in-doubt.csv").exists()
    )
    assert listed <= 4  # most often all of them; none if it was killed just between two letters
    assert ended.code == (4 if listed else 0)
    arrived = Counter(shelf.recipients)
    assert max(arrived.values()) == 1
    assert PEOPLE - listed <= len(arrived) <= PEOPLE


async def test_a_worker_that_was_frozen_for_too_long_sends_nothing_more_of_what_others_took(
    machines: list[Stand], shelf: Shelf
) -> None:
    one, two, three = await all_at_work(machines, shelf, VERY_SLOW)
    one.signal(signal.SIGSTOP)
    before = len(shelf.recipients)
    shelf.waits["dot"] = 0.15
    # longer than its lease, and until the others have needed more shards than are free
    await until(lambda: len(shelf.recipients) > before + 450, "the others take its shards over")
    served = len(shelf.recipients)
    one.signal(signal.SIGCONT)
    await until(lambda: "It goes on with other shards" in one.talk, "it has noticed")
    await two.kill()
    await three.kill()
    shelf.waits["dot"] = 0.0
    ended = await one.end()
    assert ended.code in (0, 4)
    arrived = Counter(shelf.recipients)
    assert max(arrived.values()) == 1
    assert len(arrived) > served  # it went on, with connections of its own
    now = await status(machines[1])
    assert now["verdicts"]["accepted"] + now["verdicts"]["in_doubt"] == PEOPLE
    assert now["verdicts"]["accepted"] <= len(arrived)
    assert now["verdicts"]["in_doubt"] <= 12


@pytest.mark.parametrize("rate", [[], ["400/s"]])
async def test_the_store_may_be_away_for_a_while(
    machines: list[Stand], shelf: Shelf, server: StoreServer, rate: list[str]
) -> None:
    for machine in machines:
        machine.set(delivery__rate=rate)
    running = await all_at_work(machines[:2], shelf)
    await asyncio.to_thread(server.stop, "immediate")
    await asyncio.sleep(4.0)  # longer than between two renewals
    assert not gone(running)
    await asyncio.to_thread(server.start)
    for one in running:
        (await one.end()).ends(0)
    assert everybody(shelf)


async def test_a_run_is_steered_from_any_machine(machines: list[Stand], shelf: Shelf) -> None:
    one, two = await all_at_work(machines[:2], shelf, VERY_SLOW)
    (await machines[2].campaign("stop", machines[2].file)).ends(0)
    for running in (one, two):
        (await running.end()).ends(5)
    shelf.waits["dot"] = SLOW
    now = await status(machines[2])
    assert (now["state"], now["running"]) == ("stopped", False)
    (await machines[0].send()).ends(5)
    (await machines[2].campaign("resume", machines[2].file)).ends(0)
    (await machines[1].send()).ends(0)
    assert everybody(shelf)


async def test_a_run_is_cancelled_from_any_machine(machines: list[Stand], shelf: Shelf) -> None:
    one, two = await all_at_work(machines[:2], shelf, VERY_SLOW)
    (await machines[2].campaign("cancel", machines[2].file)).ends(0)
    codes = {(await running.end()).code for running in (one, two)}
    assert codes == {3}
    now = await status(machines[2])
    assert now["state"] == "cancelled"
    assert now["verdicts"]["accepted"] + now["verdicts"]["cancelled"] == PEOPLE
    shelf.waits["dot"] = 0.0
    (await machines[0].campaign("retry", machines[0].file)).ends(0)
    assert everybody(shelf)


async def test_doubts_are_settled_by_hand_on_any_machine(machines: list[Stand], shelf: Shelf) -> None:
    one, *_ = await all_at_work(machines[:1], shelf, VERY_SLOW)
    await until(lambda: len(shelf.recipients) > 4, "letters wait for the reply to their dots")
    await one.kill()
    shelf.waits["dot"] = SLOW
    # the next command takes over the shards of the dead once their lease has run out
    (await machines[1].send()).ends(4)
    with (machines[1].run / "in-doubt.csv").open() as file:
        ids = [line.split(",")[2] for line in file.read().splitlines()[1:]]
    (machines[2].folder / "log").write_text("\n".join(ids) + "\n")
    (await machines[2].campaign("report", machines[2].file)).ends(0)
    (await machines[2].campaign("resolve", machines[2].run, "--accepted", machines[2].folder / "log")).ends(0)
    assert (await status(machines[0]))["verdicts"]["accepted"] == PEOPLE


async def test_a_limit_of_letters_is_for_one_command_and_the_next_goes_on(machines: list[Stand], shelf: Shelf) -> None:
    (await machines[0].send("--limit", 30)).ends(75)
    assert len(shelf.recipients) == 30
    ended = (await machines[1].send("--json")).ends(0)
    events = [json.loads(line) for line in ended.out.splitlines()]
    (planned,) = [event for event in events if event["event"] == "planned"]
    assert (planned["recipients"], planned["verdicts"]["accepted"]) == (PEOPLE, 30)
    assert everybody(shelf)


async def test_templates_that_differ_on_a_machine_are_refused(machines: list[Stand], shelf: Shelf) -> None:
    (await machines[0].send("--limit", 30)).ends(75)
    machines[1].write("letter.txt", "Other words.\n")
    (await machines[1].send()).tells(78, "letter.txt", step="--accept-changes")
    assert len(shelf.recipients) == 30
    (await machines[1].send("--accept-changes")).ends(0)
    assert everybody(shelf)


async def test_another_secret_is_refused(machines: list[Stand], shelf: Shelf) -> None:
    (await machines[0].send("--limit", 30)).ends(75)
    other = machines[1].write("other", "another secret, which makes other Message-IDs\n")
    other.chmod(0o600)
    machines[1].set(campaign__secret_file="other")
    (await machines[1].send()).tells(78, "secret")
    assert len(shelf.recipients) == 30


async def test_runs_on_files_and_runs_in_a_store_are_never_mixed(machines: list[Stand], shelf: Shelf) -> None:
    url = machines[0].settings["ledger"].pop("store")
    (await machines[0].send("--limit", 5)).ends(75)
    machines[0].set(ledger__store=url)
    (await machines[0].send()).tells(78, "served twice")
    (await machines[1].send("--limit", 5)).ends(75)
    del machines[1].settings["ledger"]["store"]
    (await machines[1].send()).tells(78, "kept in a store")
    assert len(shelf.recipients) == 10


@pytest.mark.parametrize(
    ("keys", "evidence"),
    [
        ({"delivery__relay": "mailbox"}, "rehearsal"),
        ({"delivery__processes": 2}, "one sender"),
        ({"ledger__store": "postgresql://ada:secret@127.0.0.1/x"}, "password"),
        ({"ledger__store": "postgresql://ada@db.example.com/x?sslmode=require"}, "verify-full"),
        ({"ledger__store": "mysql://ada@127.0.0.1/x"}, "PostgreSQL"),
    ],
)
async def test_what_a_store_does_not_go_with_is_refused(
    machines: list[Stand], keys: dict[str, object], evidence: str
) -> None:
    (await machines[0].set(**keys).send()).tells(78, evidence)


async def test_a_store_that_is_not_there_is_said(machines: list[Stand]) -> None:
    machines[0].set(ledger__store="postgresql://ada@127.0.0.1:1/x")
    (await machines[0].send()).tells(73, "refused", step="see that the server runs")


def bounced(shelf: Shelf, address: str) -> bytes:
    sender, content = next((sender, content) for sender, whom, content in shelf.letters if whom == address)
    return bounce(sender, content, recipient=address)


async def test_a_bounce_that_one_machine_collects_keeps_workers_on_others_from_writing_there(
    machines: list[Stand], shelf: Shelf
) -> None:
    last = f"p{PEOPLE - 1}@example.com"
    for machine in machines:
        machine.set(campaign__edition="one", campaign__return_path="bounce+{token}@example.com")
        machine.set(feedback__source=[{"url": "maildir:bounces"}])
        machine.people(range(PEOPLE - 3, PEOPLE))
    (await machines[0].send()).ends(0)
    for machine in machines:
        machine.set(campaign__edition="two").people(range(PEOPLE))
    one, two = await all_at_work(machines[:2], shelf, VERY_SLOW)
    Maildir(machines[2].folder / "bounces").put(bounced(shelf, last))
    (await machines[2].campaign("collect", machines[2].file)).ends(0, "1 new event")
    found = [machine.folder / "runs" / "feedback.jsonl" for machine in machines]
    await until(lambda: all(one.exists() and last in one.read_text() for one in found), "all machines know of it")
    assert shelf.recipients.count(last) == 1
    assert len(shelf.recipients) < PEOPLE // 2
    shelf.waits["dot"] = 0.0
    for running in (one, two):
        (await running.end()).ends(0)
    assert shelf.recipients.count(last) == 1
    assert (await status(machines[2]))["verdicts"]["withdrawn"] == 1
    table = (await machines[1].campaign("suppression", machines[1].file, "--export", "-")).ends(0).out
    assert last in table
    assert last in (machines[2].folder / "runs" / "suppressed.csv").read_text()


async def test_who_is_dead_to_one_machine_is_left_out_by_all_until_any_of_them_releases_the_address(
    machines: list[Stand], shelf: Shelf
) -> None:
    for machine in machines:
        machine.set(campaign__edition="one").people(range(20))
    dead = "p5@example.com"
    shelf.refuse[dead] = "550 5.1.1 no such user"
    (await machines[0].send()).ends(3)
    two, three = machines[1:]
    assert "no such user" in (await two.campaign("suppression", two.file, "--why", dead)).ends(0).out
    (await two.set(campaign__edition="two").send()).ends(0, "19 recipients planned")
    (await three.campaign("suppression", three.file, "--release", dead)).ends(0)
    shelf.refuse.clear()
    (await two.set(campaign__edition="three").send()).ends(0, "20 recipients planned")
    two.write("runs/suppressed.csv", "address\np7@example.com\n")
    (await two.campaign("suppression", two.file)).ends(0)
    (await three.set(campaign__edition="four").send()).ends(0, "19 recipients planned")


async def test_a_doubt_is_settled_by_a_bounce_that_another_machine_collects(
    machines: list[Stand], shelf: Shelf
) -> None:
    for machine in machines:
        machine.set(campaign__return_path="bounce+{token}@example.com").people(range(20))
        machine.set(feedback__source=[{"url": "maildir:bounces"}])
    shelf.break_at("dot", FIN, after=5)
    (await machines[0].send()).ends(4)
    with (machines[0].run / "in-doubt.csv").open() as file:
        doubtful = file.read().splitlines()[1].split(",")[1]
    Maildir(machines[2].folder / "bounces").put(bounced(shelf, doubtful))
    (await machines[2].campaign("collect", machines[2].file)).ends(0, "1 new event")
    now = await status(machines[1])
    assert (now["verdicts"]["in_doubt"], now["verdicts"]["accepted"]) == (0, 20)


def metrics(machine: Stand) -> dict[str, float]:
    lines = (machine.folder / "gazette.prom").read_text().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


async def test_metrics_and_log_tell_of_workers_and_shards(machines: list[Stand], shelf: Shelf) -> None:
    for machine in machines:
        machine.set(report__metrics_file="gazette.prom", report__metrics_interval="1s")
    one, two = await all_at_work(machines[:2], shelf, 1.0)  # so slow that no shard is finished meanwhile
    machine = machines[0]

    def both_have_told() -> bool:
        now = metrics(machine)
        told = now.get('campaign_store_append_seconds{campaign="gazette"}', 0.0)
        return now.get('campaign_workers{campaign="gazette"}') == 2 and told > 0

    await until(both_have_told, "the metrics know of both workers, and of an append")
    now = metrics(machine)
    assert now['campaign_running{campaign="gazette"}'] == 1
    assert now['campaign_planned{campaign="gazette"}'] == PEOPLE
    assert now['campaign_shards{campaign="gazette",state="held"}'] == 2
    assert now['campaign_shards{campaign="gazette",state="silent"}'] == 0
    assert now['campaign_shards{campaign="gazette",state="open"}'] == 9
    shelf.waits["dot"] = 0.0
    for running in (one, two):
        (await running.end()).ends(0)
    for machine in machines[:2]:
        ended = metrics(machine)
        assert ended['campaign_running{campaign="gazette"}'] == 0
        assert ended['campaign_exit_code{campaign="gazette"}'] == 0
        assert 'campaign_workers{campaign="gazette"}' not in ended
        assert ended['campaign_messages_total{campaign="gazette",outcome="accepted"}'] == PEOPLE
    served = set[int]()
    for machine in machines[:2]:
        lines = [json.loads(line) for line in (machine.run / "log.jsonl").read_text().splitlines()]
        mine = [line for line in lines if "worker" in line]
        assert {line["run"] for line in mine} == {machine.run.name}
        assert len({line["worker"] for line in mine}) == 1
        assert [mine[0]["event"], mine[-1]["event"]] == ["worker started", "worker left"]
        leased = [line["shard"] for line in mine if line["event"] == "shard leased"]
        assert sorted(leased) == sorted(line["shard"] for line in mine if line["event"] == "shard served")
        served |= set(leased)
    assert served == set(range(1, 10))


async def test_a_run_that_was_deleted_in_the_store_is_called_so_and_its_copy_stays_as_it_is(
    machines: list[Stand], shelf: Shelf
) -> None:
    machine = machines[0]
    machine.people(range(3))
    (await machine.send()).ends(0)
    with connect(store_address(machine.settings["ledger"]["store"])) as connection:
        connection.execute("DELETE FROM campaign.run")
    copy, said = (machine.run / "checkpoint.journal").read_bytes(), "a run that the store does not have"
    machine.write("relay.log", "")
    commands = (
        ("status", machine.file),
        ("send", machine.file),
        ("report", machine.run),
        ("set", machine.run, "rate=1/s"),
    )
    for words in commands:
        ended = await machine.campaign(*words)
        ended.tells(73, said, machine.settings["ledger"]["store"], step="delete this folder, too")
    (await machine.campaign("resolve", machine.run, "--accepted", "relay.log")).tells(73, said)
    assert (machine.run / "checkpoint.journal").read_bytes() == copy
    assert len(shelf.recipients) == 3
    shutil.rmtree(machine.run)
    (await machine.campaign("status", machine.file)).tells(78, "There is no run", step="makes the first")


async def test_a_run_that_was_being_made_when_its_process_ended_does_not_hide_the_one_that_is_served(
    machines: list[Stand], shelf: Shelf
) -> None:
    machine = machines[0]
    machine.people(range(3))
    (await machine.send()).ends(0)
    made, unmade = machine.run, machine.run.parent / "20991231T235959Z"
    unmade.mkdir()
    with (made / "checkpoint.journal").open("rb") as journal:
        (unmade / "checkpoint.journal").write_bytes(journal.readline())
    assert (await status(machine))["run"] == str(made)
    (await machine.send()).ends(0, "Nobody is left")
    assert len(shelf.recipients) == 3


async def test_nobody_is_served_by_the_copy_of_another_store_s_run(
    machines: list[Stand], shelf: Shelf, server: StoreServer
) -> None:
    machine, other = machines[0], machines[1]
    machine.people(range(3))
    (await machine.send()).ends(0)
    url = server.database()
    for stand in (machine, other):
        stand.set(ledger__store=url)
    other.people(range(3, 5))
    await until(lambda: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) != machine.run.name, "a run's name is a second")
    (await other.send()).ends(0)  # the first run of that store, too
    for words in (("status", machine.run), ("send", machine.file), ("report", machine.run)):
        (await machine.campaign(*words)).tells(73, "a run that the store does not have", url)
    assert sorted(shelf.recipients) == [f"p{number}@example.com" for number in range(5)]
