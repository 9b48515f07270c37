"""The checkpoint: what is written before and after, and what happens when the disk says no."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from campaign.errors import StorageError, UnfinishedError
from campaign.ledger.checkpoint import Checkpoint, create
from campaign.ledger.journal import journal_file, journal_reader
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.journal.journal_writer import FIRST_BLOCK
from campaign.ledger.recovery import read_history
from campaign.model import Letter, Outcome, Verdict
from campaign.system import boot


def letter(number: int) -> Letter:
    return Letter(
        number, f"<{number}@example.com>", "a@example.com", f"{number}@example.org", b"x\r\n", bytes([number]) * 32
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    create(tmp_path, Opened("gazette", "", "run", 1, 200, "plan", {}, "shape", 1.0, "trace"))
    return tmp_path


@pytest.fixture
def checkpoint(run: Path):
    opened = Checkpoint(run, clock=lambda: 1000.5)
    yield opened
    opened.close()


def failing(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, call: str, code: int, *, after: int = 0) -> None:
    real, left = getattr(os, call), [after]

    def fail(*args: object) -> object:
        if left[0]:
            left[0] -= 1
            return real(*args)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(f"campaign.ledger.journal.journal_file.os.{call}", fail)


def test_intent_then_verdict_are_in_the_file_before_the_call_returns(run: Path, checkpoint: Checkpoint) -> None:
    checkpoint.begin_pass()
    assert checkpoint.intent(letter(4), "relay") is None
    assert list(read_history(run, running=True).pending) == [4]
    checkpoint.verdict(Outcome(4, Verdict.ACCEPTED, code=250, relay="relay"))
    assert read_history(run, running=True).verdict(4) is Verdict.ACCEPTED


def test_a_second_process_is_refused_with_75(run: Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(UnfinishedError):
        Checkpoint(run)


def test_a_journal_whose_maker_was_killed_has_its_name_synced_before_anything_is_sent(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(journal_file, "sync_folder", synced.append)
    Checkpoint(run).close()
    assert synced == [run]


def test_a_run_whose_folder_cannot_be_synced_is_refused_with_73(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(journal_file, "sync_folder", fail)
    with pytest.raises(StorageError, match="cannot be written"):
        Checkpoint(run)


def test_an_intent_left_behind_is_recorded_as_in_doubt_at_the_next_opening(run: Path) -> None:
    first = Checkpoint(run)
    first.begin_pass()
    first.intent(letter(7), "relay")
    first.close()
    second = Checkpoint(run)
    second.close()
    assert read_history(run, running=True).verdict(7) is Verdict.IN_DOUBT


async def test_under_power_the_dot_waits_for_a_sync_that_many_share(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    checkpoint = Checkpoint(run, durability="power")
    checkpoint.begin_pass()
    monkeypatch.setattr(checkpoint._file, "sync", lambda: syncs.append(1) or checkpoint._file.size)
    waits = [checkpoint.intent(letter(number), "relay") for number in range(50)]
    await asyncio.gather(*waits)
    checkpoint.close()
    assert 1 <= len(syncs) <= 3


async def test_under_power_a_failed_sync_reaches_every_waiting_letter_and_is_never_repeated(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(run, durability="power")
    checkpoint.begin_pass()
    failing(checkpoint, monkeypatch, "fdatasync", errno.EIO)
    waits = [checkpoint.intent(letter(number), "relay") for number in range(3)]
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert all(isinstance(result, StorageError) for result in results)
    monkeypatch.undo()
    with pytest.raises(StorageError, match="not trusted"):
        checkpoint.sync()
    checkpoint.close()


@pytest.mark.parametrize("error", [StorageError("no room for the mark"), ValueError("unforeseen")])
async def test_under_power_nobody_is_left_waiting_whatever_goes_wrong_with_a_sync(
    run: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    checkpoint = Checkpoint(run, durability="power")
    checkpoint.begin_pass()
    late: list[asyncio.Future[None]] = []

    def break_off(_: int) -> None:
        late.append(checkpoint.intent(letter(2), "relay"))  # it comes while the first two are being synced
        raise error

    monkeypatch.setattr(checkpoint._sync, "_mark", break_off)
    waits = [checkpoint.intent(letter(number), "relay") for number in range(2)]
    assert await asyncio.gather(*waits, return_exceptions=True) == [error, error]
    assert await asyncio.gather(*late, return_exceptions=True) == [error]
    checkpoint.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_no_dot_after_an_intent_that_could_not_be_written(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    checkpoint.begin_pass()
    failing(checkpoint, monkeypatch, "write", code)
    with pytest.raises(StorageError, match=errno.errorcode[code]):
        checkpoint.intent(letter(1), "relay")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_verdict_finds_room_when_the_disk_is_full_and_then_no_further_dot_leaves(
    run: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    checkpoint.begin_pass()
    checkpoint.intent(letter(1), "relay")
    real = os.write

    def full_until_the_ballast_is_dropped(descriptor: int, data: bytes) -> int:
        if (run / "ballast").exists():
            raise OSError(code, os.strerror(code))
        return real(descriptor, data)

    monkeypatch.setattr("campaign.ledger.journal.journal_file.os.write", full_until_the_ballast_is_dropped)
    checkpoint.verdict(Outcome(1, Verdict.ACCEPTED, code=250))
    assert read_history(run, running=True).verdict(1) is Verdict.ACCEPTED
    with pytest.raises(StorageError):
        checkpoint.intent(letter(2), "relay")


def test_a_short_write_is_finished_or_undone(
    run: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.begin_pass()
    before = (run / journal_reader.NAME).read_bytes()
    real, calls = os.write, []

    def short_then_full(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data[:5])

    monkeypatch.setattr("campaign.ledger.journal.journal_file.os.write", short_then_full)
    with pytest.raises(StorageError):
        checkpoint.intent(letter(1), "relay")
    assert (run / journal_reader.NAME).read_bytes() == before


def test_drawing_is_bounded_by_a_synced_frontier(run: Path, checkpoint: Checkpoint) -> None:
    checkpoint.begin_pass()
    checkpoint.reserve(0)
    assert checkpoint.history.frontier == FIRST_BLOCK
    marks = checkpoint.history.synced
    checkpoint.reserve(FIRST_BLOCK - 1)
    assert checkpoint.history.synced == marks
    checkpoint.reserve(FIRST_BLOCK)
    assert checkpoint.history.frontier > FIRST_BLOCK
    assert checkpoint.history.synced > marks


def test_a_deferred_letter_keeps_the_date_of_its_first_try(run: Path, checkpoint: Checkpoint) -> None:
    checkpoint.begin_pass()
    checkpoint.verdict(Outcome(3, Verdict.DEFERRED, code=450, relay="relay"), not_before=2000.0)
    checkpoint._clock = lambda: 3000.0
    checkpoint.begin_pass()
    assert checkpoint.date_of(3) == 1000
    assert checkpoint.date_of(4) == 3000


@pytest.mark.parametrize("clock", [2.0**32, 1e12, -1.0])
def test_a_date_that_no_journal_holds_is_refused_before_it_is_written(run: Path, clock: float) -> None:
    checkpoint = Checkpoint(run, clock=lambda: clock)
    before = (run / journal_reader.NAME).read_bytes()
    with pytest.raises(StorageError, match="clock of this machine is wrong"):
        checkpoint.begin_pass()
    assert (run / journal_reader.NAME).read_bytes() == before
    checkpoint.close()


@pytest.mark.parametrize("clock", [0.0, 2.0**32 - 1])
def test_the_last_dates_that_fit_can_be_read_again(run: Path, clock: float) -> None:
    checkpoint = Checkpoint(run, clock=lambda: clock)
    checkpoint.begin_pass()
    checkpoint.intent(letter(1), "relay")
    checkpoint.verdict(Outcome(1, Verdict.DEFERRED, code=450, relay="relay"), not_before=9e99)
    checkpoint.close()
    history = read_history(run)
    assert (history.dates[1], history.not_before[1]) == (int(clock), 2**32 - 1)


def test_the_ballast_is_there_while_the_run_is_open_and_gone_afterwards(run: Path) -> None:
    checkpoint = Checkpoint(run)
    assert (run / "ballast").stat().st_blocks * 512 >= journal_file.BALLAST_OCTETS
    checkpoint.close()
    assert not (run / "ballast").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        create(tmp_path / "nowhere", Opened("g", "", "r", 1, 1, "p", {}, "shape", 1.0, "t"))


async def test_a_loss_of_power_while_a_few_of_many_are_sent_puts_only_those_in_doubt(run: Path) -> None:
    checkpoint = Checkpoint(run, boot="before")
    checkpoint.begin_pass()
    checkpoint.expect_few(True)
    for number in (0, 50, 100):
        checkpoint.reserve(number)
    durable = checkpoint.intent(letter(100), "relay")
    assert durable is not None
    await durable
    checkpoint.expect_few(False)
    assert checkpoint.intent(letter(50), "relay") is None
    checkpoint.close()
    again = Checkpoint(run, boot="after")
    again.close()
    assert list(read_history(run).numbers(Verdict.IN_DOUBT)) == [50, 100]


async def test_where_no_boot_is_known_a_kill_counts_as_a_loss_of_power(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "_IDENTITY", tmp_path / "no such file")
    checkpoint = Checkpoint(run)
    checkpoint.begin_pass()
    checkpoint.reserve(0)
    checkpoint.close()
    assert list(read_history(run).numbers(Verdict.IN_DOUBT)) == list(range(FIRST_BLOCK))
    again = Checkpoint(run)
    again.end(4)
    again.close()
    assert read_history(run).tally()["in_doubt"] == FIRST_BLOCK


def test_a_long_note_does_not_hide_how_a_run_was_left(run: Path) -> None:
    checkpoint = Checkpoint(run)
    checkpoint.end(69, notes=["The relay cannot be used. " * 400])
    checkpoint.close()
    ended = journal_reader.last_word(run / journal_reader.NAME)
    assert ended is not None
    assert ended.exit_code == 69


def test_who_ends_a_run_without_a_word_leaves_its_notes_as_they_were(run: Path) -> None:
    checkpoint = Checkpoint(run)
    checkpoint.end(69, notes=["The relay cannot be used."], settings={"relay": "mailbox"})
    checkpoint.end(3)
    checkpoint.close()
    history = read_history(run)
    assert (history.notes, history.settings) == (("The relay cannot be used.",), {"relay": "mailbox"})
