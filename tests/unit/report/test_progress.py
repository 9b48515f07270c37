"""What an operator sees while a run runs."""

import asyncio
import io

import pytest

from campaign.report.live.progress import Counts, Pace, Progress, caption, line, remaining


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def painted(counts: Counts, **options) -> tuple[Progress, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    options = {"is_terminal": False, "label": "gazette 2026-11"} | options
    return Progress(counts, stream=stream, clock=clock, **options), stream, clock


def test_an_outage_is_named_instead_of_an_estimate():
    counts = Counts(total=10, accepted=4, waiting="waiting for smtp://r until 08:02:00 (refused)")
    for text in (line(counts, 2.0), caption(counts, 2.0)):
        assert counts.waiting in text
        assert "left" not in text


def test_other_processes_are_told_every_second_how_fast_it_went_over_the_last_half_minute():
    told, counts = [], Counts(total=1000)
    progress, _, clock = painted(counts, publish=told.append)
    progress.start()
    for _ in range(60):
        clock.now += 1
        counts.accepted += 10
        progress.tick()
        progress.tick()
    assert told == [pytest.approx(10.0)] * 60
    for _ in range(31):
        clock.now += 1
        progress.tick()
    assert told[-1] == 0.0


def test_under_cron_a_run_prints_a_start_line_a_line_per_interval_and_an_end_line():
    counts = Counts(total=1000)
    progress, stream, clock = painted(counts, interval=10)
    progress.start()
    for _ in range(25):
        clock.now += 1
        counts.accepted += 40
        progress.tick()
    progress.finish()
    none = " · deferred 0 · rejected 0 · in doubt 0"
    assert stream.getvalue().splitlines() == [
        "started gazette 2026-11: 1,000 recipients",
        f"done 400 of 1,000 (40.0 %) · 40.0/s{none} · about 15s left",
        f"done 800 of 1,000 (80.0 %) · 40.0/s{none} · about 5s left",
        f"ended gazette 2026-11: 1,000 of 1,000 (100.0 %) · accepted 1,000{none} · 25s at 40.0/s",
    ]


def test_nothing_off_a_terminal_carries_a_carriage_return_or_an_escape():
    progress, stream, clock = painted(Counts(total=5), label="a\rb\x1b[2J")
    progress.start()
    progress.note("relay said \r\n\x1b[31m421\u202e")
    clock.now += 60
    progress.tick()
    progress.finish()
    assert not set(stream.getvalue()) & {"\r", "\x1b", "\u202e"}
    assert r"relay said \r\n\x1b[31m421\u202e" in stream.getvalue()


def test_a_resumed_run_counts_what_was_done_before_but_its_rate_is_of_this_run():
    counts = Counts(total=1000, done_before=600, accepted=590, rejected=10)
    progress, stream, clock = painted(counts)
    progress.start()
    clock.now += 10
    counts.accepted += 100
    progress.tick()
    progress.finish()
    first, middle, last = stream.getvalue().splitlines()
    assert first == "started gazette 2026-11: 1,000 recipients, 600 of them done earlier"
    assert middle.startswith("done 700 of 1,000 (70.0 %) · 10.0/s ·")
    assert "· accepted 690 · deferred 0 · rejected 10 ·" in last
    assert last.endswith("· this time 100 in 10s at 10.0/s")


@pytest.mark.parametrize(
    ("pace", "limit", "seconds"),
    [(10.0, None, 90.0), (10.0, 5.0, 180.0), (2.0, 5.0, 450.0), (0.0, 5.0, None), (0.0, None, None)],
)
def test_the_estimate_is_never_faster_than_the_limits_nor_than_what_was_seen(pace, limit, seconds):
    assert remaining(Counts(total=1000, done_before=100, accepted=100, limit=limit), pace) == seconds


def test_a_stall_shows_within_the_window_although_the_run_was_fast_before():
    pace, now = Pace(), 0.0
    for second in range(600):
        now, rate = float(second), pace.sample(float(second), second * 50)
    assert rate == pytest.approx(50)
    for second in range(1, 40):
        rate = pace.sample(now + second, int(now) * 50)
    assert rate == 0


def test_while_a_later_pass_is_waited_for_there_is_no_estimate_but_its_time():
    waiting = Counts(total=100, accepted=10, deferred=90, next_pass=1795507200.0)
    assert line(waiting, 5.0).endswith("deferred 90 · rejected 0 · in doubt 0 · next pass at 2026-11-24 08:00 UTC")
    assert caption(waiting, 5.0).startswith("5.0/s · next pass at 2026-11-24 08:00 UTC")


def test_deferred_letters_are_not_done():
    assert line(Counts(total=100, accepted=10, deferred=90), 1.0).startswith("done 10 of 100 (10.0 %)")


@pytest.mark.parametrize("done", [999_999, 999_951])
def test_a_hundred_per_cent_is_said_only_of_all(done):
    assert "(99.9 %)" in line(Counts(total=1_000_000, accepted=done), 1.0)


def test_others_are_named_only_where_there_are_some():
    assert "other" not in line(Counts(total=3), 0.0)
    assert "not sent 2" in line(Counts(total=3, other=2), 0.0)


def test_a_terminal_gets_one_bar_that_is_taken_down_again():
    counts = Counts(total=1000, done_before=500, accepted=500, limit=50)
    progress, stream, clock = painted(counts, is_terminal=True)
    progress.start()
    clock.now += 2
    counts.accepted += 80
    progress.tick()
    progress.finish()
    text = stream.getvalue()
    assert "\r" in text
    assert " 58%|" in text
    assert "580 of 1,000 · 40.0/s · 10s left" in text
    assert "rejected" not in text.rsplit("\r", 2)[0]
    last = text.rsplit("\r", 1)[-1]
    assert last.startswith("ended gazette 2026-11: 580 of 1,000")


def test_beside_the_bar_stands_what_there_is_some_of():
    counts = Counts(total=100, accepted=40, rejected=3, in_doubt=1, deferred=1200)
    assert caption(counts, 2.0) == "2.0/s · 28s left · in doubt 1 · rejected 3 · deferred 1,200"


def test_messages_pass_through_without_breaking_the_bar():
    progress, stream, _ = painted(Counts(total=10), is_terminal=True)
    progress.start()
    progress.note("relay opened")
    progress.finish()
    assert any(piece.startswith("relay opened\n") for piece in stream.getvalue().split("\r"))


def test_quiet_is_quiet_but_for_messages():
    progress, stream, clock = painted(Counts(total=10), quiet=True, is_terminal=True)
    progress.start()
    clock.now += 100
    progress.tick()
    progress.note("the relay is tired")
    progress.finish()
    assert stream.getvalue() == "the relay is tired\n"


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_reader_who_left_does_not_end_the_run(is_terminal):
    clock = Clock()
    progress = Progress(Counts(total=10), stream=Broken(), is_terminal=is_terminal, clock=clock)
    progress.start()
    clock.now += 100
    progress.tick()
    progress.note("anybody?")
    progress.finish()


async def test_the_painter_is_one_task_that_looks_until_it_is_cancelled():
    counts, waits = Counts(total=100), []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds
        counts.accepted += 1
        if len(waits) == 21:
            raise asyncio.CancelledError

    progress, stream, clock = painted(counts, sleep=sleep)
    progress.start()
    with pytest.raises(asyncio.CancelledError):
        await progress.paint()
    assert waits == [1.0] * 21
    assert [text.split(" (")[0] for text in stream.getvalue().splitlines()[1:]] == ["done 10 of 100", "done 20 of 100"]


async def test_on_a_terminal_the_painter_looks_five_times_a_second():
    waits = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        raise asyncio.CancelledError

    progress, _, _ = painted(Counts(total=100), sleep=sleep, is_terminal=True)
    progress.start()
    with pytest.raises(asyncio.CancelledError):
        await progress.paint()
    progress.finish()
    assert waits == [0.2]
