"""Several sending processes, real ones, against a server that keeps what it takes: killed, stopped, steered."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import certificates
from tests.support.servers.shelf import Shelf, say
from tests.support.stand import Running, Stand, until

#: Enough for a shard for each of two senders, and for each of four: the smallest has 200.
PEOPLE, MANY = 450, 850
#: Seconds that the answer to a dot takes: while senders begin, while a run is watched, and while commands are typed.
SLOW, WATCHED, VERY_SLOW = 0.15, 0.02, 1.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def stand(tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    monkeypatch.setattr("tests.support.stand.PATIENCE", 90.0)  # each process takes a second of CPU to begin
    stand = Stand(tmp_path, PEOPLE)
    stand.set(delivery__relay=shelf.url, delivery__connections=8, delivery__processes=2)
    yield stand
    await stand.leave()


def everybody(shelf: Shelf, people: int = PEOPLE) -> bool:
    """Whether each of them has exactly one letter."""
    return Counter(shelf.recipients) == Counter(f"p{number}@example.com" for number in range(people))


def senders(running: Running) -> list[int]:
    """The process ids of a run's senders."""
    pid = running.process.pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(one) for one in children if b"sender_process" in Path(f"/proc/{one}/cmdline").read_bytes()]
    except FileNotFoundError:  # one has ended meanwhile
        return []


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def at_work(stand: Stand, shelf: Shelf) -> Running:
    """A run whose senders all have letters under way."""
    shelf.waits["dot"] = SLOW
    running = await stand.sending()
    wanted, each = stand.settings["delivery"]["processes"], stand.settings["delivery"]["connections"]
    await until(lambda: shelf.open == each and len(list(stand.folder.rglob("shards/*.journal"))) >= wanted, "all work")
    shelf.waits["dot"] = WATCHED
    return running


def journal(stand: Stand) -> str:
    return (stand.run / "checkpoint.journal").read_text(encoding="utf-8")


def warnings(stand: Stand) -> list[str]:
    events = [json.loads(line) for line in (stand.run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [str(event) for event in events if str(event.get("level", "")).upper().startswith("WARN")]


def doubts(stand: Stand) -> list[str]:
    with (stand.run / "in-doubt.csv").open(encoding="utf-8", newline="") as file:
        return [row["address"] for row in csv.DictReader(file)]


async def status(stand: Stand) -> Any:
    return json.loads((await stand.campaign("status", stand.run, "--json")).ends(0).out)


# -- one run, from its begin to its end


@pytest.mark.parametrize("processes", [2, 4])
async def test_all_are_served_once(stand: Stand, shelf: Shelf, processes: int) -> None:
    stand.set(delivery__processes=processes).people(range(MANY))
    running = await at_work(stand, shelf)
    assert len(senders(running)) == processes
    (await running.end()).ends(0, f"{MANY} of {MANY} accepted")
    assert everybody(shelf, MANY)
    assert shelf.most_at_once <= 8
    assert stand.verdicts() == {"accepted": MANY}
    assert journal(stand).count('"closed":true') >= processes
    assert not (stand.run / "shards").exists()
    (await stand.send()).ends(0, "Nobody is left")


async def test_who_is_put_off_is_served_in_a_later_pass_and_the_dead_are_left_out_for_good(
    stand: Stand, shelf: Shelf
) -> None:
    dead = [f"p{number}@example.com" for number in range(0, PEOPLE, 90)]
    shelf.refuse = dict.fromkeys(dead, "550 5.1.1 no such user here")
    for _ in range(30):
        shelf.break_at("dot", say("451 later"), after=9)
    stand.set(delivery__retry_after="200ms")
    (await stand.send()).ends(3)
    assert stand.verdicts() == {"accepted": PEOPLE - len(dead), "rejected": len(dead)}
    assert stand.summary()["passes"] >= 2
    events = [json.loads(line) for line in (stand.folder / "runs" / "feedback.jsonl").read_text().splitlines()]
    assert sorted(event["address"] for event in events) == sorted(dead)
    assert Counter(Counter(shelf.recipients).values()) == {1: PEOPLE - len(dead) - 30, 2: 30}


async def test_a_canary_goes_first(stand: Stand, shelf: Shelf) -> None:
    stand.set(delivery__canary=9)
    running = await stand.sending()
    await until(lambda: "campaign resume" in running.talk, "the canary is over")
    assert sorted(shelf.recipients) == sorted(f"p{number}@example.com" for number in range(0, PEOPLE, 50))
    (await stand.campaign("resume", stand.run)).ends(0)
    (await running.end()).ends(0)
    assert everybody(shelf)


async def test_a_rehearsal_has_one_process(stand: Stand) -> None:
    stand.set(delivery__relay="mailbox")
    (await stand.send()).ends(0)
    assert len(stand.kept()) == PEOPLE
    assert '"is":"merged"' not in journal(stand)


async def test_one_connection_is_served_by_one_sender(stand: Stand, shelf: Shelf) -> None:
    stand.set(delivery__connections=1, delivery__processes=4)
    running = await stand.sending()
    await until(lambda: shelf.letters, "a letter is there")
    assert len(senders(running)) == 1
    (await running.end()).ends(0)
    assert everybody(shelf)
    assert shelf.most_at_once == 1


async def test_a_wrong_password_is_tried_once(stand: Stand, tmp_path: Path) -> None:
    async with Shelf(implicit=certificates.server(), users={"AUTH PLAIN": "other"}) as shelf:
        stand.write("relay.password", "wrong\n").chmod(0o600)
        stand.set(
            delivery__relay=f"smtps://news@127.0.0.1:{shelf.port}",
            delivery__password_file="relay.password",
            delivery__tls_ca_file=str(certificates.ca_file(tmp_path)),
            delivery__processes=4,
        )
        (await stand.send()).tells(77)
        assert shelf.told("AUTH") == 1
        assert shelf.letters == []


async def test_a_rate_holds_in_every_sliding_window_over_all_senders(stand: Stand, shelf: Shelf) -> None:
    arrived: list[float] = []

    class Timed(list[tuple[str, str, bytes]]):
        def append(self, letter: tuple[str, str, bytes]) -> None:
            arrived.append(time.monotonic())
            super().append(letter)

    shelf.letters = Timed()
    stand.set(delivery__rate="100/s", delivery__processes=2)
    (await stand.send()).ends(0)
    assert everybody(shelf)
    # What is seen here is when each letter has arrived, up to a scheduling delay after its turn. Two senders that
    # do not count together send as many in half a second.
    assert min(arrived[n + 100] - arrived[n] for n in range(PEOPLE - 100)) >= 0.75


# -- parts of a run


async def test_a_limit_is_exact_over_all_senders(stand: Stand, shelf: Shelf) -> None:
    (await stand.send("--limit", 333)).ends(75)
    assert len(shelf.letters) == 333
    assert stand.verdicts() == {"accepted": 333, "waiting": PEOPLE - 333}
    (await stand.set(delivery__processes=4).send()).ends(0)
    assert everybody(shelf)


async def test_a_run_ends_by_the_clock_and_goes_on_with_another_number_of_senders(stand: Stand, shelf: Shelf) -> None:
    shelf.waits["dot"] = 0.5
    (await stand.send("--max-duration", "4s")).ends(75)
    served = len(shelf.letters)
    assert stand.verdicts().get("accepted", 0) == served < PEOPLE
    shelf.waits.clear()
    (await stand.set(delivery__processes=1).send()).ends(0)
    assert everybody(shelf)


async def test_a_signal_finishes_what_is_in_flight_and_another_number_of_senders_goes_on(
    stand: Stand, shelf: Shelf
) -> None:
    running = await at_work(stand, shelf)
    running.signal(signal.SIGTERM)
    (await running.end()).ends(143)
    served = len(shelf.letters)
    assert stand.verdicts() == {"accepted": served, "waiting": PEOPLE - served}
    assert not (stand.run / "shards").exists()
    shelf.waits.clear()
    (await stand.set(delivery__processes=3).send()).ends(0)
    assert everybody(shelf)


async def test_a_second_signal_cuts_every_connection(stand: Stand, shelf: Shelf) -> None:
    running = await at_work(stand, shelf)
    shelf.waits["dot"] = 60.0
    await asyncio.sleep(3 * SLOW)
    await running.insist(signal.SIGTERM, "stopping at once")
    (await running.end()).ends(143)
    verdicts = stand.verdicts()
    assert 1 <= verdicts["in_doubt"] <= 8
    shelf.waits.clear()
    (await stand.send()).ends(4)
    assert everybody(shelf)


# -- steering


async def test_a_run_is_paused_steered_and_resumed_from_another_process(stand: Stand, shelf: Shelf) -> None:
    stand.people(range(MANY))
    running = await at_work(stand, shelf)
    shelf.waits["dot"] = VERY_SLOW
    (await stand.campaign("pause", stand.run)).ends(0)
    await until(lambda: (stand.run / "log.jsonl").read_text().count('"paused"') >= 2, "both have heard")
    await asyncio.sleep(VERY_SLOW + 3 * SLOW)
    before = len(shelf.letters)
    assert before < MANY
    (await stand.campaign("set", stand.run, "connections=1", "rate=50/s")).ends(0)
    await until(lambda: len(senders(running)) == 1, "one sender has no connection left and has ended")
    assert len(shelf.letters) == before
    shelf.waits.clear()
    shelf.most_at_once = 0
    begun = time.monotonic()
    (await stand.campaign("resume", stand.run)).ends(0)
    await until(lambda: len(shelf.letters) >= before + 75, "it goes on")
    assert shelf.most_at_once <= 1
    assert time.monotonic() - begun >= 0.9
    (await stand.campaign("set", stand.run, "connections=12")).ends(0)
    await until(lambda: len(senders(running)) == 2, "a second sender has begun again")
    (await stand.campaign("set", stand.run, "rate=5000/s")).ends(0)
    (await running.end()).ends(0)
    assert everybody(shelf, MANY)


async def test_a_cancelled_run_ends_for_good(stand: Stand, shelf: Shelf) -> None:
    running = await at_work(stand, shelf)
    shelf.waits["dot"] = VERY_SLOW
    (await stand.campaign("cancel", stand.run)).ends(0)
    (await running.end()).ends(3)
    served = len(shelf.letters)
    assert stand.verdicts() == {"accepted": served, "cancelled": PEOPLE - served}
    (await stand.send()).ends(0, "Nobody is left")


# -- kills


async def test_a_sender_that_is_killed_is_replaced_and_only_its_letters_in_flight_are_in_doubt(
    stand: Stand, shelf: Shelf
) -> None:
    running = await at_work(stand, shelf)
    shelf.waits["dot"] = SLOW
    killed = senders(running)[0]
    os.kill(killed, signal.SIGKILL)
    await until(lambda: len(senders(running)) == 2 and killed not in senders(running), "another has begun")
    shelf.waits.clear()
    ended = (await running.end()).ends(4)
    assert "a sending process ended (signal 9)" in ended.err
    assert everybody(shelf)
    in_doubt = doubts(stand)
    assert 1 <= len(in_doubt) <= 4
    assert stand.verdicts() == {"accepted": PEOPLE - len(in_doubt), "in_doubt": len(in_doubt)}
    assert any("signal 9" in warning for warning in warnings(stand))
    (await stand.send("--in-doubt", "resend")).ends(0)
    copies = {to: {content for _, one, content in shelf.letters if one == to} for to in in_doubt}
    assert Counter(shelf.recipients)[in_doubt[0]] == 2
    assert all(len(different) == 1 for different in copies.values())
    assert len(shelf.letters) == PEOPLE + len(in_doubt)


async def test_senders_whose_parent_is_killed_finish_what_is_in_flight_and_the_next_command_goes_on(
    stand: Stand, shelf: Shelf
) -> None:
    running = await at_work(stand, shelf)
    orphans = senders(running)
    await running.kill()
    shelf.waits.clear()
    (await stand.set(delivery__processes=4).send()).ends(0, "continuing run")
    assert all(map(gone, orphans))
    assert everybody(shelf)
    assert stand.verdicts() == {"accepted": PEOPLE}


async def test_status_tells_the_truth_while_a_run_works_and_after_all_of_it_was_killed(
    stand: Stand, shelf: Shelf
) -> None:
    running = await at_work(stand, shelf)
    shelf.waits["dot"] = VERY_SLOW
    during = await status(stand)
    assert during["running"]
    assert 1 <= during["verdicts"]["accepted"] <= len(shelf.letters) < PEOPLE
    assert during["verdicts"]["in_doubt"] == 0
    for pid in (running.process.pid, *senders(running)):
        os.kill(pid, signal.SIGKILL)
    await running.kill()
    await asyncio.sleep(0.1)
    after = await status(stand)
    assert not after["running"]
    served, doubtful = after["verdicts"]["accepted"], after["verdicts"]["in_doubt"]
    assert 1 <= doubtful <= 8
    assert served + doubtful == len(shelf.letters)
    assert list(stand.folder.rglob("shards/*.journal"))
    assert await status(stand) == after
    shelf.waits.clear()
    (await stand.set(delivery__processes=1).send()).ends(4, f"{served:,} of {PEOPLE} settled", f"{doubtful} in doubt")
    assert everybody(shelf)
    assert not (stand.run / "shards").exists()


async def test_a_second_command_is_refused_while_orphaned_senders_are_at_work(stand: Stand, shelf: Shelf) -> None:
    """One stopped in the middle of its work keeps its lock, and the run stays as it is until it has ended."""
    running = await at_work(stand, shelf)
    orphan = senders(running)[0]
    os.kill(orphan, signal.SIGSTOP)
    try:
        await running.kill()
        await asyncio.sleep(0.3)
        served = len(shelf.letters)
        (await stand.send()).tells(75, "shards")
        assert len(shelf.letters) == served
    finally:
        os.kill(orphan, signal.SIGCONT)
    shelf.waits.clear()
    await until(lambda: gone(orphan), "it has ended")
    assert (await stand.send()).code in (0, 4)
    assert everybody(shelf)
