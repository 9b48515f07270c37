"""Addresses that relays called dead."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from campaign.audience.suppression import Suppression
from campaign.config.audience import AudienceSlice
from campaign.ledger import suppressed


def test_each_dead_address_is_one_line_under_one_header(tmp_path: Path) -> None:
    for name in ("a", 'b"x'):
        suppressed.add(
            tmp_path, f"{name}@example.com", reason="no such\nuser", code="5.1.1", at=0.0, campaign="gazette"
        )
    with (tmp_path / suppressed.NAME).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["address"] for row in rows] == ["a@example.com", 'b"x@example.com']
    assert rows[0]["since"] == "1970-01-01T00:00:00Z"


def test_a_line_torn_by_a_full_disk_does_not_swallow_the_next(tmp_path: Path) -> None:
    (tmp_path / suppressed.NAME).write_bytes(b"address,reason,code,since,campaign\na@example.com,no su")
    suppressed.add(tmp_path, "b@example.com", reason="", code="5.1.1", at=0.0, campaign="gazette")
    assert (tmp_path / suppressed.NAME).read_text(encoding="utf-8").splitlines()[2].startswith("b@example.com,")


@pytest.mark.parametrize("encoding", ["", "gbk", "utf-16-le"])
def test_every_dead_address_is_known_again_whatever_the_source_is_written_in(tmp_path: Path, encoding: str) -> None:
    dead = ["a@example.com", "#b@example.com", "müller@example.com"]
    for address in dead:
        suppressed.add(tmp_path, address, reason="не существует", code="5.1.1", at=0.0, campaign="gazette")
    settings = AudienceSlice(source="people.csv", encoding=encoding)
    found = Suppression.load(settings, tmp_path, extra_files=(tmp_path / suppressed.NAME,))
    assert all(found.covers(address) for address in dead)
