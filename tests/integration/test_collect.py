"""`campaign collect` ended at any point, on a full disk, twice at once: each message is one event, and none is lost.

A child process is forked for each collect. It dies by SIGKILL at a chosen call into the operating system, in the middle
of a write too. ``COLLECT_KILLS`` sets how many there are; the seed stands in the name of what failed.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from campaign.config import load
from campaign.errors import CampaignError
from campaign.exit_codes import ExitCode, of_error
from campaign.ledger.feedback.feedback_store import read_events
from campaign.ledger.recovery import read_history
from campaign.model import Verdict
from campaign.pipeline.collect import collect as module
from campaign.pipeline.collect.collect import collect
from campaign.pipeline.collect.collect_lock import collecting
from campaign.pipeline.collect.read_source import SourceReader
from campaign.report.live.console import Console
from tests.support.bounces import Maildir, bounce, plain_mail
from tests.support.sent import SentCampaign
from tests.support.stand import clean_environment

KILLS = int(os.environ.get("COLLECT_KILLS", "40"))
PEOPLE, STRANGERS, DOUBTS = 60, 10, 5
MANY = 300  #: people, where whole processes are killed
#: What a collect asks of the operating system that changes a disk.
CALLS = ("write", "fsync", "fdatasync", "rename", "replace", "link", "unlink", "ftruncate", "mkdir")
MORE = '[[feedback.source]]\nurl = "maildir:bounces"\n'


class Mailroom:
    """A run, some of it in doubt, and a Maildir with one bounce of each recipient and some mail of strangers."""

    def __init__(self, folder: Path, count: int = PEOPLE) -> None:
        self.gazette, self.count = SentCampaign(folder), count
        people = [f"p{number}@example.com" for number in range(count)]
        self.gazette.send(*people, verdicts=dict.fromkeys(people[:DOUBTS], Verdict.IN_DOUBT))
        self.run = self.gazette.newest()
        self.gazette.job(more=MORE)
        self.maildir = Maildir(folder / "bounces")
        for number, address in enumerate(people):
            name = self.gazette.message_id(self.run, address)
            letter = f"From: news@example.com\r\nTo: {address}\r\nMessage-ID: <{name}>\r\n\r\nHello\r\n".encode()
            to = self.gazette.return_path(self.run, number) if number % 2 else "news@example.com"
            self.maildir.put(bounce(to, letter, recipient=address, salt=f"s{number}"))
        for number in range(STRANGERS):
            self.maildir.put(plain_mail("news@example.com", f"mail {number}"))
        self.ids = {digest(path.read_bytes()) for path in self.maildir.waiting}

    def collect(self) -> ExitCode:
        try:
            return collect(load(self.gazette.file), (), Console(io.StringIO())).code
        except CampaignError as error:
            return of_error(error)
        except OSError:  # as the command line has it
            return ExitCode.CANNOT_WRITE

    def proves_right(self) -> None:
        """Each message is one event, and was put where it belongs; each doubt is settled."""
        events = list(read_events(self.gazette.runs))
        assert sorted(one.id.removesuffix("/unknown") for one in events) == sorted(self.ids)
        assert {one.address for one in events} == {"", *(f"p{number}@example.com" for number in range(self.count))}
        assert not self.maildir.waiting
        kept = [
            [digest(path.read_bytes()) for path in self.maildir.kept(name)] for name in ("collected", "not-recognised")
        ]
        assert [len(one) for one in kept] == [self.count, STRANGERS]
        assert sorted(kept[0] + kept[1]) == sorted(self.ids)
        assert read_history(self.run.folder).tally()["in_doubt"] == 0

    def nothing_is_lost(self) -> None:
        """What is not in the mailbox any more has its event."""
        waiting = {digest(path.read_bytes()) for path in self.maildir.waiting}
        known = [one.id.removesuffix("/unknown") for one in read_events(self.gazette.runs)]
        assert len(known) == len(set(known))
        assert self.ids - waiting <= set(known)


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw.replace(b"\r\n", b"\n").rstrip(b"\r\n")).hexdigest()


@pytest.fixture
def mailroom(tmp_path: Path) -> Mailroom:
    return Mailroom(tmp_path)


@dataclass
class Interference:
    """Counts calls into the operating system, and does ``harm`` at number ``at``; to all later ones where ``stays``."""

    at: int
    harm: Callable[[Callable[..., Any], tuple[Any, ...]], Any]
    stays: bool = False
    count: int = 0

    def call(self, real: Callable[..., Any], *words: Any, **more: Any) -> Any:
        self.count += 1
        if self.count == self.at or (self.stays and self.count > self.at):
            return self.harm(partial(real, **more), words)
        return real(*words, **more)

    def install(self) -> None:
        for name in CALLS:
            setattr(os, name, partial(self.call, getattr(os, name)))
        module.SourceReader = partial(SourceReader, batch=7)  # type: ignore[misc, assignment] # small batches: more of them


def warm_up(folder: Path) -> None:
    """One collect in this process: its children need not read the rules again."""
    (folder / "warm").mkdir()
    Mailroom(folder / "warm").collect()


def forked(work: Callable[[], int]) -> int:
    """How a child that does ``work`` ended: its exit code, or the number of the signal below zero."""
    gc.collect()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die(chance: random.Random) -> Callable[[Callable[..., Any], tuple[Any, ...]], Any]:
    """Killed before the call, after it, or in the middle of what it writes."""

    def harm(real: Callable[..., Any], words: tuple[Any, ...]) -> Any:
        way = chance.choice(("before", "after", "middle"))
        if way == "after":
            real(*words)
        elif way == "middle" and len(words) == 2 and isinstance(words[1], bytes):
            real(words[0], words[1][: chance.randrange(len(words[1]) + 1)])
        os.kill(os.getpid(), signal.SIGKILL)

    return harm


def test_a_collect_that_is_killed_at_any_point_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    chance, kills, rounds = random.Random(seed), 0, 0
    warm_up(tmp_path)
    try:
        while kills < KILLS:
            rounds += 1
            (tmp_path / str(rounds)).mkdir()
            kills += killed_until_done(Mailroom(tmp_path / str(rounds)), chance)
    except AssertionError as error:
        error.add_note(f"seed {seed}, round {rounds}")
        raise


def killed_until_done(mailroom: Mailroom, chance: random.Random) -> int:
    """Collect again and again until one collect is not killed; how many were."""
    kills = 0
    while True:
        interference = Interference(chance.randrange(1, 120), die(chance))

        def work(interference: Interference = interference) -> int:
            interference.install()
            return int(mailroom.collect())

        ended = forked(work)
        assert ended in (0, -signal.SIGKILL)
        mailroom.nothing_is_lost()
        if ended == 0:
            mailroom.proves_right()
            return kills
        kills += 1


def test_a_command_that_is_killed_at_any_moment_is_finished_by_the_next(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    chance, kills, mailroom = random.Random(seed), 0, Mailroom(tmp_path, MANY)
    command = [sys.executable, "-m", "campaign", "collect", str(mailroom.gazette.file), "--quiet"]
    try:
        while kills < KILLS // 5:
            with subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stdin=subprocess.DEVNULL) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.3, 2.0))
                process.kill()
            kills += 1
            mailroom.nothing_is_lost()
        assert mailroom.collect() == 0
        mailroom.proves_right()
    except AssertionError as error:
        error.add_note(f"seed {seed}, {kills} kills")
        raise


@pytest.mark.parametrize("at", [1, 2, 3, 5, 8, 13, 21, 34, 55])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_lets_nothing_be_acknowledged_that_is_not_kept(
    mailroom: Mailroom, at: int, code: int
) -> None:
    def fail(_: Callable[..., Any], __: tuple[Any, ...]) -> Any:
        raise OSError(code, os.strerror(code))

    def work() -> int:
        Interference(at, fail, stays=True).install()
        return int(mailroom.collect())

    assert forked(work) == ExitCode.CANNOT_WRITE
    mailroom.nothing_is_lost()
    assert mailroom.collect() == 0
    mailroom.proves_right()


def test_a_second_collect_at_the_same_time_ends_with_75_and_reads_nothing(mailroom: Mailroom) -> None:
    with collecting(mailroom.gazette.runs):
        assert mailroom.collect() == ExitCode.UNFINISHED
    assert len(mailroom.maildir.waiting) == PEOPLE + STRANGERS
    assert mailroom.collect() == 0
    mailroom.proves_right()


def test_two_collects_at_once_are_one(mailroom: Mailroom) -> None:
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            os._exit(int(mailroom.collect()))
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert 0 in codes
    assert set(codes) <= {0, 75}
    mailroom.collect()
    mailroom.proves_right()
