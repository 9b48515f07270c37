"""`campaign forget` with a store: erased there, here, and by the next command of every other machine."""

from __future__ import annotations

import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.cli.main import cli
from campaign.compose.mime.header_values import message_id
from campaign.config import load
from campaign.errors import ConfigError, UnfinishedError
from campaign.exit_codes import ExitCode
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.ledger.journal.journal_records import Intent, VerdictRecord, decode, encode
from campaign.ledger.postgres.edition_lease import StoreConnection, hold_edition
from campaign.ledger.postgres.feedback_exchange import FeedbackExchange, one_collect
from campaign.ledger.postgres.forgotten.forgotten_mark import HEEDED
from campaign.ledger.postgres.schema import ensure_schema
from campaign.ledger.recovery import read_history
from campaign.model import FeedbackEvent, FeedbackOutcome
from campaign.pipeline.find_run import find_run
from campaign.pipeline.operate import manage
from campaign.pipeline.operate.forget.remaining_traces import WAITS
from campaign.pipeline.start.past_runs import refuse_changed_plan
from campaign.pipeline.workers.feedback.shared_feedback import share_feedback
from campaign.pipeline.workers.forgotten import forget_stored, stored_erasure
from campaign.system.postgres import StoreAddress, connect, store_address
from tests.integration.test_forget_killed import killed_at
from tests.support.forget_place import ADA, GREETING, Place, named_in, relay
from tests.support.servers.store_server import StoreServer
from torture import store_books


@pytest.fixture
def address(server: StoreServer) -> StoreAddress:
    return store_address(server.database())


class Machine(Place):
    """A machine with the same campaign, a ledger directory of its own, and the store."""

    def __init__(self, folder: Path, url: str, store: str) -> None:
        folder.mkdir()
        self.store = store
        super().__init__(folder, url)

    def settings(self, audience: str = "", head: str = "") -> None:
        super().settings(audience, f'secret_file = "../secret"\n{head}')
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f'[ledger]\nstore = "{self.store}"\n')

    def mailed(self) -> list[str]:
        self_folder, self.folder = self.folder, self.folder.parent
        try:
            return super().mailed()
        finally:
            self.folder = self_folder

    def look(self) -> Path:
        """As `campaign report` looks at the newest run."""
        run = find_run(str(self.file), lambda _: None)
        manage.report(run)
        return run

    @property
    def events(self) -> list[FeedbackEvent]:
        return list(read_events(self.runs))


@pytest.fixture
def machines(tmp_path: Path, address: StoreAddress) -> Iterator[tuple[Machine, Machine]]:
    secret = tmp_path / "secret"
    secret.write_text("one secret for all machines, of some length\n", encoding="utf-8")
    secret.chmod(0o600)
    with relay(tmp_path / "relay") as url:
        yield Machine(tmp_path / "one", url, address.text), Machine(tmp_path / "two", url, address.text)


@pytest.fixture
def connection(address: StoreAddress) -> Iterator[StoreConnection]:
    with connect(address) as connection:
        ensure_schema(connection)
        yield connection


def stored_names(connection: StoreConnection, *words: bytes) -> list[str]:
    """The tables whose rows name Ada: each column, compressed or not."""
    found = []
    words = words or (b"ada@example.com", b"ada lovelace")
    columns = connection.execute(
        "SELECT table_name, string_agg(column_name, ', ') FROM information_schema.columns "
        "WHERE table_schema = 'campaign' AND data_type NOT LIKE 'timestamp%%' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    for table, names in columns:
        rows = connection.execute(f"SELECT {names} FROM campaign.{table}").fetchall()  # type: ignore[arg-type]
        for row in rows:
            for cell in row:
                data = bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode()
                text = (zlib.decompress(data) if data[:1] == b"\x78" else data).lower()
                found += [str(table)] if any(word in text for word in words) else []
    return found


def complain(machine: Machine, name: str = "1", address: str = "Ada@example.com") -> None:
    with FeedbackStore(machine.runs) as store:
        event = FeedbackEvent(name, "imap:b", FeedbackOutcome.COMPLAINT, 1.7e9, 1.7e9, address, "message-id")
        store.add([event])
        store.sync()


def test_the_person_is_erased_from_the_store_from_here_and_from_the_other_machine_at_its_next_command(
    machines: tuple[Machine, Machine], connection: StoreConnection, address: StoreAddress
) -> None:
    one, two = machines
    assert one.send() is ExitCode.DONE
    complain(one)
    share_feedback(one.job)
    run = two.look()
    (run / "log.jsonl").write_text('{"to": "ADA@example.com"}\n', encoding="utf-8")
    assert stored_names(connection) != []
    assert named_in(two.runs) != []
    result = one.forget()
    assert (result.code, result.left, result.suppressed) == (ExitCode.DONE, {}, True)
    assert result.stored is not None
    assert (result.stored["planned letters"], result.stored["events"]) == (1, 1)
    assert stored_names(connection) == []
    assert named_in(one.runs) == []
    assert named_in(two.runs) != []
    two.look()
    assert named_in(two.runs) == []
    assert [len(event.address) for event in two.events] == [64]
    assert (two.runs / HEEDED).read_bytes() == (one.runs / HEEDED).read_bytes()
    for machine in machines:
        copy = find_run(str(machine.file), lambda _: None)
        refuse_changed_plan(copy, read_history(copy), Plan.open(copy / "plan.jsonl"))
    found = store_books.read(address.text)
    assert (found.faults, found.pending, found.left, found.open) == ([], 0, 0, [])
    two.people("p0", "p1", "Ada", "p3", "p4", "p5", "new")
    assert two.send() is ExitCode.DONE
    assert two.mailed().count(ADA) == 1
    assert len(two.mailed()) == 7


def test_a_letter_that_waits_is_withdrawn_and_the_other_machine_sends_to_the_rest(
    machines: tuple[Machine, Machine], connection: StoreConnection, address: StoreAddress
) -> None:
    one, two = machines
    assert one.send(limit=1) is ExitCode.UNFINISHED
    assert two.send(limit=1) is ExitCode.UNFINISHED
    with (find_run(str(one.file), lambda _: None) / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"event": "a note", "to": "ADA@example.com"}\n')
    result = two.forget()
    assert result.stored is not None
    assert (result.stored["letters withdrawn"], result.left) == (1, {})
    assert one.send() is ExitCode.DONE
    assert one.mailed() == [f"p{number}@example.com" for number in (0, 1, 3, 4, 5)]
    assert named_in(one.runs) == named_in(two.runs) == stored_names(connection) == []
    found = store_books.read(address.text)
    assert found.faults == []
    assert sorted(found.runs[0].verdicts.values()) == ["accepted"] * 5 + ["withdrawn"]


def test_a_dry_run_says_what_is_where_and_changes_nothing(
    machines: tuple[Machine, Machine], connection: StoreConnection
) -> None:
    one, _ = machines
    one.send(limit=2)
    complain(one)
    share_feedback(one.job)
    before = {path: path.read_bytes() for path in one.folder.rglob("*") if path.is_file()}
    tables = (
        "SELECT id, data FROM campaign.segment UNION ALL SELECT seq, event FROM campaign.feedback_event ORDER BY 1, 2"
    )
    rows = connection.execute(tables).fetchall()
    result = one.forget(dry_run=True)
    assert result.stored is not None
    wanted = {"planned letters": 1, "letters withdrawn": 1, "events": 1}
    assert {kind: result.stored[kind] for kind in wanted} == wanted
    assert result.counts["planned letters"] == 1
    assert result.suppressed
    assert {path: path.read_bytes() for path in one.folder.rglob("*") if path.is_file()} == before
    assert connection.execute(tables).fetchall() == rows
    assert connection.execute("SELECT count(*) FROM campaign.forgotten").fetchone() == (0,)


def test_what_another_machine_had_not_given_yet_comes_without_the_address(
    machines: tuple[Machine, Machine], connection: StoreConnection
) -> None:
    one, two = machines
    one.send()
    two.look()
    complain(two, "not given yet")
    assert not one.forget().suppressed
    exchange = FeedbackExchange(store_address(two.store), two.runs)
    with exchange:
        exchange.exchange()
        assert exchange.behind
    assert connection.execute("SELECT count(*) FROM campaign.feedback_event").fetchone() == (0,)
    share_feedback(two.job)
    assert connection.execute("SELECT count(*) FROM campaign.feedback_event").fetchone() == (1,)
    assert stored_names(connection) == named_in(two.runs) == []
    assert [len(event.address) for event in two.events] == [64]  # what was known here alone suppresses them


def test_a_suppressed_person_stays_so_on_a_machine_that_knew_less(
    machines: tuple[Machine, Machine], connection: StoreConnection
) -> None:
    one, two = machines
    day = 86_400.0

    def soft(machine: Machine, run: int) -> None:
        at = time.time() - (10 - 4 * run) * day
        event = FeedbackEvent(f"soft {run}", "imap:b", FeedbackOutcome.SOFT, at, at, ADA, "message-id")
        with FeedbackStore(machine.runs) as store:
            store.add([event._replace(campaign="gazette", run=f"gazette/{run}")])
            store.sync()

    soft(two, 0)
    share_feedback(two.job)
    soft(one, 1)
    soft(one, 2)
    assert one.forget().suppressed
    share_feedback(two.job)
    assert named_in(two.runs) == stored_names(connection) == []
    assert {len(event.address) for event in two.events} == {64}
    two.send()
    assert ADA not in two.mailed()
    assert len(two.mailed()) == 5


def test_nobody_is_forgotten_while_another_command_holds_an_edition_collects_or_serves(
    machines: tuple[Machine, Machine], connection: StoreConnection, address: StoreAddress
) -> None:
    one, _ = machines
    one.send(limit=1)
    with (
        hold_edition(address, connection, "gazette", "", lambda _: False),
        pytest.raises(UnfinishedError, match="Commands are at work on this store"),
    ):
        one.forget()
    with one_collect(address), pytest.raises(UnfinishedError, match="Commands are at work"):
        one.forget()
    connection.execute("INSERT INTO campaign.worker (name, run) SELECT 'elsewhere:1:a', run FROM campaign.run")
    with pytest.raises(UnfinishedError, match="Commands are at work") as refused:
        one.forget()
    assert refused.value.evidence == ("elsewhere:1:a",)
    connection.execute("DELETE FROM campaign.worker")
    connection.execute("UPDATE campaign.shard SET holder = 'w', until = 'infinity' WHERE shard > 0")
    with pytest.raises(UnfinishedError, match="Commands are at work"):
        one.forget()
    assert stored_names(connection) != []
    connection.execute("UPDATE campaign.shard SET holder = NULL, until = '-infinity'")
    assert one.forget().left == {}


def test_copies_wait_while_a_worker_of_this_machine_is_alive(
    machines: tuple[Machine, Machine], connection: StoreConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    one.send()
    two.look()
    one.forget()
    monkeypatch.setattr("socket.gethostname", lambda: "two")
    connection.execute("INSERT INTO campaign.worker (name, run) SELECT 'two:1:a', run FROM campaign.run")
    with pytest.raises(UnfinishedError, match="a worker on this one still has its copies in use"):
        share_feedback(two.job)
    assert named_in(two.runs) != []
    connection.execute("DELETE FROM campaign.worker")
    share_feedback(two.job)
    assert named_in(two.runs) == []


def test_the_same_command_again_finds_nothing_and_tells_other_machines_nothing_new(
    machines: tuple[Machine, Machine], connection: StoreConnection
) -> None:
    one, two = machines
    one.send()
    one.forget()
    mark = (one.runs / HEEDED).read_bytes()
    again = two.forget()
    assert (again.stored, again.left) == ({}, {})
    assert named_in(two.runs) == []
    assert connection.execute("SELECT count(*) FROM campaign.forgotten").fetchone() == (1,)
    assert (two.runs / HEEDED).read_bytes() == mark


def test_copies_without_the_setting_and_copies_of_another_store_are_refused(
    machines: tuple[Machine, Machine], server: StoreServer
) -> None:
    one, _ = machines
    one.send()
    Place.settings(one)
    with pytest.raises(ConfigError, match=r"copies of what a store keeps"):
        one.forget()
    one.store = server.database()
    one.settings()
    with pytest.raises(ConfigError, match="copies of another store's runs"):
        one.forget()


def test_the_answer_says_what_was_erased_where(machines: tuple[Machine, Machine]) -> None:
    from click.testing import CliRunner

    one, _ = machines
    one.send(limit=1)
    told = CliRunner(env=GREETING).invoke(cli, ["forget", str(one.file), ADA, "--dry-run"], standalone_mode=False)
    assert told.stdout.splitlines()[:4] == [
        "would be erased in the store:",
        "  1 planned letter",
        "  1 letter that waited, withdrawn",
        "would be erased on this machine:",
    ]
    assert "every other machine erases its own copies at its next command" in " ".join(told.stdout.split())
    facts = json.loads(
        CliRunner(env=GREETING).invoke(cli, ["forget", str(one.file), ADA, "--json"], standalone_mode=False).stdout
    )
    assert (facts["stored"]["planned_letters"], facts["changed"]["planned_letters"]) == (1, 1)


def test_a_forgetting_names_nobody(machines: tuple[Machine, Machine], connection: StoreConnection) -> None:
    one, _ = machines
    load(one.file, GREETING)
    one.send()
    one.forget()
    [(seals,)] = connection.execute("SELECT seals FROM campaign.forgotten").fetchall()
    assert [len(seal) for seal in seals] == [32]
    assert connection.execute("SELECT recipient FROM campaign.forgotten_recipient").fetchall() == [(2,)]


def test_what_a_worker_handed_in_late_about_the_person_is_erased(
    machines: tuple[Machine, Machine], connection: StoreConnection
) -> None:
    one, _ = machines
    one.send(limit=1)
    lines = b"".join(
        encode(VerdictRecord(number, "rejected", 1.7e9, 550, reason=f"5.1.1 <{name}@example.com> {name} is gone"))
        for number, name in ((2, "ada"), (3, "p3"))
    )
    connection.execute(
        "INSERT INTO campaign.late (run, shard, token, data, merged) SELECT run, 1, 5, %s, true FROM campaign.run",
        (lines,),
    )
    one.forget()
    [(found,)] = connection.execute("SELECT data FROM campaign.late").fetchall()
    assert len(found) == len(lines)
    records = [decode(line) for line in bytes(found).splitlines()]
    said = [one.reason for one in records if isinstance(one, VerdictRecord)]
    assert said == ["5.1.1 <***************> *** is gone", "5.1.1 <p3@example.com> p3 is gone"]


def test_a_letter_of_somebody_else_that_waits_keeps_the_address_until_it_is_sent(
    machines: tuple[Machine, Machine], connection: StoreConnection
) -> None:
    one, two = machines
    for machine in machines:
        (machine.folder / "letter.txt").write_text("Dear {{ name }}, ask {{ friend }}\n", encoding="utf-8")
        machine.people("p0", "p1", "p2", heading="email,name,friend", row="{0}@example.com,{0},ada@example.com")
    one.send(limit=1)
    two.send(limit=1)
    result = one.forget()
    assert result.code is ExitCode.UNFINISHED
    assert [why for place, why in result.left.items() if place.endswith("in the store")] == [WAITS]
    assert two.send() is ExitCode.DONE
    assert [b"ask ada@example.com" in path.read_bytes() for path in two.folder.parent.glob("relay/new/*")] == [True] * 3
    assert one.forget().left == {}
    assert stored_names(connection) == named_in(one.runs) == []
    two.look()
    assert named_in(two.runs / "gazette") == []


def test_a_doubt_stays_one_and_is_settled_from_any_machine(
    machines: tuple[Machine, Machine], connection: StoreConnection, tmp_path: Path
) -> None:
    one, two = machines
    one.send(limit=1)
    run = two.look()
    composed = two.job
    identity = composed.identity(read_history(run).opened.generation)
    wanted = message_id(identity, "example.com", Plan.open(run / "plan.jsonl").recipient(2).key)
    doubt = encode(VerdictRecord(2, "in_doubt", 1.7e9, reason="no reply", date=1.7e9))
    intent = encode(Intent(2, "0" * 64, 1.7e9))
    connection.execute(
        "INSERT INTO campaign.segment (run, shard, seq, token, data) "
        "SELECT run, shard, max(seq) + 1, 7, %s FROM campaign.segment WHERE shard = 1 GROUP BY run, shard",
        (intent + doubt,),
    )
    result = one.forget()
    assert (result.in_doubt, result.left) == (1, {})
    assert stored_names(connection) == []
    log = tmp_path / "relay.log"
    log.write_text(f"message-id={wanted}\n", encoding="utf-8")
    assert manage.resolve(two.look(), log) == (1, 0)
    assert named_in(two.runs) == stored_names(connection) == []
    assert two.send() is ExitCode.DONE
    assert ADA not in two.mailed()


def dies(*points: tuple[object, str]) -> None:
    """In a process of its own: end it where it would call one of these."""
    for home, name in points:
        setattr(home, name, lambda *_, **__: os._exit(9))


def await_end_of_sessions(connection: StoreConnection) -> None:
    """Until the server has noticed that a killed process is gone."""
    deadline = time.monotonic() + 30.0
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while connection.execute(others).fetchone() != (0,):
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("point", "done"),
    [
        ((stored_erasure, "record_forgetting"), 0),
        ((stored_erasure, "add_changes"), 0),
        ((forget_stored, "erase_ledger"), 1),
        ((forget_stored, "fetch_changed"), 1),
        ((forget_stored, "note_heeded"), 1),
        ((forget_stored, "clear_dead_rows"), 1),
    ],
)
def test_it_can_be_killed_before_and_after_the_commit(
    machines: tuple[Machine, Machine], connection: StoreConnection, point: tuple[object, str], done: int
) -> None:
    one, two = machines
    one.send(limit=1)
    complain(one)
    two.look()
    if (child := os.fork()) == 0:
        dies(point)
        with suppress(BaseException):
            one.forget()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert connection.execute("SELECT count(*) FROM campaign.forgotten").fetchone() == (done,)
    assert (stored_names(connection) == []) is bool(done)
    two.look()
    assert (named_in(two.runs) == []) is bool(done)
    await_end_of_sessions(connection)
    result = one.forget()  # at once: the lease of the killed one does not delay it
    assert result.left == {}
    assert not list((one.runs / "feedback").glob("forgetting-*"))
    two.look()
    assert stored_names(connection) == named_in(one.runs) == named_in(two.runs) == []
    assert {len(event.address) for machine in machines for event in machine.events} == {64}
    assert two.send() is ExitCode.DONE
    assert two.mailed() == [f"p{number}@example.com" for number in (0, 1, 3, 4, 5)]


def test_the_other_machine_can_be_killed_at_every_step_of_erasing_its_copies(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    one, two = machines
    one.send()
    run = two.look()
    complain(one)
    with FeedbackStore(two.runs) as store:
        store.add([FeedbackEvent("b", "imap:b", FeedbackOutcome.SOFT, 1.7e9, 1.7e9, ADA, "message-id")])
    (run / "log.jsonl").write_text('{"to": "ADA@example.com"}\n', encoding="utf-8")
    one.forget()
    shutil.copytree(two.runs, tmp_path / "before")
    step = 1
    while True:
        shutil.rmtree(two.runs)
        shutil.copytree(tmp_path / "before", two.runs)
        if not killed_at(step, lambda: share_feedback(two.job)):
            break
        share_feedback(two.job)
        assert named_in(two.runs) == [], step
        assert {len(event.address) for event in two.events} == {64}, step
        refuse_changed_plan(run, read_history(run), Plan.open(run / "plan.jsonl"))
        step += 1
    assert step > 10
    assert named_in(two.runs) == []


def test_who_is_known_to_the_other_machine_by_an_event_alone_is_erased_there(
    machines: tuple[Machine, Machine], connection: StoreConnection, tmp_path: Path
) -> None:
    one, two = machines
    for machine in machines:
        complain(machine, f"of {machine.folder.name}", "nobody@example.com")
    note = two.runs / "feedback" / "imap.json"
    one.forget("nobody@example.com")
    note.parent.mkdir(exist_ok=True)
    note.write_text('{"last": "nobody@example.com"}', encoding="utf-8")
    shutil.copytree(two.runs, tmp_path / "before")
    step = 1
    while killed_at(step, lambda: share_feedback(two.job)):
        share_feedback(two.job)
        assert named_in(two.runs, "nobody@example.com") == [], step
        shutil.rmtree(two.runs)
        shutil.copytree(tmp_path / "before", two.runs)
        step += 1
    assert named_in(two.runs, "nobody@example.com") == []
    assert stored_names(connection, b"nobody@") == []


def test_an_edition_that_another_machine_begins_meanwhile_is_not_missed(
    machines: tuple[Machine, Machine], connection: StoreConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    one.send()
    commit = stored_erasure.StoredErasure.commit

    def later(erasure: stored_erasure.StoredErasure, *words: Any, **named: Any) -> bool:
        two.settings(head='edition = "next"\n')
        two.send()
        return commit(erasure, *words, **named)

    with monkeypatch.context() as patch:
        patch.setattr(stored_erasure.StoredErasure, "commit", later)
        with pytest.raises(UnfinishedError, match="begun an edition"):
            one.forget()
    assert stored_names(connection)
    one.forget()
    assert stored_names(connection) == []
