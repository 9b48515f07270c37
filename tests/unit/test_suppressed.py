"""Addresses that relays called dead."""

from __future__ import annotations

import csv
from pathlib import Path

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
