"""A lease carries to a sender what the run knows of its recipients, and of nobody else."""

from __future__ import annotations

import pickle

from campaign.ledger.journal.journal_records import Changed, Intent, Opened, Pass, Started, VerdictRecord
from campaign.ledger.shards.lease import Lease
from campaign.ledger.shards.shard_reader import ShardSpan
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict

OPENED = Opened("gazette", "", "run", 1, 20, "plan", {"template": "old"}, "shape", 1.0, "trace", domain="example.com")


def known() -> RunState:
    """Person 3 was put off twice, 5 is in doubt and is to be sent again; so is 15."""
    history = RunState(OPENED)
    history.apply(Started(1.0, "boot", 1, "process"))
    history.apply(Pass(1, 100.0))
    for number in (5, 15):
        history.apply(Intent(number, f"{number:02x}" * 32, 100.0))
    for _ in range(2):
        history.apply(VerdictRecord(3, "deferred", 101.0, 451, relay="relay", date=100.0, not_before=150.0))
    history.settle_interrupted(power_lost=False)
    history.apply(Changed(150.0, {"template": "new"}))
    history.apply(Pass(2, 200.0))
    history.reopen_doubts()
    return history


def sender() -> RunState:
    history = RunState(OPENED)
    for number in range(20):
        history.state[number] = 1
    history.fingerprints = {"template": "new"}
    return history


def test_it_is_about_the_numbers_from_the_first_to_the_last() -> None:
    lease = Lease.of(known(), 4, [3, 5, 9], few=True)
    assert lease.span == ShardSpan(4, 3, 10)
    assert list(lease.numbers) == [3, 5, 9]
    assert (lease.passes, lease.pass_at, lease.few) == (2, 200, True)


def test_what_a_sender_learns_is_what_the_run_knows() -> None:
    parent, history = known(), sender()
    history.run_clock.tick(200.0)
    pickle.loads(pickle.dumps(Lease.of(parent, 4, [3, 5, 9], few=False))).lay_into(history)
    assert (history.passes, history.pass_at) == (2, 200)
    for number in (3, 5, 9):
        assert history.verdict(number) is parent.verdict(number)
        assert history.attempts[number] == parent.attempts[number]
        assert history.dates[number] == parent.dates[number]
        assert history.not_before[number] == parent.not_before[number]
        assert history.is_due(number)
    assert (history.attempts[3], history.dates[3], history.not_before[3]) == (2, 100, 150)
    history.run_clock.tick(260.0)
    assert (history.age(3), history.age(9)) == (99.0 + 60.0, 0.0)
    assert not any(history.is_due(number) for number in range(20) if number not in {3, 5, 9})


def test_doubts_travel_so_that_only_the_same_bytes_are_sent_again() -> None:
    parent, history = known(), sender()
    Lease.of(parent, 4, [3, 5, 9], few=False).lay_into(history)
    assert history.digests == {5: "05" * 32}
    assert history.may_go(5, bytes([5]) * 32)
    assert not history.may_go(5, bytes([6]) * 32)
    assert history.may_go(9, bytes(32))


def test_where_a_loss_of_power_took_the_digest_the_inputs_travel_that_the_letter_was_made_from() -> None:
    parent, history = known(), sender()
    parent.digests[5] = ""
    Lease.of(parent, 4, [5], few=False).lay_into(history)
    assert not history.may_go(5, bytes(32))
    history.fingerprints = {"template": "old"}
    assert history.may_go(5, bytes(32))


def test_a_lease_changes_nothing_of_an_earlier_one_of_the_same_pass() -> None:
    parent, history = known(), sender()
    Lease.of(parent, 4, [3, 5], few=False).lay_into(history)
    history.apply(VerdictRecord(3, "accepted", 201.0))
    Lease.of(parent, 5, [9, 15], few=False).lay_into(history)
    assert history.verdict(3) is Verdict.ACCEPTED
    assert history.digests.keys() == {5, 15}
