"""The journal's lines, its torn tail, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import DamageError, StorageError
from campaign.ledger.checkpoint import Checkpoint, create
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import (
    Intent,
    Opened,
    Pass,
    ReservedUpTo,
    Started,
    Synced,
    VerdictRecord,
    decode,
    encode,
)
from campaign.ledger.recovery import read_history
from campaign.model import Verdict
from campaign.system.boot import boot_identity

BOOT = boot_identity()
OPENED = Opened("gazette", "2026-11", "run", 1, 20, "plan-hash", {"subject": "abc"}, "shape", 1.0, "trace")


def records() -> list[bytes]:
    lines = [encode(OPENED), encode(Started(2.0, BOOT, 7, "process")), encode(Pass(1, 100)), encode(ReservedUpTo(20))]
    for number in range(9):
        lines.append(encode(Intent(number, f"{number:064x}", 100.0, "relay")))
        lines.append(encode(VerdictRecord(number, "accepted", 3.0, code=250, relay="relay")))
    lines.append(encode(Intent(9, "f" * 64, 100.0, "relay")))
    lines.append(encode(Synced(sum(map(len, lines)))))
    return lines


def write(folder: Path, data: bytes) -> Path:
    path = folder / journal_reader.NAME
    path.write_bytes(data)
    return path


def test_a_record_is_one_line_of_checksum_and_json() -> None:
    line = encode(Pass(3, 1700000000))
    assert line.endswith(b'{"is":"pass","number":3,"at":1700000000.0}\n') or b'"is":"pass"' in line
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == Pass(3, 1700000000)


@pytest.mark.parametrize("line", [b"", b"nonsense", b"00000000 {}", b'deadbeef {"is":"pass"}', b"\xff" * 40])
def test_a_damaged_line_has_no_record(line: bytes) -> None:
    assert decode(line) is None


def test_a_line_of_an_unknown_kind_is_damage() -> None:
    from binascii import crc32

    body = b'{"is":"miracle"}'
    assert decode(b"%08x %b" % (crc32(body), body)) is None


def test_a_journal_cut_anywhere_is_a_torn_tail_or_whole_and_never_more_than_its_past(tmp_path: Path) -> None:
    lines = records()
    data, first = b"".join(lines), len(lines[0])
    whole = read_history_of(write(tmp_path, data))
    for size in range(len(data)):
        path = write(tmp_path, data[:size])
        if size < first - 1:
            with pytest.raises(DamageError):
                read_history(tmp_path)
            continue
        history = read_history_of(path)
        assert history.tally()["accepted"] <= whole.tally()["accepted"]
        assert sum(history.tally().values()) == 20


def read_history_of(path: Path):
    return read_history(path.parent)


def test_every_flipped_byte_is_noticed_or_leaves_the_history_alone(tmp_path: Path) -> None:
    data = b"".join(records())
    path = write(tmp_path, data)
    before = read_history(tmp_path)
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 0x20
        path.write_bytes(flipped)
        try:
            after = read_history(tmp_path)
        except DamageError:
            continue
        assert after.tally() == before.tally(), at


def test_damage_is_refused_with_its_line_number(tmp_path: Path) -> None:
    lines = records()
    lines[5] = lines[5].replace(b"accepted", b"rejected")
    write(tmp_path, b"".join(lines))
    with pytest.raises(DamageError, match=r"checkpoint\.journal:6"):
        read_history(tmp_path)


def test_a_damaged_line_feed_at_the_end_is_no_torn_tail(tmp_path: Path) -> None:
    data = b"".join(records()[:-1])
    write(tmp_path, data[:-1] + b"X")
    with pytest.raises(DamageError):
        read_history(tmp_path)


def test_an_empty_journal_never_counts_as_a_new_run(tmp_path: Path) -> None:
    write(tmp_path, b"")
    with pytest.raises(DamageError, match="does not even say"):
        read_history(tmp_path)


def test_a_missing_journal_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_history(tmp_path)


def test_a_torn_tail_is_cut_off_with_a_notice_and_kept_beside(tmp_path: Path) -> None:
    data = b"".join(records())
    path = write(tmp_path, data + encode(VerdictRecord(9, "accepted", 4.0))[:30])
    checkpoint = Checkpoint(tmp_path, boot=BOOT)
    try:
        assert "30 octets" in checkpoint.notices[0]
        assert checkpoint.history.verdict(9) is Verdict.IN_DOUBT
    finally:
        checkpoint.close()
    assert path.read_bytes().startswith(data)
    assert (tmp_path / f"torn-tail-{len(data)}").stat().st_size == 30


def test_a_last_line_that_lacks_only_its_line_feed_is_kept(tmp_path: Path) -> None:
    data = b"".join(records()) + encode(VerdictRecord(9, "accepted", 4.0))
    write(tmp_path, data[:-1])
    checkpoint = Checkpoint(tmp_path, boot=BOOT)
    checkpoint.close()
    assert checkpoint.history.verdict(9) is Verdict.ACCEPTED
    assert read_history(tmp_path).verdict(9) is Verdict.ACCEPTED


def test_after_a_power_loss_damage_past_the_last_sync_mark_is_tail(tmp_path: Path) -> None:
    data = b"".join(records())
    write(tmp_path, data + b"\0" * 50 + b"\n" + encode(VerdictRecord(9, "accepted", 4.0)))
    with pytest.raises(DamageError):
        Checkpoint(tmp_path, boot=BOOT)
    checkpoint = Checkpoint(tmp_path, boot="another boot")
    checkpoint.close()
    assert checkpoint.history.verdict(9) is Verdict.IN_DOUBT


def test_after_a_power_loss_damage_before_the_last_sync_mark_is_refused(tmp_path: Path) -> None:
    lines = records()
    lines[4] = b"\0" * len(lines[4])
    write(tmp_path, b"".join(lines))
    with pytest.raises(DamageError):
        Checkpoint(tmp_path, boot="another boot")


def test_create_puts_the_first_line_in_place_whole(tmp_path: Path) -> None:
    create(tmp_path, OPENED)
    assert read_history(tmp_path).opened == OPENED
    assert (tmp_path / journal_reader.NAME).stat().st_mode & 0o777 == 0o600
