"""A shard's segments add up to where its recipients stand; who was interrupted is in doubt, and late verdicts count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import DamageError
from campaign.ledger.journal.journal_records import Intent, Leased, Opened, VerdictRecord, decode, encode
from campaign.ledger.postgres.segments import SMALL, ShardJournal, StoredShard, pack, unpack
from campaign.ledger.state.canary_members import CanaryMembers
from campaign.model import Verdict

OPENED = Opened("gazette", "", "run", 1, 1000, "plan", {}, "shape", 100.0, "trace")
SPAN = StoredShard(1, 3, 200, 300)
MINE, OTHERS = 11, 22


def intent(number: int, at: float = 150.0) -> bytes:
    return encode(Intent(number, f"{number:064x}", at, "relay"))


def verdict(number: int, verdict: str = "accepted", at: float = 160.0) -> bytes:
    return encode(VerdictRecord(number, verdict, at, 250, relay="relay"))


def journal(*segments: tuple[int, bytes]) -> ShardJournal:
    return ShardJournal(SPAN, OPENED, [(seq, token, pack(lines)) for seq, (token, lines) in enumerate(segments, 1)])


def said(lines: bytes) -> Sequence[object]:
    return [decode(line) for line in lines.splitlines()]


@given(st.binary(max_size=3 * SMALL).map(lambda found: encode(Intent(1, found.hex(), 1.0))))
def test_lines_come_back_from_a_segment_as_they_were(lines: bytes) -> None:
    assert unpack(pack(lines)) == lines


def test_numbers_are_those_of_the_whole_plan_and_states_those_of_the_shard() -> None:
    found = journal((MINE, intent(205) + verdict(205)), (MINE, intent(299) + verdict(299, "rejected")))
    assert found.seq == 2
    assert (found.history.verdict(5), found.history.verdict(99)) == (Verdict.ACCEPTED, Verdict.REJECTED)
    assert found.history.tally()["waiting"] == 98


def test_whoever_is_between_dot_and_reply_is_recorded_in_doubt_with_the_date_of_the_letter() -> None:
    found = journal((MINE, intent(205) + intent(206) + verdict(206)))
    (record,) = said(found.interrupted(170.0))
    assert isinstance(record, VerdictRecord)
    assert (record.number, record.verdict, record.date) == (205, "in_doubt", 150.0)
    assert found.history.digests == {5: f"{205:064x}"}
    assert found.interrupted(170.0) == b""


def test_a_late_verdict_counts_for_a_letter_in_doubt_that_its_own_worker_had_sent() -> None:
    found = journal((MINE, intent(205)))
    found.interrupted(170.0)
    late = verdict(205)
    assert found.testify([(MINE, late)]) == late
    assert found.history.verdict(5) is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("segments", "token"),
    [
        ([(MINE, intent(205))], OTHERS),  # it never sent that letter
        ([(MINE, intent(205)), (OTHERS, verdict(205, "in_doubt") + intent(205))], MINE),  # sent again since
        ([(MINE, intent(205)), (OTHERS, verdict(205, "in_doubt") + verdict(205))], MINE),  # settled since
        ([(MINE, verdict(206))], MINE),  # its intent is not there: no dot followed
    ],
)
def test_a_late_verdict_counts_for_no_other_letter(segments: list[tuple[int, bytes]], token: int) -> None:
    found = journal(*segments)
    found.interrupted(170.0)
    before = found.history.tally()
    assert found.testify([(token, verdict(205, "rejected"))]) == b""
    assert found.history.tally() == before


def test_a_lease_holds_whoever_is_due_at_its_moment() -> None:
    deferred = encode(VerdictRecord(207, "deferred", 160.0, 451, not_before=500.0))
    found = journal((MINE, intent(205) + verdict(205) + intent(207) + deferred))
    (leased,) = said(found.leased(400.5))
    assert isinstance(leased, Leased)
    lease = found.lease(7, resend=False)
    assert (lease.passes, lease.pass_at) == (7, 400)
    assert list(lease.numbers) == [number for number in range(200, 300) if number not in (205, 207)]
    found.leased(501.0)
    assert 207 in found.lease(8, resend=False).numbers


def test_doubts_are_due_only_if_they_are_to_be_sent_again_and_keep_date_and_digest() -> None:
    found = journal((MINE, intent(205)))
    found.interrupted(170.0)
    found.leased(400.0)
    assert 205 not in found.lease(1, resend=False).numbers
    lease = found.lease(2, resend=True)
    place = lease.numbers.index(205)
    assert (lease.dates[place], lease.digests) == (150, {205: f"{205:064x}"})


def test_a_damaged_segment_is_refused() -> None:
    with pytest.raises(DamageError, match="damaged"):
        journal((MINE, verdict(205).replace(b"accepted", b"rejected")))


def test_a_compressed_segment_that_was_altered_is_refused_in_a_sentence() -> None:
    data = bytearray(pack(b"a line\n" * SMALL))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(DamageError, match="The journal in the store is damaged"):
        unpack(bytes(data))


def test_a_segment_that_is_missing_between_two_others_is_damage() -> None:
    with pytest.raises(DamageError, match="damaged") as found:
        ShardJournal(SPAN, OPENED, [(1, MINE, pack(intent(205))), (3, MINE, pack(verdict(205)))])
    assert found.value.evidence == ("run 1, shard 3: segment 2 is gone",)


def test_whoever_is_open_can_be_put_in_doubt_with_the_date_of_the_pass_and_is_sent_the_same_letter_only() -> None:
    leased = encode(Leased(3, 200, 300, 140, 140.0, "", "store"))
    found = journal((MINE, leased + verdict(205) + verdict(206, "deferred")))
    records = [one for one in said(found.doubt_open_ones(170.0, "lost")) if isinstance(one, VerdictRecord)]
    assert {(one.verdict, one.reason, one.date) for one in records} == {("in_doubt", "lost", 140.0)}
    assert {one.number for one in records} == set(range(200, 300)) - {205}
    assert found.doubt_open_ones(170.0, "lost") == b""
    lease = found.lease(1, resend=True)
    assert lease.digests == dict.fromkeys((one.number for one in records), "")
    assert lease.shaped_by == dict.fromkeys(lease.digests, OPENED.fingerprints)


MEMBERS = CanaryMembers(20, 1000)  # of this shard 200, 250


def test_while_the_canary_is_out_only_its_members_are_leased_and_none_who_was_tried() -> None:
    assert list(journal().lease(1, resend=False, canary=MEMBERS).numbers) == [200, 250]
    found = journal((MINE, intent(200) + verdict(200, "deferred")))
    assert list(found.lease(1, resend=False, canary=MEMBERS).numbers) == [250]
    assert 200 in found.lease(1, resend=False).numbers


def test_a_shard_is_due_again_when_the_first_is_who_waits_and_is_not_in_the_lease() -> None:
    put_off = [
        encode(VerdictRecord(number, "deferred", 160.0, 451, not_before=900.0 + number)) for number in (205, 206)
    ]
    found = journal((MINE, b"".join(put_off)))
    found.leased(170.0)
    lease = found.lease(1, resend=False)
    assert not {205, 206} & set(lease.numbers)
    assert found.due_later(lease) == 1105.0
    assert journal().due_later(journal().lease(1, resend=False)) == math.inf
