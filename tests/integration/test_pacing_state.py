"""The throttle's state on a real disk: shared, killed, rebooted, cut off from power."""

from __future__ import annotations

import itertools
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from campaign.config.delivery import DeliverySection
from campaign.config.units import rate
from campaign.delivery.pacing import pacing_file
from campaign.delivery.pacing.pacing_file import Machine
from campaign.delivery.pacing.shared_throttle import SHARE, SharedThrottle, open_throttle, read_warmup
from campaign.delivery.pacing.sliding_window import CELLS, FLUSHED, PROMISED, SENT
from campaign.errors import ConfigError, StorageError

DAY = 86400.0
ACCOUNT = "news@smtp.example.com:465"


class Clock:
    """A clock that stands still unless moved."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextmanager
def throttle(
    directory: Path, clock: Clock, *limits: str, boot: str = "one", wall: float = 1e9, **more: object
) -> Iterator[SharedThrottle]:
    machine = Machine(clock=clock, wall=lambda: wall + clock.now, boot=boot)
    opened = SharedThrottle(
        directory,
        ACCOUNT,
        [rate(one) for one in limits],
        clock=clock,
        machine=machine,
        **more,  # type: ignore[arg-type]  # passed on
    )
    try:
        yield opened
    finally:
        opened.close()


def send(one: SharedThrottle, clock: Clock, most: int = 10**6) -> int:
    """Send until ``most`` are gone or the next has to wait longer than a second."""
    sent = 0
    while sent < most:
        wait = one.take("example.com", clock.now)
        if wait > 1.0:
            break
        clock.now += wait
        sent += not wait
    return sent


def account_file(directory: Path) -> Path:
    return next((directory / "pacing").glob("news@smtp.example.com*/account.times"))


def test_a_daily_limit_counts_over_runs(tmp_path: Path) -> None:
    clock, sent = Clock(), []
    for _ in range(4):
        with throttle(tmp_path, clock, "10/s", "100/day") as one:
            sent.append(send(one, clock, 30))
    assert sent == [30, 30, 30, 10]
    clock.now = 100.0 + DAY
    with throttle(tmp_path, clock, "10/s", "100/day") as one:
        assert send(one, clock, 30) == 30


def test_another_campaign_may_know_a_limit_that_the_first_did_not(tmp_path: Path) -> None:
    clock = Clock()
    with throttle(tmp_path, clock) as one:
        assert send(one, clock, 80) == 80
    with throttle(tmp_path, clock, "100/day") as other:
        assert send(other, clock) == 20


def test_accounts_do_not_share(tmp_path: Path) -> None:
    clock = Clock()
    with throttle(tmp_path, clock, "10/day") as one:
        assert send(one, clock) == 10
    machine = Machine(clock=clock, wall=time.time, boot="one")
    other = SharedThrottle(tmp_path, "news@smtp.example.com-465", [rate("10/day")], clock=clock, machine=machine)
    assert send(other, clock) == 10
    other.close()


def test_whoever_comes_second_is_told_that_the_account_is_shared(tmp_path: Path) -> None:
    clock = Clock()
    with throttle(tmp_path, clock, "10/day") as first, throttle(tmp_path, clock, "10/day") as second:
        assert (first.shared, second.shared) == (False, True)
    with throttle(tmp_path, clock, "10/day") as later:
        assert not later.shared


def test_domain_limits_are_kept_too(tmp_path: Path) -> None:
    clock = Clock()
    for expected in (0.0, 0.0, pytest.approx(3600.0)):
        with throttle(
            tmp_path, clock, domain_limits={"google": [rate("2/1h")]}, groups={"gmail.example": "google"}
        ) as one:
            one._windows["google"]._interval = 0.0
            assert one.take("gmail.example", clock.now) == expected


def test_a_cut_and_a_hold_pass_to_the_next_run(tmp_path: Path) -> None:
    clock = Clock()
    with throttle(tmp_path, clock, "20/s") as one:
        send(one, clock, 5)
        assert "from 20/s to 10/s" in one.slow(None, clock.now)
    with throttle(tmp_path, clock, "20/s") as one:
        assert one.wait("example.com", clock.now) == pytest.approx(0.1)
        one.hold(None, clock.now, 60)
    with throttle(tmp_path, clock, "20/s") as one:
        assert one.wait("example.com", clock.now) == pytest.approx(60.0)
        assert one.held_by("example.com", clock.now)[2] == pytest.approx(60.0)


def test_two_at_the_same_time_keep_the_limit_in_sum(tmp_path: Path) -> None:
    clock = Clock()
    with throttle(tmp_path, clock, "10/s") as one, throttle(tmp_path, clock, "10/s") as other:
        sent = 0
        for turn in itertools.cycle((one, other)):
            wait = turn.take("example.com", clock.now)
            clock.now += wait
            sent += not wait
            if clock.now > 110.0:
                break
        assert sent == pytest.approx(100, abs=2)


def test_a_clock_of_ones_own_is_translated(tmp_path: Path) -> None:
    since_boot, loop = Clock(5000.0), Clock(3.0)
    machine = Machine(clock=since_boot, wall=time.time, boot="one")
    for _ in range(2):
        one = SharedThrottle(tmp_path, ACCOUNT, [rate("1/min")], clock=loop, machine=machine)
        wait = one.take("example.com", loop.now)
        one.close()
        since_boot.now += 20.0  # the next process counts from another zero
        loop.now = 1.0
    assert wait == pytest.approx(40.0)


def test_sleep_of_the_machine_counts_as_time(tmp_path: Path) -> None:
    since_boot, loop = Clock(5000.0), Clock(3.0)
    machine = Machine(clock=since_boot, wall=time.time, boot="one")
    one = SharedThrottle(tmp_path, ACCOUNT, [rate("1/h")], clock=loop, machine=machine)
    one.take("example.com", loop.now)
    since_boot.now += 7200.0  # suspended: the loop's clock stood still
    loop.now += 1.0
    assert one.take("example.com", loop.now) == 0.0
    one.close()


def test_a_letter_that_leaves_right_after_a_sleep_counts_as_one_of_now(tmp_path: Path) -> None:
    since_boot, loop = Clock(5000.0), Clock(3.0)
    machine = Machine(clock=since_boot, wall=time.time, boot="one")
    one = SharedThrottle(tmp_path, ACCOUNT, [rate("1/min")], clock=loop, machine=machine)
    one.take("example.com", loop.now)
    since_boot.now += 7200.0  # suspended: the loop's clock stood still
    loop.now += 0.1
    assert one.take("example.com", loop.now) == 0.0
    loop.now, since_boot.now = loop.now + 2.0, since_boot.now + 2.0
    assert one.take("example.com", loop.now) == pytest.approx(58.0)
    one.close()


# ---------------------------------------------------------------- reboots and power cuts


def test_a_reboot_moves_what_is_remembered_to_the_new_clock(tmp_path: Path) -> None:
    clock = Clock(50_000.0)
    with throttle(tmp_path, clock, "60/day", boot="one", wall=1e9) as one:
        assert send(one, clock, 40) == 40
    fresh = Clock(30.0)  # an hour later by the wall clock
    wall = 1e9 + clock.now + 3600.0 - fresh.now
    with throttle(tmp_path, fresh, "60/day", boot="two", wall=wall) as one:
        assert send(one, fresh) == 20
        fresh.now = DAY - 3600.0 + 20.0
        assert send(one, fresh) == 0
        fresh.now += 10.0
        assert send(one, fresh) == 40


def test_a_wall_clock_that_went_back_makes_us_careful_and_not_stuck(tmp_path: Path) -> None:
    clock = Clock(50_000.0)
    with throttle(tmp_path, clock, "10/min", boot="one", wall=1e9) as one:
        send(one, clock, 10)
    fresh = Clock(30.0)
    with throttle(tmp_path, fresh, "10/min", boot="two", wall=0.0) as one:
        assert 0.0 < one.wait("example.com", fresh.now) <= 6.0


@pytest.mark.parametrize("seed", range(12))
def test_a_power_cut_never_lets_a_limit_be_exceeded(tmp_path: Path, seed: int) -> None:
    """The disk keeps what was synced, and of the rest any page or none."""
    dice = random.Random(seed)
    limit, total, now = 3000, 0, 1000.0
    asked = [dice.randrange(1000) for _ in range(6)]
    for cut in range(6):
        clock = Clock(10.0)
        machine = Machine(clock=clock, wall=lambda clock=clock, now=now: now + clock.now, boot=f"boot {cut}")
        one = SharedThrottle(tmp_path, ACCOUNT, [rate(f"{limit}/day")], clock=clock, machine=machine)
        path = account_file(tmp_path)
        synced = path.read_bytes()
        for _ in range(asked[cut]):
            if one.take("example.com", clock.now) > 0:
                break
            total += 1
            if one._own_file.cells[SENT] == one._own_file.cells[FLUSHED] + 1:
                synced = path.read_bytes()  # the sync that the promise made has just returned
            clock.now += 0.01
        latest = path.read_bytes()
        os.close(one._lock)  # gone without a goodbye
        torn = bytearray(synced)
        for page in range(0, len(torn), 4096):
            if dice.random() < 0.3:
                torn[page : page + 4096] = latest[page : page + 4096]
        path.write_bytes(torn)
        now += clock.now + 100.0
    assert total <= limit
    # What the cuts have cost is what was promised and not sent.
    assert total >= min(limit, sum(asked)) - 6 * limit * SHARE


def test_a_clean_end_costs_nothing_at_the_next_boot(tmp_path: Path) -> None:
    clock = Clock(10.0)
    with throttle(tmp_path, clock, "500/day", boot="one") as one:
        assert send(one, clock, 100) == 100
        assert one._own_file.cells[PROMISED] - one._own_file.cells[FLUSHED] == 500 * SHARE
    fresh = Clock(10.0)
    with throttle(tmp_path, fresh, "500/day", boot="two", wall=1e9 + 600.0) as one:
        assert send(one, fresh) == 400


# ---------------------------------------------------------------- processes

SENDER = """
import os, sys, time
from pathlib import Path
from campaign.config.units import rate
from campaign.delivery.pacing.shared_throttle import SharedThrottle
one = SharedThrottle(Path(sys.argv[1]), "news@smtp.example.com:465", [rate(text) for text in sys.argv[3:]])
until = time.monotonic() + float(sys.argv[2])
while (now := time.monotonic()) < until:
    wait = one.take("example.com", now)
    if wait:
        time.sleep(min(wait, 0.002))
    else:
        os.write(1, b"%.6f\\n" % time.monotonic())
"""


def sender(directory: Path, seconds: float, *limits: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SENDER, str(directory), str(seconds), *limits], stdout=subprocess.PIPE
    )


def test_three_processes_keep_a_rate_in_sum(tmp_path: Path) -> None:
    running = [sender(tmp_path, 2.5, "200/s", "300/1.5s") for _ in range(3)]
    left = sorted(float(line) for one in running for line in one.communicate()[0].split())
    assert all(one.returncode == 0 for one in running)
    # What is seen here is when each letter was written down, up to a scheduling delay after its turn.
    slack = 0.03
    assert min(left[n + 200] - left[n] for n in range(len(left) - 200)) >= 1.0 - slack
    assert min(left[n + 300] - left[n] for n in range(len(left) - 300)) >= 1.5 - slack
    assert len(left) / (left[-1] - left[0]) == pytest.approx(200, rel=0.05)


def test_processes_that_race_for_the_last_turns_do_not_count_any_twice(tmp_path: Path) -> None:
    running = [sender(tmp_path, 2.0, "20000/day") for _ in range(3)]
    assert sum(len(one.communicate()[0].split()) for one in running) == 20_000


def test_kills_lose_no_letter_of_the_count(tmp_path: Path) -> None:
    dice, sent, kills = random.Random(7), 0, 0
    while kills < 12:
        running = sender(tmp_path, 60, "400/day")
        assert running.stdout is not None
        for _ in range(dice.randrange(1, 60)):
            if not running.stdout.readline():
                break
            sent += 1
        running.send_signal(signal.SIGKILL)
        sent += len(running.stdout.read().split())
        running.wait()
        running.stdout.close()
        kills += 1
        if sent >= 400 - kills:
            break
    last = sender(tmp_path, 1.0, "400/day")
    sent += len(last.communicate()[0].split())
    assert 400 - kills <= sent <= 400  # a kill may cost the one turn that was taken and not used


def test_a_lock_held_by_somebody_else_does_not_block_us(tmp_path: Path) -> None:
    import fcntl

    clock = Clock()
    with throttle(tmp_path, clock, "10/s") as one:
        handle = os.open(one._folder / "lock", os.O_RDWR)
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert one.take("example.com", clock.now) == pytest.approx(0.001)
        os.close(handle)
        assert one.take("example.com", clock.now) == 0.0


# ---------------------------------------------------------------- files


def test_files_are_private_and_take_their_room_at_once(tmp_path: Path) -> None:
    with throttle(tmp_path, Clock(), "10/s"):
        path = account_file(tmp_path)
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert found.st_size == 4096 + CELLS * 8
        assert found.st_blocks * 512 >= found.st_size  # a hole would be a SIGBUS on a full disk


@pytest.mark.parametrize(
    "content", [b"", b"something else", b"campaign pacing 1\n", b"campaign pacing 2\n" + bytes(528_000)]
)
def test_a_file_that_is_not_ours_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    with throttle(tmp_path, Clock(), "10/s"):
        pass
    account_file(tmp_path).write_bytes(content)
    with pytest.raises(StorageError, match="not a pacing file") as refused, throttle(tmp_path, Clock(), "10/s"):
        pass
    assert "remove" in refused.value.next_step


def test_a_kill_while_a_file_is_made_leaves_none_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Path, "replace", lambda *_: os.kill(os.getpid(), 0) or (_ for _ in ()).throw(OSError(5, "gone"))
    )
    with pytest.raises(StorageError), throttle(tmp_path, Clock(), "10/s"):
        pass
    monkeypatch.undo()
    with throttle(tmp_path, Clock(), "10/s") as one:
        assert one.take("example.com", 100.0) == 0.0


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "pacing").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be kept"), throttle(tmp_path, Clock(), "10/s"):
        pass


def test_a_sync_that_fails_stops_before_the_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with throttle(tmp_path, clock, "10/s") as one:
        monkeypatch.setattr(
            pacing_file.PacingFile, "promise", lambda *_: (_ for _ in ()).throw(StorageError("no room"))
        )
        with pytest.raises(StorageError):
            one.take("example.com", clock.now)
        assert one._own_file.cells[SENT] == 0
        monkeypatch.undo()


def test_a_turn_costs_microseconds_on_disk_too(tmp_path: Path) -> None:
    clock = Clock()
    with throttle(tmp_path, clock, "2000/s", "1000000/day") as one:
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(2000):
                clock.now += 0.001
                one.take("example.com", clock.now)
            best = min(best, (time.perf_counter() - began) / 2000)
    assert best < 20e-6  # 3.2 us where this was written; the bound is for slow and busy machines


# ---------------------------------------------------------------- from the campaign file


def test_the_pacing_folder_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "pacing").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link"):
        open_throttle(DeliverySection(), tmp_path / "runs", ACCOUNT, tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_throttle_is_made_from_the_settings(tmp_path: Path) -> None:
    (tmp_path / "plan.csv").write_text("day,letters\n1, 3\n2,5  # more\n\n")
    settings = DeliverySection.model_validate(
        {
            "rate": ["50/s", "100/day"],
            "domain_rate": {"google": "1/min", "Bücher.example": "2/min"},
            "domain_groups": {"google": ["gmail.example", "Googlemail.example"]},
            "ramp": "10/s..20/s over 10m",
            "warmup_file": "plan.csv",
        }
    )
    one = open_throttle(settings, tmp_path / "runs", ACCOUNT, tmp_path) if (tmp_path / "runs").mkdir() is None else None
    assert one is not None
    now = time.monotonic()
    assert one.take("gmail.example", now) == 0.0
    assert one.wait("googlemail.example", now) == pytest.approx(60.0, abs=0.1)
    assert one.wait("other.example", now) == pytest.approx(0.1, abs=0.01)
    assert one.take("xn--bcher-kva.example", now + 0.2) == 0.0
    assert one.wait("xn--bcher-kva.example", now + 0.2) == pytest.approx(30.0, abs=0.1)
    assert one.take("other.example", now + 0.4) == 0.0
    assert one.wait("other.example", now + 0.6) == pytest.approx(DAY, abs=1.0)
    one.close()
    one.close()


@pytest.mark.parametrize("text", ["2,5", "1,3\n3,4", "1,none", "1,0", "1;3", "1,3\nday,letters"])
def test_a_wrong_warm_up_plan_is_refused_by_file_and_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.csv").write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_warmup(tmp_path / "plan.csv")
    assert f"plan.csv:{len(text.splitlines())}" in str(refused.value)


def test_a_warm_up_plan_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_warmup(tmp_path / "none.csv")
