"""The report says which relays were left alone because they were slow, when and for how long."""

from __future__ import annotations

from campaign.delivery.send.connection_pool import Rest
from campaign.pipeline.finish.close_run import TOLD_RESTS, rest_notes

NOON = 1_780_000_000.0


def rests(count: int, relay: str = "smtp://a.example:25") -> list[Rest]:
    return [Rest(relay, NOON + 600 * n, 30.0, "answers the final dot only after 0.62 s") for n in range(count)]


def test_a_run_whose_relays_were_quick_enough_has_nothing_to_say() -> None:
    assert rest_notes([]) == []


def test_each_rest_is_told_with_its_time_its_length_and_its_reason() -> None:
    (note,) = rest_notes(rests(2))
    assert note == (
        "smtp://a.example:25 was slow and was left alone while another relay could serve: "
        "from 2026-05-28 20:26:40 UTC for 30s, as it answers the final dot only after 0.62 s; "
        "from 2026-05-28 20:36:40 UTC for 30s, as it answers the final dot only after 0.62 s."
    )


def test_many_rests_of_one_relay_are_one_note_of_bounded_length() -> None:
    a, b = rest_notes([*rests(TOLD_RESTS + 7), *rests(1, "smtp://b.example:25")])
    assert a.count("as it answers") == TOLD_RESTS
    assert a.endswith("; and 7 times more, 3m30s together.")
    assert b.startswith("smtp://b.example:25 was slow")
