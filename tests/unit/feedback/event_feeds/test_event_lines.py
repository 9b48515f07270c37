"""Another program's events are taken as they are written, and a line that is none stops the reading."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path

import pytest

from campaign.errors import InputError
from campaign.feedback.event_feeds.event_lines import LONGEST_LINE, EventLines
from campaign.feedback.event_feeds.event_object import OUTCOMES, EventError, parse_event
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Handled, Received
from campaign.model import FeedbackOutcome, Reply

JANE = {"address": "jane@example.com"}


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def append(events: Path, *lines: dict[str, object] | str) -> None:
    with events.open("a") as file:
        file.writelines((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)


def read(events: Path, *, acknowledge: bool = True) -> list[Received]:
    """The events of one reading; each is acknowledged at once, also where a later line cannot be read."""
    source = EventLines(events, events.parent / "progress.json")
    found = []
    try:
        for one in source.receive():
            found.append(one)
            if acknowledge:
                source.acknowledge([Handled(one.receipt, recognised=True)])
    finally:
        source.close()
    return found


def parsed(**event: object) -> FeedbackNotice:
    return parse_event(json.dumps(event).encode())[1]


def test_every_key_has_its_place() -> None:
    identity, notice = parse_event(
        json.dumps(
            {
                "outcome": "bounce",
                "id": "4711",
                "source": "brevo",
                "at": "2026-11-28T08:30:00+01:00",
                "address": "jane@example.com",
                "message_id": "<hash@example.com>",
                "unsubscribe_token": "token",
                "return_path": "<bounce+abc@example.com>",
                "reply_id": "queue-id",
                "code": 550,
                "enhanced": "5.1.1",
                "diagnostic": "no\nsuch user",
                "mta": "mx.example.com",
            }
        ).encode()
    )
    assert identity == "brevo 4711"
    assert notice == FeedbackNotice(
        None,
        Reply(550, "5.1.1", "no such user"),
        at=dt.datetime(2026, 11, 28, 7, 30, tzinfo=dt.UTC).timestamp(),
        mta="mx.example.com",
        sent_to=("bounce+abc@example.com",),
        message_ids=("hash@example.com",),
        unsubscribe_tokens=("token",),
        reply_ids=("queue-id",),
        addresses=("jane@example.com",),
    )


@pytest.mark.parametrize(("word", "outcome"), OUTCOMES.items())
def test_every_outcome_is_one_of_ours_but_for_a_bounce(word: str, outcome: FeedbackOutcome | None) -> None:
    assert parsed(outcome=word, **JANE).outcome is outcome
    assert outcome == (None if word == "bounce" else FeedbackOutcome(word))


@pytest.mark.parametrize("at", [1764318600, 1764318600.0, "2025-11-28T08:30:00Z", "2025-11-28T09:30:00+01:00"])
def test_a_time_is_a_number_of_seconds_or_carries_its_zone(at: object) -> None:
    assert parsed(outcome="hard", at=at, **JANE).at == 1764318600.0


@pytest.mark.parametrize("key", ["address", "message_id", "unsubscribe_token", "return_path", "reply_id"])
def test_one_key_to_a_person_is_enough(key: str) -> None:
    assert parsed(outcome="unsubscribe", **{key: "x"}).outcome is FeedbackOutcome.UNSUBSCRIBE


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            '{"outcome": "unsubscribe", "unsubscribe_tokn": "x"}',
            "no key 'unsubscribe_tokn'; did you mean 'unsubscribe_t",
        ),
        ('{"outcome": "unsubscribe", "zzzzzz": "x"}', "no key 'zzzzzz'; known: outcome, address"),
        ('{"outcome": "unsubscibe", "address": "a@b"}', "no outcome 'unsubscibe'; did you mean 'unsubscribe'?"),
        ('{"outcome": "released", "address": "a@b"}', "there is no outcome 'released'"),
        ('{"address": "a@b"}', "outcome is missing; it is one of bounce, hard"),
        ('{"outcome": "hard"}', "it names nobody; give one of address, message_id"),
        ('{"outcome": "hard", "address": " "}', "it names nobody"),
        ('{"outcome": "hard", "address": 5}', "address is no text"),
        ('{"outcome": "hard", "address": ["a@b"]}', "address is no text"),
        ('{"outcome": ["hard"], "address": "a@b"}', "outcome is no text"),
        ('{"outcome": "hard", "address": "a@b", "code": "550"}', "code is '550', not a number from 200 to 599"),
        ('{"outcome": "hard", "address": "a@b", "code": true}', "code is True"),
        ('{"outcome": "hard", "address": "a@b", "code": 5.5}', "code is 5.5"),
        ('{"outcome": "hard", "address": "a@b", "code": 600}', "code is 600"),
        ('{"outcome": "hard", "address": "a@b", "enhanced": "550"}', "enhanced is '550', not a code such as 5.1.1"),
        ('{"outcome": "hard", "address": "a@b", "at": "2026-11-28T08:30:00"}', "not a time such as"),
        ('{"outcome": "hard", "address": "a@b", "at": "yesterday"}', "at is 'yesterday'"),
        ('{"outcome": "hard", "address": "a@b", "at": 1764318600000}', "is it one of milliseconds?"),
        ('{"outcome": "hard", "address": "a@b", "at": -1}', "at is no number of seconds"),
        ('{"outcome": "hard", "address": "a@b", "at": [1]}', "at is neither"),
        ('{"outcome": "hard", "address": "a@b", "at": 1e999}', "JSON|at is neither"),
        ('{"outcome": "hard", "address": "a\\u0000@b"}', "address holds characters that cannot be printed"),
        (f'{{"outcome": "hard", "address": "{"a" * 2001}"}}', "address has 2001 characters"),
        ("[]", "it is no JSON object"),
        ("nonsense", "it is not JSON"),
        ("{", "it is not JSON"),
        ('{"outcome": "hard"} {"outcome": "hard"}', "it is not JSON"),
        ("[" * 60_000, "it is not JSON"),
        ('{"a":' * 10_000, "it is not JSON"),
        ('{"outcome": "\\ud800", "address": "a@b"}', "JSON|there is no outcome"),
        (f'{{"{"k" * 5000}": 1}}', "there is no key 'k"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(line: str, why: str) -> None:
    began = time.process_time()
    with pytest.raises(EventError, match=why):
        parse_event(line.encode("utf-8", "surrogatepass"))
    assert time.process_time() - began < 0.5


def test_octets_that_are_no_text_are_refused() -> None:
    with pytest.raises(EventError, match="it is not JSON"):
        parse_event(b'{"outcome": "hard", "address": "\xff"}')


def test_each_line_is_an_event_and_is_read_once(events: Path) -> None:
    append(events, {"outcome": "hard", **JANE}, "", {"outcome": "unsubscribe", **JANE})
    assert [one.notices[0].outcome for one in read(events)] == [FeedbackOutcome.HARD, FeedbackOutcome.UNSUBSCRIBE]
    assert read(events) == []
    append(events, {"outcome": "complaint", **JANE})
    assert [one.notices[0].outcome for one in read(events)] == [FeedbackOutcome.COMPLAINT]


def test_a_bad_line_is_named_and_what_stands_before_it_counts(events: Path) -> None:
    append(
        events, {"outcome": "hard", **JANE}, {"outcome": "unsubscribe", "unsubscribe_tokn": "x"}, {"outcome": "soft"}
    )
    with pytest.raises(InputError, match=r"(?s)events\.jsonl:2 is no event.*did you mean 'unsubscribe_token'"):
        read(events)
    with pytest.raises(InputError, match=r"events\.jsonl:2 is no event"):
        read(events)
    events.write_text(events.read_text().replace("_tokn", "_token").replace('"soft"', '"soft", "address": "a@b"'))
    assert [one.notices[0].outcome for one in read(events)] == [FeedbackOutcome.UNSUBSCRIBE, FeedbackOutcome.SOFT]


def test_a_bad_line_after_a_rotation_is_named_with_its_part(events: Path) -> None:
    append(events, {"outcome": "hard", **JANE})
    read(events)
    append(events, "nonsense")
    events.rename(events.with_name("events.jsonl.1"))
    append(events, {"outcome": "soft", **JANE})
    with pytest.raises(InputError, match=r"events\.jsonl\.1:2 is no event"):
        read(events)


def test_a_line_that_is_still_being_written_is_left_for_next_time(events: Path) -> None:
    events.write_text('{"outcome": "hard", "addr')
    assert read(events) == []
    append(events, 'ess": "jane@example.com"}')
    assert len(read(events)) == 1


def test_an_endless_line_is_refused_in_flat_memory(events: Path) -> None:
    append(events, '{"outcome": "hard", "address": "' + "x" * (3 << 20) + '"}')
    with pytest.raises(InputError, match=f"longer than {LONGEST_LINE >> 10} KiB"):
        read(events)


def test_an_event_is_known_by_its_id_and_source_or_else_by_its_line(events: Path) -> None:
    append(
        events,
        {"outcome": "hard", "id": "1", "source": "brevo", **JANE},
        {"outcome": "hard", "id": "1", "source": "brevo", "mta": "another", **JANE},
        {"outcome": "hard", "id": "1", "source": "mailjet", **JANE},
        {"outcome": "soft", **JANE},
        {"outcome": "soft", **JANE},
        {"outcome": "soft", "at": 5, **JANE},
    )
    ids = [one.id for one in read(events)]
    assert [ids.index(one) for one in ids] == [0, 0, 2, 3, 3, 5]


def test_what_is_not_acknowledged_comes_again(events: Path) -> None:
    append(events, {"outcome": "hard", **JANE})
    first = read(events, acknowledge=False)
    assert [one.id for one in read(events)] == [one.id for one in first]
    assert read(events) == []


def test_a_file_that_is_not_there_may_be_a_slip_of_the_pen(events: Path) -> None:
    with pytest.raises(InputError, match="The file of events"):
        read(events)


def test_the_name_holds_the_path_and_the_size_is_unknown(events: Path) -> None:
    source = EventLines(events, events.parent / "progress.json")
    assert (source.name, source.size()) == (f"events:{events}", None)
    source.acknowledge([])
    source.close()
