"""Addresses that relays called dead."""

from __future__ import annotations

import csv
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.screening.suppression_list import Suppression
from campaign.config.audience import AudienceSection
from campaign.errors import StorageError
from campaign.ledger import dead_addresses
from campaign.ledger.dead_addresses import DeadAddress


def dead(name: str, reason: str = "no such user") -> DeadAddress:
    return DeadAddress(f"{name}@example.com", reason, "5.1.1", 0.0, "gazette")


def rows(folder: Path) -> list[dict[str, Any]]:
    with (folder / dead_addresses.NAME).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_dead_address_is_one_line_under_one_header(tmp_path: Path) -> None:
    dead_addresses.add(tmp_path, [dead("a", "no such\nuser")])
    dead_addresses.add(tmp_path, [dead('b"x'), dead("c")])
    assert [row["address"] for row in rows(tmp_path)] == ["a@example.com", 'b"x@example.com', "c@example.com"]
    assert rows(tmp_path)[0]["since"] == "1970-01-01T00:00:00Z"
    assert len((tmp_path / dead_addresses.NAME).read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.parametrize("words", ["=cmd|' /C calc'!A0", "@SUM(A1)", "+1", "-1", "\t=1"])
def test_a_relays_words_are_no_formula_and_the_address_stays_as_it_is(tmp_path: Path, words: str) -> None:
    dead_addresses.add(tmp_path, [dead("=1+1", words)])
    assert rows(tmp_path)[0]["reason"] == "'" + words.strip()
    assert rows(tmp_path)[0]["address"] == "=1+1@example.com"


def test_a_line_torn_by_a_full_disk_does_not_swallow_the_next(tmp_path: Path) -> None:
    (tmp_path / dead_addresses.NAME).write_bytes(b"address,reason,code,since,campaign\na@example.com,no su")
    dead_addresses.add(tmp_path, [dead("b")])
    assert (tmp_path / dead_addresses.NAME).read_text(encoding="utf-8").splitlines()[2].startswith("b@example.com,")


@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_a_line_torn_by_a_kill_is_replaced_by_the_whole_one(tmp_path: Path, kept: int) -> None:
    dead_addresses.add(tmp_path, [dead("b")])
    before = (tmp_path / dead_addresses.NAME).read_bytes()
    dead_addresses.add(tmp_path, [dead("a")])
    whole = (tmp_path / dead_addresses.NAME).read_bytes()
    (tmp_path / dead_addresses.NAME).write_bytes(whole[: len(before) + kept])
    dead_addresses.add(tmp_path, [dead("c"), dead("a")])
    assert [row["address"] for row in rows(tmp_path)] == ["b@example.com", "c@example.com", "a@example.com"]


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr("campaign.ledger.dead_addresses.os.write", lambda descriptor, data: real(descriptor, data[:7]))
    dead_addresses.add(tmp_path, [dead("a"), dead("b")])
    monkeypatch.undo()
    assert [row["address"] for row in rows(tmp_path)] == ["a@example.com", "b@example.com"]


def test_half_an_address_is_cut_off_again_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_addresses.add(tmp_path, [dead("a")])
    before, real, calls = (tmp_path / dead_addresses.NAME).read_bytes(), os.write, []

    def full(descriptor: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data[:11])

    monkeypatch.setattr("campaign.ledger.dead_addresses.os.write", full)
    with pytest.raises(StorageError, match="ENOSPC"):
        dead_addresses.add(tmp_path, [dead("b")])
    assert (tmp_path / dead_addresses.NAME).read_bytes() == before


def test_nobody_writes_while_another_process_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.ledger.journal.journal_file.LOCK_PAUSE", 0.0)
    dead_addresses.add(tmp_path, [dead("a")])
    before = (tmp_path / dead_addresses.NAME).read_bytes()
    with (tmp_path / dead_addresses.NAME).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another process"):
            dead_addresses.add(tmp_path, [dead("b")])
    assert (tmp_path / dead_addresses.NAME).read_bytes() == before
    dead_addresses.add(tmp_path, [dead("b")])
    assert len(rows(tmp_path)) == 2


def test_file_and_folder_are_synced_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    dead_addresses.add(tmp_path, [dead("a")])
    assert synced == []
    dead_addresses.add(tmp_path, [], sync=True)
    assert synced == [(tmp_path / dead_addresses.NAME).stat().st_ino, tmp_path.stat().st_ino]


@pytest.mark.parametrize("encoding", ["", "gbk", "utf-16-le"])
def test_every_dead_address_is_known_again_whatever_the_source_is_written_in(tmp_path: Path, encoding: str) -> None:
    addresses = ["a@example.com", "#b@example.com", "müller@example.com", "=1+1@example.com"]
    for address in addresses:
        dead_addresses.add(tmp_path, [DeadAddress(address, "не существует", "5.1.1", 0.0, "gazette")])
    settings = AudienceSection(source="people.csv", encoding=encoding)
    found = Suppression.load(settings, tmp_path, extra_files=(tmp_path / dead_addresses.NAME,))
    assert all(found.covers(address) for address in addresses)
