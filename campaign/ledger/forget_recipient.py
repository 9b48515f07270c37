"""Forgetting recipients in one run's folder: plan and journal are replaced under the journal's lock.

The journal's first record holds the hash of the plan, so both change together, in this order: the new plan is written
beside the old one and synced; ``forgetting.json`` notes both hashes; the new plan takes its name; the journal is
replaced by one with the new hash; the note is removed. After a kill at any point the run can be read, and
`finish_replacing` completes it. Texts are masked without changing their length, so every sync mark stays true.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from binascii import crc32
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO

import msgspec

from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_file import JournalFile, unwritable, write_whole
from campaign.ledger.journal.journal_records import Opened, VerdictRecord, decode
from campaign.ledger.run_folder import PLAN
from campaign.system.atomic_file import atomic_file, sync_folder

NOTE, NEW_PLAN = "forgetting.json", "plan.jsonl.forgetting"
_VERDICT, _SETTINGS = b'{"is":"verdict","number":', (b'{"is":"opened",', b'{"is":"changed",')
_encode = msgspec.json.Encoder().encode

Masked = Callable[[bytes], bytes]


def replace_plan(run: Path, write: Callable[[BinaryIO], None]) -> None:
    """Replace the run's plan by what ``write`` writes, and its hash in the journal. Raises StorageError.

    The caller holds the lock of the edition. A journal whose hash did not fit the plan before does not fit it after.
    """
    new, plan = run / NEW_PLAN, run / PLAN
    try:
        with atomic_file(new) as file:
            write(file)
        write_whole(run / NOTE, json.dumps({"before": _sha256(plan), "after": _sha256(new)}).encode())
        new.replace(plan)
        sync_folder(run)
    except OSError as error:
        raise unwritable(plan, error) from error
    finish_replacing(run)


def finish_replacing(run: Path) -> None:
    """Complete what an earlier `replace_plan` began, if it was killed; otherwise do nothing. Raises StorageError."""
    note = _noted(run)
    try:
        if note and _sha256(run / PLAN) == note["after"]:
            _replace_hash(run / journal_reader.NAME, note["before"], note["after"])
        (run / NEW_PLAN).unlink(missing_ok=True)
        (run / NOTE).unlink(missing_ok=True)
        sync_folder(run)
    except OSError as error:
        raise unwritable(run, error) from error


def replacing_was_interrupted(run: Path) -> bool:
    """Whether a process was killed while it replaced the run's plan, so that plan and journal may not fit."""
    return (run / NOTE).exists()


def mask_journal(
    run: Path, masked: Masked, masked_reply: Callable[[str], str], own: Collection[int] = (), *, dry_run: bool = False
) -> int:
    """Mask texts in the run's journal; returns the number of changed records. Raises StorageError, UnfinishedError.

    ``masked`` and ``masked_reply`` keep the number of octets. ``masked_reply`` takes the replies about the recipients
    numbered ``own``. Records of the campaign's settings stay: a run whose settings differ is not continued. With
    ``dry_run`` nothing is written.
    """
    path, change = run / journal_reader.NAME, _masking(masked, masked_reply, own)
    return _rewrite_lines(path, change, dry_run=True) if dry_run else _rewrite(path, change)


def masked_record(line: bytes, masked: Masked, masked_reply: Callable[[str], str], own: Collection[int] = ()) -> bytes:
    """One line of a journal, masked as by `mask_journal`, with a checksum that fits."""
    return _sealed(line, _masking(masked, masked_reply, own)(line))


def _masking(masked: Masked, masked_reply: Callable[[str], str], own: Collection[int]) -> Masked:
    numbers = frozenset(own)

    def change(line: bytes) -> bytes:
        if line.startswith(_SETTINGS, 9):
            return line
        line = masked(line)
        return _with_reply(line, numbers, masked_reply) if line.startswith(_VERDICT, 9) else line

    return change


def mask_lines(path: Path, masked: Masked, *, dry_run: bool = False) -> int:
    """Mask texts in a copy of a journal or in any other file of lines; returns the number of changed lines.

    A line whose checksum fitted gets one that fits again. With ``dry_run`` nothing is written. Raises StorageError.
    """
    return _rewrite_lines(path, masked, dry_run=dry_run)


def _noted(run: Path) -> dict[str, str]:
    try:
        noted = json.loads((run / NOTE).read_bytes())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) and noted.keys() == {"before", "after"} else {}


def _replace_hash(path: Path, before: str, after: str) -> None:
    """Write ``after`` in place of ``before`` into the journal's first record; nothing if there is no journal."""

    def change(line: bytes) -> bytes:
        opened = decode(line.rstrip(b"\n"))
        if isinstance(opened, Opened) and opened.plan == before:
            return line.replace(b'"plan":"%b"' % before.encode(), b'"plan":"%b"' % after.encode(), 1)
        return line

    if path.exists():
        _rewrite(path, change, only_first=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rewrite(path: Path, change: Masked, *, only_first: bool = False) -> int:
    with contextlib.closing(JournalFile(path)):
        return _rewrite_lines(path, change, only_first=only_first)


def _rewrite_lines(path: Path, change: Masked, *, only_first: bool = False, dry_run: bool = False) -> int:
    """Change lines, then put the file in place of the old one, if any line changed."""
    count = 0
    try:
        with path.open("rb") as old:
            if dry_run:
                return sum(change(line) != line for line in old)
            if not (only_first or any(change(line) != line for line in old)):
                return 0
        with path.open("rb") as old, atomic_file(path) as new:
            for number, line in enumerate(old):
                changed = line if only_first and number else _sealed(line, change(line))
                count += changed != line
                new.write(changed)
    except OSError as error:
        raise unwritable(path, error) from error
    return count


def _sealed(before: bytes, after: bytes) -> bytes:
    """The changed line with a checksum that fits, if that of the line before did."""
    if after == before:
        return before
    old, new = before.rstrip(b"\n"), after.rstrip(b"\n")
    if old[:9] != b"%08x " % crc32(old[9:]):
        return after
    return b"%08x %b" % (crc32(new[9:]), after[9:])


def _with_reply(line: bytes, numbers: Collection[int], masked_reply: Callable[[str], str]) -> bytes:
    """The line with its reply masked, if it is the verdict on one of these recipients."""
    digits = line[9 + len(_VERDICT) :].partition(b",")[0]
    if not digits.isdigit() or int(digits) not in numbers:
        return line
    record = _readable_verdict(line)
    if record is None or not record.reason:
        return line
    return line.replace(_encode(record.reason), _encode(masked_reply(record.reason)), 1)


def _readable_verdict(line: bytes) -> VerdictRecord | None:
    try:
        record = msgspec.json.decode(line[9:].rstrip(b"\n"), type=VerdictRecord)
    except msgspec.DecodeError:
        return None
    return record
