"""The list of the suppressed, as it is drawn up and as people write into it."""

from __future__ import annotations

import csv
import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.screening.suppression_list import Suppression
from campaign.config.audience import AudienceSection
from campaign.errors import StorageError
from campaign.ledger.feedback import suppressed_csv
from campaign.ledger.feedback.suppressed_csv import (
    NAME,
    SuppressedRow,
    is_as_drawn_up,
    list_locked,
    read_list,
    rewrite_list,
    signature,
)


def row(address: str, reason: str = "no such user") -> SuppressedRow:
    return SuppressedRow(address, reason, "5.1.1", 0.0, "gazette")


def written(folder: Path, *rows: SuppressedRow, kept: tuple[str, ...] = ()) -> None:
    assert rewrite_list(folder, rows, kept, signature(folder))


def table(folder: Path) -> list[dict[str, Any]]:
    with (folder / NAME).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def addresses(folder: Path) -> list[str]:
    return [line.row.address for line in read_list(folder)]


def test_each_address_is_one_line_under_one_heading(tmp_path: Path) -> None:
    written(tmp_path, row("a@example.com", "no such\nuser"), row('b"x@example.com'))
    assert [one["address"] for one in table(tmp_path)] == ["a@example.com", 'b"x@example.com']
    assert table(tmp_path)[0] == {
        "address": "a@example.com",
        "reason": "no such user",
        "code": "5.1.1",
        "since": "1970-01-01T00:00:00Z",
        "campaign": "gazette",
    }
    assert len((tmp_path / NAME).read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize("words", ["=cmd|' /C calc'!A0", "@SUM(A1)", "+1", "-1", "\t=1"])
def test_a_strangers_words_are_no_formula_and_the_address_stays_as_it_is(tmp_path: Path, words: str) -> None:
    written(tmp_path, row("=1+1@example.com", words))
    assert table(tmp_path)[0]["reason"] == "'" + words.strip()
    assert table(tmp_path)[0]["address"] == "=1+1@example.com"
    assert next(read_list(tmp_path)).row.reason == words.strip()


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    rows = [SuppressedRow(address, "не существует, совсем", "550", 86_400.0, "g") for address in ("a@b.de", "#c@d.de")]
    written(tmp_path, *rows)
    assert [line.row for line in read_list(tmp_path)] == rows


def test_a_folder_without_the_list_has_no_lines(tmp_path: Path) -> None:
    assert addresses(tmp_path) == []
    assert signature(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a@example.com\n\nb@example.com", ["a@example.com", "b@example.com"]),
        ("email\na@example.com\n", ["a@example.com"]),
        ("Name;E-Mail\r\nAda;a@example.com\r\n", ["a@example.com"]),
        ("address\treason\na@example.com\tgone\n", ["a@example.com"]),
        ("\ufeffaddress,reason\na@example.com,gone\n", ["a@example.com"]),
        ("# my own\na@example.com\n", ["", "a@example.com"]),
        ('address,reason\n"a@example.com,gone\nb@example.com,gone\n', ["a@example.com,gone", "b@example.com"]),
        ("@example.org\n" + "0" * 64 + "\n", ["@example.org", "0" * 64]),
        ("address,reason,code,since,campaign\na@example.com\n", ["a@example.com"]),
    ],
)
def test_a_list_as_people_write_it_is_read(tmp_path: Path, text: str, found: list[str]) -> None:
    (tmp_path / NAME).write_text(text, encoding="utf-8", newline="")
    assert addresses(tmp_path) == found


def test_a_list_that_a_spreadsheet_saved_as_unicode_text_is_read(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("address\treason\r\nä@example.com\tgone\r\n", encoding="utf-16", newline="")
    assert addresses(tmp_path) == ["ä@example.com"]


@pytest.mark.parametrize(
    ("since", "at"), [("1970-01-02T00:00:00Z", 86_400.0), ("", 0.0), ("yesterday", 0.0), ("2026-99-99T00:00:00Z", 0.0)]
)
def test_a_time_that_is_none_is_no_time(tmp_path: Path, since: str, at: float) -> None:
    (tmp_path / NAME).write_text(f"address,since\na@example.com,{since}\n")
    assert next(read_list(tmp_path)).row.at == at


def test_lines_that_name_nobody_are_kept_octet_by_octet(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"# caf\xe9\n")
    written(tmp_path, row("a@example.com"), kept=tuple(line.text for line in read_list(tmp_path)))
    assert (tmp_path / NAME).read_bytes().endswith(b"\n# caf\xe9\n")


def test_a_list_that_somebody_changed_meanwhile_stays(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("a@example.com\n")
    seen = signature(tmp_path)
    (tmp_path / NAME).write_text("a@example.com\nb@example.com\n")
    assert not rewrite_list(tmp_path, [row("a@example.com")], [], seen)
    assert not rewrite_list(tmp_path, [row("a@example.com")], [], None)
    assert addresses(tmp_path) == ["a@example.com", "b@example.com"]
    assert [one.name for one in tmp_path.iterdir()] == [NAME]


def test_whether_somebody_wrote_the_list_since_it_was_drawn_up_is_seen(tmp_path: Path) -> None:
    assert is_as_drawn_up(tmp_path)
    written(tmp_path, row("a@example.com"))
    assert is_as_drawn_up(tmp_path)
    with (tmp_path / NAME).open("a") as file:
        file.write("b@example.com\n")
    assert not is_as_drawn_up(tmp_path)
    written(tmp_path, row("b@example.com"))
    assert is_as_drawn_up(tmp_path)
    assert is_as_drawn_up(tmp_path, comments=False)
    written(tmp_path, row("b@example.com"), kept=("# mine",))
    assert is_as_drawn_up(tmp_path)
    assert not is_as_drawn_up(tmp_path, comments=False)
    (tmp_path / NAME).rename(tmp_path / "old")
    (tmp_path / NAME).write_bytes((tmp_path / "old").read_bytes())
    assert not is_as_drawn_up(tmp_path)


def test_the_list_stays_as_it_was_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, row("a@example.com"))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="ENOSPC"):
        written(tmp_path, row("b@example.com"))
    assert addresses(tmp_path) == ["a@example.com"]


def test_a_list_behind_a_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link"):
        written(tmp_path, row("a@example.com"))
    assert (tmp_path / NAME).is_symlink()


def test_a_list_that_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        addresses(tmp_path)


def test_one_process_at_a_time_draws_the_list_up(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with list_locked(tmp_path):
            order.append("second")

    waiting = threading.Thread(target=second)
    with list_locked(tmp_path):
        waiting.start()
        waiting.join(0.1)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("encoding", ["", "gbk", "utf-16-le"])
def test_the_list_is_a_suppression_list_whatever_the_source_is_written_in(tmp_path: Path, encoding: str) -> None:
    known = ["a@example.com", "#b@example.com", "müller@example.com", "=1+1@example.com"]
    written(tmp_path, *(row(address, "не существует") for address in known))
    settings = AudienceSection(source="people.csv", encoding=encoding)
    lines = ((line.row.address, f"listed in {suppressed_csv.NAME}") for line in read_list(tmp_path))
    found = Suppression.load(settings, tmp_path, told=lines)
    assert [found.covers(address) for address in known] == ["listed in suppressed.csv"] * 4
