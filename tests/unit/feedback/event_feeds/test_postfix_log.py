"""A Postfix log tells what became of each letter, over any number of readings, each thing once."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from campaign.errors import InputError
from campaign.feedback.event_feeds.open_queue import OpenQueue
from campaign.feedback.event_feeds.postfix_log import PostfixLog
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Handled, Received
from campaign.model import FeedbackOutcome, Reply

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC).timestamp()
HEAD = "2026-11-28T08:00:00+00:00 relay postfix"
AT = dt.datetime(2026, 11, 28, 8, tzinfo=dt.UTC).timestamp()
DELIVERED, DELAYED = FeedbackOutcome.DELIVERED, FeedbackOutcome.DELAYED


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


def named(queue_id: str, message_id: str = "") -> str:
    return f"{HEAD}/cleanup[2]: {queue_id}: message-id=<{message_id or queue_id.lower()}@example.com>"


def queued(queue_id: str) -> str:
    return f"{HEAD}/qmgr[1]: {queue_id}: from=<b@example.com>, size=9, nrcpt=1 (queue active)"


def sent(queue_id: str, status: str = "dsn=2.0.0, status=sent (250 2.0.0 Ok)") -> str:
    return f"{HEAD}/smtp[3]: {queue_id}: to=<{queue_id.lower()}@example.org>, relay=mx[1.2.3.4]:25, delay=1, {status}"


def bounced(queue_id: str) -> str:
    return sent(queue_id, "dsn=5.1.1, status=bounced (host mx[1.2.3.4] said: 550 5.1.1 no such user)")


def deferred(queue_id: str, why: str = "host mx[1.2.3.4] said: 451 4.7.1 later") -> str:
    return sent(queue_id, f"dsn=4.7.1, status=deferred ({why})")


def expired(queue_id: str) -> str:
    return f"{HEAD}/qmgr[1]: {queue_id}: from=<b@example.com>, status=expired, returned to sender"


def removed(queue_id: str) -> str:
    return f"{HEAD}/qmgr[1]: {queue_id}: removed"


def append(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@contextmanager
def opened(log: Path) -> Iterator[PostfixLog]:
    source = PostfixLog(log, log.parent / "progress.json", lambda: NOW)
    try:
        yield source
    finally:
        source.close()


def collect(log: Path, *, batch: int = 2) -> list[FeedbackNotice]:
    """One reading, acknowledged in batches, as the command does it."""
    found, waiting = [], []
    with opened(log) as source:
        for one in source.receive():
            found += one.notices
            waiting.append(Handled(one.receipt, recognised=True))
            if len(waiting) == batch:
                source.acknowledge(waiting)
                waiting = []
        source.acknowledge(waiting)
    return found


def test_a_delivery_names_letter_reply_and_person(log: Path) -> None:
    append(log, named("ABCDEF", "our-hash"), queued("ABCDEF"), sent("ABCDEF"), removed("ABCDEF"))
    assert collect(log) == [
        FeedbackNotice(
            DELIVERED,
            Reply(250, "2.0.0", "Ok"),
            at=AT,
            mta="mx",
            message_ids=("our-hash@example.com",),
            reply_ids=("ABCDEF",),
            addresses=("abcdef@example.org",),
        )
    ]


@pytest.mark.parametrize(
    ("line", "outcome", "permanent", "reply"),
    [
        (bounced("ABCDEF"), None, True, Reply(550, "5.1.1", "no such user")),
        (deferred("ABCDEF"), DELAYED, None, Reply(451, "4.7.1", "later")),
        (sent("ABCDEF"), DELIVERED, None, Reply(250, "2.0.0", "Ok")),
        (expired("ABCDEF"), None, False, Reply(0, "4.4.7", "the message stayed in the queue for too long")),
        (
            sent("ABCDEF", "dsn=4.1.1, status=SOFTBOUNCE (unknown user)"),
            DELAYED,
            None,
            Reply(0, "4.1.1", "unknown user"),
        ),
    ],
)
def test_each_status_has_its_outcome(
    log: Path, line: str, outcome: FeedbackOutcome | None, permanent: bool | None, reply: Reply
) -> None:
    append(log, named("ABCDEF"), queued("ABCDEF"), line)
    [notice] = collect(log)
    assert (notice.outcome, notice.permanent, notice.reply) == (outcome, permanent, reply)
    assert notice.message_ids == ("abcdef@example.com",)


def test_the_answer_to_a_probe_is_nothing(log: Path) -> None:
    append(log, named("ABCDEF"), sent("ABCDEF", "dsn=2.1.5, status=deliverable (250 2.1.5 Ok)"))
    assert collect(log) == []


def test_a_letter_that_only_waits_is_accepted(log: Path) -> None:
    append(log, named("ABCDEF"), queued("ABCDEF"))
    [notice] = collect(log)
    assert (notice.outcome, notice.reply) == (DELAYED, Reply(250, "", "queued as ABCDEF"))
    assert (notice.message_ids, notice.at) == (("abcdef@example.com",), AT)


def test_a_letter_that_the_operator_deleted_had_been_accepted(log: Path) -> None:
    append(log, named("ABCDEF"), queued("ABCDEF"), removed("ABCDEF"), named("ABCDE0"), queued("ABCDE0"), sent("ABCDE0"))
    assert [one.reply.text for one in collect(log)] == ["queued as ABCDEF", "Ok"]


def test_a_message_id_without_a_place_in_the_queue_proves_nothing(log: Path) -> None:
    append(log, named("ABCDEF"), f"{HEAD}/cleanup[2]: ABCDEF: milter-reject: END-OF-MESSAGE from a[1.2.3.4]: 5.7.1 no")
    assert collect(log) == []


def test_acceptance_is_told_once_and_only_if_nothing_else_is(log: Path) -> None:
    append(log, named("ABCDEF"), queued("ABCDEF"), named("ABCDE0"), queued("ABCDE0"), sent("ABCDE0"))
    assert [one.reply.text for one in collect(log)] == ["Ok", "queued as ABCDEF"]
    append(log, queued("ABCDEF"))
    assert collect(log) == []


def test_one_delay_is_told_for_a_message_in_a_reading(log: Path) -> None:
    append(log, named("ABCDEF"), queued("ABCDEF"), deferred("ABCDEF", "one"), deferred("ABCDEF", "two"))
    assert [one.reply.text for one in collect(log)] == ["one"]
    append(log, deferred("ABCDEF", "three"), deferred("ABCDEF", "four"), bounced("ABCDEF"))
    assert [one.reply.text for one in collect(log)] == ["three", "no such user"]


def test_a_letter_named_in_one_reading_is_found_in_the_next(log: Path) -> None:
    append(log, named("ABCDEF", "our-hash"), queued("ABCDEF"), deferred("ABCDEF"))
    collect(log)
    append(log, deferred("ABCDEF"))
    collect(log)
    append(log, bounced("ABCDEF"), removed("ABCDEF"))
    [notice] = collect(log)
    assert notice.message_ids == ("our-hash@example.com",)
    assert msgspec.json.decode((log.parent / "progress.json").read_bytes())[-1] == []


def test_it_is_found_though_the_log_was_rotated_between(log: Path) -> None:
    append(log, named("ABCDEF", "our-hash"), queued("ABCDEF"))
    collect(log)
    log.rename(log.with_name("mail.log.1"))
    append(log, sent("ABCDEF"))
    [notice] = collect(log)
    assert (notice.outcome, notice.message_ids) == (DELIVERED, ("our-hash@example.com",))


def test_a_line_without_a_message_id_still_has_its_queue_id(log: Path) -> None:
    append(log, bounced("ABCDEF"))
    [notice] = collect(log)
    assert (notice.message_ids, notice.reply_ids, notice.addresses) == ((), ("ABCDEF",), ("abcdef@example.org",))


def test_a_queue_id_used_again_stands_for_the_later_letter(log: Path) -> None:
    append(log, named("ABCDEF", "first"), queued("ABCDEF"), sent("ABCDEF"), removed("ABCDEF"))
    append(log, named("ABCDEF", "second"), queued("ABCDEF"), bounced("ABCDEF"), removed("ABCDEF"))
    assert [one.message_ids[0] for one in collect(log)] == ["first@example.com", "second@example.com"]


def test_several_recipients_of_one_message_have_a_notice_each(log: Path) -> None:
    second = bounced("ABCDEF").replace("abcdef@", "second@")
    append(log, named("ABCDEF"), queued("ABCDEF"), sent("ABCDEF"), second, removed("ABCDEF"))
    assert [one.addresses[0] for one in collect(log)] == ["abcdef@example.org", "second@example.org"]


def test_lines_that_tell_nothing_are_not_read_again(log: Path) -> None:
    append(log, *(f"{HEAD}/smtpd[3]: connect from unknown[192.0.2.{number}]" for number in range(100)))
    collect(log)
    saved = msgspec.json.decode((log.parent / "progress.json").read_bytes())
    assert saved[1] == log.stat().st_size


def test_ids_are_the_same_each_time_and_different_for_different_things(log: Path) -> None:
    append(log, named("ABCDEF"), queued("ABCDEF"), named("ABCDE0"), queued("ABCDE0"), sent("ABCDE0"), bounced("ABCDE1"))
    readings = []
    for _ in range(2):
        with opened(log) as source:
            readings.append([one.id for one in source.receive()])
    assert readings[0] == readings[1]
    assert len({*readings[0]}) == 3


def test_what_is_not_acknowledged_comes_again(log: Path) -> None:
    append(log, named("ABCDEF"), queued("ABCDEF"), sent("ABCDEF"), bounced("ABCDEF"))
    with opened(log) as source:
        received = [*source.receive()]
        source.acknowledge([Handled(received[0].receipt, recognised=True)])
    assert [one.outcome for one in collect(log)] == [None]


def test_the_name_holds_the_path_and_the_size_is_unknown(log: Path) -> None:
    with opened(log) as source:
        assert (source.name, source.size()) == (f"postfix-log:{log}", None)


def test_a_log_that_is_not_there_is_an_input_error(log: Path) -> None:
    with opened(log) as source, pytest.raises(InputError, match="The Postfix log"):
        next(source.receive())


def traffic(dice: random.Random, letters: int) -> list[str]:
    """A log of so many letters, their lines interleaved as a busy server writes them."""
    stories = []
    for number in range(letters):
        queue_id = f"{number:08X}"
        end = dice.choice([sent, bounced, expired])
        delays = [deferred(queue_id, f"try {again}") for again in range(dice.randrange(3))]
        stories.append([named(queue_id), queued(queue_id), *delays, end(queue_id), removed(queue_id)])
    lines = []
    while stories:
        story = dice.choice(stories[:20])
        lines.append(story.pop(0))
        if not story:
            stories.remove(story)
    return lines


def stopped(log: Path, dice: random.Random) -> list[Received]:
    """A reading that ends anywhere: after some were received, and some of these acknowledged; maybe killed."""
    source = PostfixLog(log, log.parent / "progress.json", lambda: NOW)
    kept: list[Received] = []
    waiting: list[Received] = []
    limit, batch = dice.randrange(1, 60), dice.randrange(1, 9)
    for number, one in enumerate(source.receive()):
        waiting.append(one)
        if len(waiting) == batch:
            source.acknowledge([Handled(each.receipt, recognised=True) for each in waiting])
            kept += waiting
            waiting = []
        if number == limit:
            break
    if dice.random() < 0.5:
        source.close()  # otherwise it was killed: nothing is written down any more
    else:
        source._file.close()
    return kept


@pytest.mark.parametrize("seed", range(12))
def test_readings_stopped_anywhere_tell_each_thing_with_its_letter(log: Path, seed: int) -> None:
    dice = random.Random(seed)
    lines = traffic(dice, 120)
    found: dict[str, FeedbackNotice] = {}
    written = 0
    while written < len(lines) or dice.random() < 0.8:
        more = dice.randrange(60)
        append(log, *lines[written : written + more])
        written += more
        if dice.random() < 0.15 and (log.parent / "progress.json").exists():
            log.rename(log.with_name(f"mail.log.{written}"))
            log.touch()
        found.update((one.id, one.notices[0]) for one in stopped(log, dice))
    for _ in range(2):
        with opened(log) as source:
            received = [*source.receive()]
            source.acknowledge([Handled(one.receipt, recognised=True) for one in received])
            found.update((one.id, one.notices[0]) for one in received)
    ends = Counter(one.reply_ids[0] for one in found.values() if one.outcome is not DELAYED)
    assert ends == Counter({f"{number:08X}": 1 for number in range(120)})
    assert all(one.message_ids == (f"{one.reply_ids[0].lower()}@example.com",) for one in found.values())


def test_memory_has_a_bound_and_the_oldest_goes_first() -> None:
    queue = OpenQueue(most=3)
    for name in ("A", "B", "C"):
        queue.name(name, name)
    queue.find("A")
    queue.name("D", "D")
    assert [queue.get(name) is not None for name in "ABCD"] == [True, False, True, True]
    queue.find("E")
    assert len(queue) == 3


@pytest.mark.parametrize("state", [None, 5, "x", [[1, 2]], [["A"]], [["A", "b", "c", 4]], [["A", "b", 0.0, 1]]])
def test_a_state_of_another_form_is_passed_over(state: object) -> None:
    assert len(OpenQueue(state)) == 0


def test_the_progress_file_is_not_written_for_each_line_of_a_long_queue(log: Path) -> None:
    append(log, *(named(f"{number:08X}") for number in range(1000)))
    append(log, *(sent(f"{number:08X}") for number in range(100)))
    written = set()
    with opened(log) as source:
        for one in source.receive():
            source.acknowledge([Handled(one.receipt, recognised=True)])
            if (log.parent / "progress.json").exists():
                written.add((log.parent / "progress.json").stat().st_ino)
    assert len(written) < 5
