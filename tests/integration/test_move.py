"""`campaign move`: a campaign on files goes on over a store, and whatever happens nobody gets two letters."""

from __future__ import annotations

import asyncio
import email
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from campaign.config import load
from campaign.ledger.postgres.edition_lease import hold_edition
from campaign.ledger.postgres.schema import ensure_schema
from campaign.ledger.recovery import read_history
from campaign.ledger.state.recipient_states import VERDICTS
from campaign.pipeline.workers.upkeep.move_campaign import move
from campaign.system.postgres import connect, store_address
from tests.support.bounces import Maildir, bounce
from tests.support.servers.shelf import FIN, Shelf
from tests.support.servers.store_server import StoreServer
from tests.support.stand import Stand, toml, until

PEOPLE = 230  # three shards
KILLED = 9


@pytest.fixture
async def machine(tmp_path: Path, shelf: Shelf) -> AsyncIterator[Stand]:
    """A campaign on files."""
    folder = tmp_path / "one"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("one secret for all machines, of some length\n")
    secret.chmod(0o600)
    machine = Stand(folder, PEOPLE)
    machine.set(campaign__secret_file="../secret", campaign__edition="two")
    machine.set(delivery__relay=shelf.url, delivery__connections=4)
    yield machine
    await machine.leave()


@pytest.fixture
def url(server: StoreServer) -> str:
    return server.database()


def another(machine: Stand, name: str = "other") -> Stand:
    """A machine with the same campaign and no runs."""
    folder = machine.folder.parent / name
    folder.mkdir()
    found = Stand(folder, PEOPLE)
    found.settings = json.loads(json.dumps(machine.settings))
    return found


def everybody(shelf: Shelf, but: int = 0) -> bool:
    """Whether each has one letter, save so many who have none."""
    found = Counter(shelf.recipients)
    return max(found.values()) == 1 and len(found) == PEOPLE - but


def on_files(machine: Stand) -> Path:
    """The one folder with a run."""
    (found,) = (path.parent for path in machine.folder.glob("runs/gazette/*/*/checkpoint.journal"))
    return found


async def half_sent(machine: Stand, shelf: Shelf) -> None:
    """On files: 50 are served, one is in doubt, one was refused, and the others wait."""
    shelf.refuse["p7@example.com"] = "550 5.1.1 no such user"
    shelf.break_at("dot", FIN, after=20)
    (await machine.send("--limit", 52)).ends(75)
    shelf.refuse.clear()


async def moved(machine: Stand, url: str, *options: str) -> str:
    machine.set(ledger__store=url)
    return (await machine.campaign("move", machine.file, *options)).ends(0).out


async def status(machine: Stand) -> Any:
    return json.loads((await machine.campaign("status", machine.file, "--json")).ends(0).out)


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_an_unfinished_run_goes_on_over_a_store_and_nobody_is_lost_or_served_twice(
    machine: Stand, shelf: Shelf, url: str, durability: str
) -> None:
    machine.set(ledger__durability=durability)
    await half_sent(machine, shelf)
    before = read_history(on_files(machine)).tally()
    machine.set(ledger__store=url)
    (await machine.send()).tells(78, "served twice", step="campaign move gazette.toml --dry-run")
    said = await moved(machine, url)
    assert f"edition two: 1 run, {PEOPLE} recipients, {before['accepted']} accepted" in said
    assert "1 event of what came back" in said
    other = another(machine)
    now = await status(other)
    assert {name: count for name, count in now["verdicts"].items() if count} == {
        name: count for name, count in before.items() if count
    }
    (await other.send()).ends(4, "joining run")
    assert everybody(shelf, but=1)  # the dead one; the one in doubt has it
    assert (await status(machine))["verdicts"]["in_doubt"] == 1
    (await machine.send("--in-doubt", "hold")).ends(0, "Nobody is left")
    del machine.settings["ledger"]["store"]
    (await machine.send()).tells(78, "kept in a store")
    assert everybody(shelf, but=1)


async def test_a_finished_edition_is_moved_too_and_its_recipients_stay_served(
    machine: Stand, shelf: Shelf, url: str
) -> None:
    machine.people(range(PEOPLE - 5))
    (await machine.set(campaign__edition="one").send()).ends(0)
    (await machine.set(campaign__edition="two").send()).ends(0)
    said = await moved(machine, url)
    assert "edition one: 1 run" in said
    assert "edition two: 1 run" in said
    assert "unfinished" not in said
    machine.people(range(PEOPLE))
    for edition in ("one", "two"):
        shelf.letters.clear()
        (await machine.set(campaign__edition=edition).send()).ends(0, "5 recipients planned")
        assert len(shelf.recipients) == 5
    assert "There are no runs on files to move" in await moved(machine, url)


async def test_a_dry_run_changes_nothing(machine: Stand, shelf: Shelf, url: str) -> None:
    await half_sent(machine, shelf)
    machine.set(ledger__store=url)
    files = {path: path.read_bytes() for path in machine.folder.glob("runs/gazette/**/*") if path.is_file()}
    told = json.loads(await moved(machine, url, "--dry-run", "--json"))
    assert (told["dry_run"], told["events"]) == (True, 1)
    (edition,) = told["editions"]
    assert (edition["edition"], edition["runs"], edition["unfinished"]) == ("two", 1, on_files(machine).name)
    assert edition["verdicts"]["waiting"] == PEOPLE - 52
    assert {path: path.read_bytes() for path in machine.folder.glob("runs/gazette/**/*") if path.is_file()} == files
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('campaign.run')").fetchone() == (None,)


async def test_what_an_operator_asked_for_is_moved_with_the_run(machine: Stand, shelf: Shelf, url: str) -> None:
    await half_sent(machine, shelf)
    (await machine.campaign("stop", machine.file)).ends(0)
    await moved(machine, url)
    (await another(machine).send()).ends(5)
    assert len(shelf.recipients) <= 52
    (await machine.campaign("resume", machine.file)).ends(0)
    (await machine.send()).ends(4)
    assert everybody(shelf, but=1)


async def test_a_rehearsal_is_moved_as_a_run_that_served_nobody(machine: Stand, shelf: Shelf, url: str) -> None:
    (await machine.send("--relay", "mailbox", "--limit", 9)).ends(75)
    await moved(machine, url)
    (await another(machine).send()).ends(0, "new run")
    assert everybody(shelf)


async def test_letters_that_a_kill_left_in_doubt_stay_so(machine: Stand, shelf: Shelf, url: str) -> None:
    shelf.waits["dot"] = 5.0
    running = await machine.sending()
    await until(lambda: len(shelf.recipients) >= 4, "letters wait for the reply to their dots")
    await running.kill()
    shelf.waits["dot"] = 0.0
    await moved(machine, url)
    other = another(machine)
    assert (await status(other))["verdicts"]["in_doubt"] == 4
    (await other.send()).ends(4)
    assert everybody(shelf)
    (await machine.campaign("retry", machine.file, "--in-doubt")).ends(0)
    assert sum(Counter(shelf.recipients).values()) == PEOPLE + 4  # as was asked for


async def test_what_killed_sending_processes_left_is_moved_with_the_run(machine: Stand, shelf: Shelf, url: str) -> None:
    shelf.waits["dot"] = 0.2
    running = await machine.set(delivery__processes=2).sending()
    await until(lambda: len(shelf.recipients) > 20, "it sends")
    await running.kill()
    machine.set(ledger__store=url)
    (await machine.campaign("move", machine.file)).tells(78, "each command is one sender")
    del machine.settings["delivery"]["processes"]
    shelf.waits["dot"] = 0.0
    await moved(machine, url)  # once the orphans have ended
    assert not (on_files(machine) / "shards").exists()
    before = len(shelf.recipients)
    now = (await status(another(machine)))["verdicts"]
    assert now["accepted"] + now["in_doubt"] == before
    (await machine.send()).ends(4 if now["in_doubt"] else 0)
    assert everybody(shelf)


async def test_a_move_is_refused_while_a_process_works_on_the_campaign(machine: Stand, shelf: Shelf, url: str) -> None:
    shelf.waits["dot"] = 0.05
    running = await machine.sending()
    await until(lambda: len(shelf.recipients) > 3, "it sends")
    machine.set(ledger__store=url)
    (await machine.campaign("move", machine.file)).tells(75, "at work on an edition", step="campaign stop")
    running.signal(signal.SIGTERM)
    (await running.end()).ends(143)
    with connect(store_address(url)) as connection:
        ensure_schema(connection)
        with hold_edition(store_address(url), connection, "gazette", "two", lambda _: False):
            (await machine.campaign("move", machine.file)).tells(75, "Another command is at work")
    await moved(machine, url)
    shelf.waits["dot"] = 0.0
    (await machine.send()).ends(0)
    assert everybody(shelf)


async def test_an_edition_that_is_in_both_is_not_moved(machine: Stand, shelf: Shelf, url: str) -> None:
    (await machine.send("--limit", 9)).ends(75)
    other = another(machine).set(ledger__store=url)
    begun = on_files(machine).name  # named by its second
    await until(lambda: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) != begun, "the next run has another name")
    (await other.send("--limit", 9)).ends(75)
    machine.set(ledger__store=url)
    for options in ((), ("--dry-run",)):
        (await machine.campaign("move", machine.file, *options)).tells(78, "neither knows whom", "on files")
    (await machine.send()).tells(78, "served twice")
    assert len(shelf.recipients) == 18


async def test_a_damaged_file_is_refused_before_anything_is_moved(machine: Stand, shelf: Shelf, url: str) -> None:
    await half_sent(machine, shelf)
    run = on_files(machine)
    plan = (run / "plan.jsonl").read_bytes()
    (run / "plan.jsonl").write_bytes(plan.replace(b"p9@", b"q9@"))
    machine.set(ledger__store=url)
    (await machine.campaign("move", machine.file)).tells(78, "frozen plan")
    (run / "plan.jsonl").write_bytes(plan)
    journal = (run / "checkpoint.journal").read_bytes()
    (run / "checkpoint.journal").write_bytes(journal.replace(b'"number":9,', b'"number":8,'))
    (await machine.campaign("move", machine.file)).tells(74, "damaged", step="campaign repair")
    del machine.settings["ledger"]["store"]
    (await machine.campaign("repair", run)).ends(0)
    await moved(machine, url)
    assert (await status(another(machine)))["verdicts"]["in_doubt"] > 1


async def test_without_a_store_there_is_nothing_to_move_to(machine: Stand) -> None:
    (await machine.campaign("move", machine.file)).tells(78, "ledger.store is not set", step="set store under")


async def test_what_came_back_is_moved_and_new_feedback_finds_its_letters(
    machine: Stand, shelf: Shelf, url: str
) -> None:
    machine.set(campaign__return_path="bounce+{token}@example.com")
    machine.set(feedback__source=[{"url": "maildir:bounces"}])
    (await machine.send("--limit", 20)).ends(75)
    await moved(machine, url)
    other = another(machine)
    sender, whom, content = shelf.letters[3]
    Maildir(other.folder / "bounces").put(bounce(sender, content, recipient=whom))
    (await other.campaign("collect", other.file)).ends(0, "1 new event")
    assert whom in (await machine.campaign("suppression", machine.file, "--why", whom)).ends(0).out
    (await machine.set(campaign__edition="three").send()).ends(0, f"{PEOPLE - 1} recipients planned")


async def test_over_kills_on_files_a_move_kills_of_workers_and_damage_nobody_is_lost_or_served_twice(
    machine: Stand, shelf: Shelf, url: str
) -> None:
    shelf.waits["dot"] = 0.05
    running = await machine.sending()
    await until(lambda: len(shelf.recipients) > 40, "it sends from files")
    await running.kill()
    await moved(machine, url)
    others = [another(machine, name) for name in ("two", "three")]
    workers = [await one.sending() for one in others]
    await until(lambda: len(shelf.recipients) > 110, "they send over the store")
    for one in workers:
        await one.kill()
    shelf.waits["dot"] = 0.0
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE campaign.shard SET until = '-infinity', holder = NULL")
        connection.execute(
            "UPDATE campaign.segment SET data = substr(data, 1, length(data) / 2 + 5) WHERE id = "
            "(SELECT id FROM campaign.segment WHERE shard = 1 AND length(data) > 100 ORDER BY seq LIMIT 1 OFFSET 2)"
        )
    told = json.loads((await others[0].campaign("repair", others[0].file, "--json")).ends(0).out)
    assert told["lost"]
    (await others[1].send()).ends(4)
    assert max(Counter(shelf.recipients).values()) == 1
    listed = (await status(others[1]))["verdicts"]["in_doubt"]
    assert PEOPLE - len(shelf.recipients) <= listed <= told["in_doubt"] + 12  # who has no letter is in doubt
    ids = [str(email.message_from_bytes(content)["Message-ID"]) for _, _, content in shelf.letters]
    log = machine.write("relay.log", "\n".join(ids) + "\n")
    (await machine.campaign("resolve", on_files(machine), "--accepted", log))
    (await others[0].campaign("retry", others[0].file, "--in-doubt")).ends(0)
    assert everybody(shelf)


# -- kills


#: What a move can be killed before: between two of these nothing changes that another process sees.
CALLS = ((os, "write"), (os, "ftruncate"), (Path, "replace"), (psycopg.Connection, "execute"))


def killed_at(step: int, act: Callable[[], object]) -> bool:
    """Whether ``act``, in a process of its own, was killed right before this call of `CALLS`, or in the middle."""
    child = os.fork()
    if child == 0:
        left = [step]
        for home, name in CALLS:
            setattr(home, name, _counted(getattr(home, name), left))
        leave = psycopg.Transaction.__exit__

        def committed(*arguments: Any) -> Any:
            found = leave(*arguments)
            left[0] -= 1
            if left[0] == 0:
                os._exit(KILLED)
            return found

        psycopg.Transaction.__exit__ = committed  # type: ignore[method-assign]
        try:
            act()
        except BaseException:  # noqa: BLE001 - the parent sees it by the code
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"it failed at step {step}"
    return code == KILLED


def _counted(call: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def counted(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os._exit(KILLED)
        return call(*args, **options)

    return counted


async def test_a_move_can_be_killed_at_every_step_and_the_same_command_completes_it(
    machine: Stand, shelf: Shelf, server: StoreServer
) -> None:
    machine.people(range(120))
    shelf.waits["dot"] = 5.0
    running = await machine.sending()
    await until(lambda: len(shelf.recipients) >= 4, "letters wait for the reply to their dots")
    await running.kill()
    shelf.waits["dot"] = 0.0
    runs, kept = machine.folder / "runs", machine.folder / "kept"
    shutil.copytree(runs, kept)
    wanted = {"waiting": 116, "in_doubt": 4}
    step, both = 0, Counter[str]()
    while True:
        step += 1
        shutil.rmtree(runs)
        shutil.copytree(kept, runs)
        url = server.database()
        machine.set(ledger__store=url)
        machine.write("gazette.toml", _text(machine))
        killed = await asyncio.to_thread(killed_at, step, lambda: move(load(machine.file)))
        mark, copy = next(runs.rglob(".store"), None), next(runs.rglob("gazette/two/*/store.json"), None)
        stored = _stored(url)
        assert not copy or stored  # what says that it is a copy is one
        assert not stored or mark  # what is stored is not continued from files
        both[f"mark {mark is not None}, stored {bool(stored)}, noted {copy is not None}"] += 1
        if killed:
            move(load(machine.file))  # the lease of the one that was killed does not delay it
        assert _stored(url) == wanted, step
        assert next(runs.rglob("gazette/two/*/store.json"), None)
        if not killed:
            break
    assert set(both) == {
        "mark False, stored False, noted False",
        "mark True, stored False, noted False",
        "mark True, stored True, noted False",
        "mark True, stored True, noted True",
    }
    (await another(machine).send()).ends(4)
    assert max(Counter(shelf.recipients).values()) == 1
    assert len(shelf.recipients) == 120


async def test_others_go_on_at_once_though_the_move_was_killed_before_it_noted_its_copies(
    machine: Stand, shelf: Shelf, url: str
) -> None:
    await half_sent(machine, shelf)
    await moved(machine, url)
    (on_files(machine) / "store.json").unlink()
    (await another(machine).send("--limit", 40)).ends(75)
    (await machine.send()).tells(78, "served twice", step="campaign move")
    (await machine.campaign("status", on_files(machine))).tells(78, "served twice", step="campaign move")
    await moved(machine, url)
    (await machine.send()).ends(4)
    assert everybody(shelf, but=1)


def _text(machine: Stand) -> str:
    return toml(machine.settings)


def _stored(url: str) -> dict[str, int]:
    """The verdicts of all runs in the store, by its tallies."""
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('campaign.run')").fetchone() == (None,):
            return {}
        rows = connection.execute(
            "SELECT n, sum(tally[n]) FROM campaign.shard, generate_series(1, 9) n GROUP BY n ORDER BY n"
        ).fetchall()
    return {VERDICTS[n - 1].value: int(count) for n, count in rows if count}
