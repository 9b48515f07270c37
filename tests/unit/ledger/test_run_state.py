"""Replay: what records add up to."""

from __future__ import annotations

import gc
import weakref

import pytest

from campaign.ledger.journal.journal_records import (
    Changed,
    Ended,
    Intent,
    Opened,
    Pass,
    Record,
    ReservedUpTo,
    Started,
    Synced,
    VerdictRecord,
)
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict

OPENED = Opened("gazette", "", "run", 1, 6, "plan", {"a": "1"}, "shape", 1.0, "trace")
DAY = 86400.0
BOOT = Started(2.0, "boot", 7, "process")


def replay(*records: Record) -> RunState:
    return RunState.replay([OPENED, BOOT, *records])


def test_nothing_recorded_means_everybody_waits() -> None:
    assert replay().tally() == {verdict.value: 6 if verdict is Verdict.WAITING else 0 for verdict in Verdict}
    assert replay().next_due() == 0.0


def test_an_intent_without_a_verdict_is_in_doubt_once_its_process_is_gone() -> None:
    history = replay(Pass(1, 50), Intent(3, "aa", 50.0))
    assert history.verdict(3) is Verdict.WAITING
    assert history.settle_interrupted(power_lost=False) == [3]
    assert history.verdict(3) is Verdict.IN_DOUBT
    assert history.digests == {3: "aa"}
    assert history.dates[3] == 50


def test_the_next_start_settles_what_the_last_process_left() -> None:
    history = replay(Pass(1, 50), Intent(3, "aa", 50.0), Started(9.0, "boot", 8, "process"))
    assert history.verdict(3) is Verdict.IN_DOUBT


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.WAITING])
def test_a_verdict_settles_its_intent(verdict: Verdict) -> None:
    history = replay(Pass(1, 50), Intent(3, "aa", 50.0), VerdictRecord(3, verdict.value, 4.0))
    assert history.verdict(3) is verdict
    assert not history.pending
    assert history.tally()[verdict.value] == 1


def test_after_a_power_loss_whoever_may_have_been_drawn_is_in_doubt_under_process() -> None:
    history = replay(Pass(1, 50), ReservedUpTo(4), VerdictRecord(0, "accepted", 3.0))
    assert history.settle_interrupted(power_lost=True) == [1, 2, 3]
    assert history.verdict(4) is Verdict.WAITING


def test_whoever_was_put_off_in_a_pass_is_not_in_doubt_when_the_clock_is_set_back_and_the_power_fails() -> None:
    put_off = VerdictRecord(0, "deferred", 52.0 + DAY, 451, relay="relay", not_before=400.0 + DAY)
    history = replay(Pass(1, 50.0 + DAY), ReservedUpTo(3), put_off, VerdictRecord(1, "accepted", 55.0))
    assert history.not_before[0] < DAY
    assert not history.is_due(0)
    assert 0 not in history.due(history.pass_at)
    assert history.settle_interrupted(power_lost=True) == [2]
    history.apply(Started(60.0, "another boot", 8, "process"))
    assert history.verdict(0) is Verdict.DEFERRED
    history.apply(Pass(2, 500.0))
    assert history.is_due(0)
    assert 0 in history.due(history.pass_at)


def test_whoever_was_due_in_a_pass_may_have_been_taken_though_its_wait_was_shortened_since() -> None:
    put_off = VerdictRecord(0, "deferred", 20.0 + DAY, 451, relay="relay", not_before=40.0 + DAY)
    history = replay(
        Pass(1, 10.0 + DAY), put_off, Pass(2, 50.0 + DAY), ReservedUpTo(1), VerdictRecord(1, "accepted", 5.0)
    )
    assert history.settle_interrupted(power_lost=True) == [0]


def test_after_a_power_loss_only_synced_intents_are_in_doubt_under_power() -> None:
    opened = Started(2.0, "boot", 7, "power")
    history = RunState.replay([OPENED, opened, Pass(1, 50), ReservedUpTo(4), Intent(2, "aa", 50.0)])
    assert history.settle_interrupted(power_lost=True) == [2]


def test_the_deferred_are_due_when_their_time_has_come() -> None:
    history = replay(
        *[VerdictRecord(n, "accepted", 3.0) for n in range(5)], VerdictRecord(5, "deferred", 3.0, not_before=99.2)
    )
    assert history.next_due() == 100.0
    assert list(history.due(99.9)) == []
    assert list(history.due(100.0)) == [5]
    assert history.attempts[5] == 1


def test_an_attempt_that_does_not_count_is_not_counted() -> None:
    assert replay(VerdictRecord(5, "deferred", 3.0, counted=False)).attempts[5] == 0


def test_the_date_is_that_of_the_first_try_and_stays() -> None:
    history = replay(
        Pass(1, 50), Intent(0, "aa", 50.0), VerdictRecord(0, "deferred", 4.0, not_before=60.0), Pass(2, 70)
    )
    assert history.dates[0] == 50


def test_those_sent_again_keep_their_digest_until_a_verdict() -> None:
    history = replay(
        Pass(1, 50), Intent(0, "aa", 50.0), Started(6.0, "boot", 8, "process"), VerdictRecord(0, "waiting", 7.0)
    )
    assert history.digests == {0: "aa"}
    assert history.is_due(0)
    history.apply(VerdictRecord(0, "accepted", 8.0))
    assert history.digests == {}


def test_a_run_is_finished_when_nobody_waits_or_is_deferred() -> None:
    done = [VerdictRecord(n, "accepted", 3.0) for n in range(5)]
    assert not replay(*done).finished
    assert replay(*done, VerdictRecord(5, "in_doubt", 3.0)).finished
    assert not replay(*done, VerdictRecord(5, "deferred", 3.0)).finished


def test_an_abandoned_run_is_finished_whatever_is_left() -> None:
    assert replay(Ended(5.0, 75, abandoned=True)).finished
    assert not replay(Ended(5.0, 75)).finished


def test_accepted_changes_and_sync_marks_are_remembered() -> None:
    history = replay(Changed(3.0, {"a": "2"}), Synced(77))
    assert history.fingerprints == {"a": "2"}
    assert history.synced == 77


def test_whoever_may_have_a_letter_already_is_sent_the_same_bytes_alone() -> None:
    history = replay(Pass(1, 50), Intent(3, "aa", 50.0), Started(6.0, "boot", 8, "process"))
    assert history.may_go(3, b"\xaa")
    assert not history.may_go(3, b"\xbb")
    assert history.may_go(2, b"\xbb")
    history.apply(VerdictRecord(3, "accepted", 8.0))
    assert history.may_go(3, b"\xbb")


def test_a_doubt_of_unknown_bytes_is_sent_again_only_while_nothing_has_changed() -> None:
    history = replay(Pass(1, 50), ReservedUpTo(2), Started(9.0, "another boot", 8, "process"))
    assert history.digests == {0: "", 1: ""}
    assert history.may_go(1, b"\xaa")
    history.apply(Changed(9.1, {"a": "2"}))
    assert not history.may_go(1, b"\xaa")
    history.apply(VerdictRecord(1, "in_doubt", 9.2))  # found to be other bytes: it is as doubtful as before
    assert not history.may_go(1, b"\xaa")
    history.apply(Changed(9.3, {"a": "1"}))
    assert history.may_go(1, b"\xaa")


def test_a_doubt_of_unknown_bytes_that_came_after_a_change_is_sent_again_as_that_made_it() -> None:
    lost = Started(9.0, "another boot", 8, "process")
    history = replay(Changed(3.0, {"a": "2"}), Pass(1, 50), ReservedUpTo(1), lost)
    assert history.may_go(0, b"\xaa")
    history.apply(Changed(9.1, {"a": "1"}))
    assert not history.may_go(0, b"\xaa")


def test_a_doubt_of_unknown_bytes_that_a_repair_wrote_down_is_sent_again_only_while_nothing_has_changed() -> None:
    history = replay(VerdictRecord(1, "in_doubt", 3.0, counted=False))
    assert history.may_go(1, b"\xaa")
    history.apply(Changed(9.1, {"a": "2"}))
    assert not history.may_go(1, b"\xaa")
    history.apply(VerdictRecord(1, "accepted", 9.2))
    assert not history.shaped_by


@pytest.mark.parametrize(
    "record", [VerdictRecord(6, "accepted", 3.0), VerdictRecord(0, "vanished", 3.0), Intent(6, "", 5e12)]
)
def test_a_record_that_makes_no_sense_is_refused(record: Record) -> None:
    with pytest.raises((ValueError, LookupError, OverflowError)):
        replay(record)


def test_a_journal_that_does_not_begin_with_its_campaign_is_refused() -> None:
    with pytest.raises(ValueError, match="first record"):
        RunState.replay([BOOT])


def test_ten_million_recipients_take_ten_octets_each() -> None:
    import sys

    big = Opened("g", "", "run", 1, 1_000_000, "plan", {}, "shape", 1.0, "t")
    history = RunState.replay([big])
    sizes = [sys.getsizeof(part) for part in (history.state, history.attempts, history.dates, history.not_before)]
    assert sum(sizes) < 10_001_000


def test_a_pass_need_not_look_below_the_first_who_is_unsettled() -> None:
    settled = [VerdictRecord(number, "accepted", 4.0) for number in (0, 1, 3)]
    assert replay().first_unsettled() == 0
    assert replay(*settled).first_unsettled() == 2
    assert replay(*settled, VerdictRecord(2, "deferred", 5.0)).first_unsettled() == 2
    assert replay(*(VerdictRecord(number, "accepted", 4.0) for number in range(6))).first_unsettled() == 6


def test_what_a_turn_was_ended_with_stands_until_the_next_pass_begins() -> None:
    ended = Ended(5.0, 69, notes=("The relay cannot be used.",), settings={"relay": "mailbox"})
    kept = replay(Pass(1, 50), ended, Started(6.0, "boot", 8, "process"))
    assert (kept.notes, kept.settings) == (("The relay cannot be used.",), {"relay": "mailbox"})
    gone = replay(Pass(1, 50), ended, Started(6.0, "boot", 8, "process"), Pass(2, 60))
    assert (gone.notes, gone.settings) == ((), {})


def test_a_run_left_in_good_order_has_nobody_in_doubt_after_a_loss_of_power() -> None:
    history = replay(Pass(1, 50), ReservedUpTo(4), VerdictRecord(0, "accepted", 3.0), Ended(5.0, 75))
    assert history.settle_interrupted(power_lost=True) == []


def test_a_doubt_keeps_the_domain_its_message_id_had_when_the_sender_changes() -> None:
    opened = Opened("gazette", "", "run", 1, 6, "plan", {}, "shape", 1.0, "trace", domain="old.example")
    killed = [BOOT, Pass(1, 50), Intent(3, "aa", 50.0)]
    after = [Started(9.0, "boot", 8, "process"), Changed(9.1, {}, "new.example"), Intent(4, "bb", 60.0)]
    again = [Started(10.0, "boot", 9, "process"), VerdictRecord(3, "in_doubt", 11.0)]
    assert RunState.replay([opened, *killed, *after, *again]).domains == {3: "old.example", 4: "new.example"}
    resolved = RunState.replay([opened, *killed, *after, *again, VerdictRecord(3, "accepted", 12.0)])
    assert resolved.domains == {4: "new.example"}


def test_a_state_that_nobody_has_any_more_is_gone_at_once() -> None:
    gc.disable()
    try:
        state = replay()
        gone = weakref.ref(state)
        del state
        assert gone() is None
    finally:
        gc.enable()
