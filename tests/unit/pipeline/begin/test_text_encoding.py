"""The encodings that a list may be in are shown by a line in which they differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import InputError
from campaign.pipeline.begin.text_encoding import readings


def test_the_line_shown_is_one_that_the_encodings_read_differently(tmp_path: Path) -> None:
    file = tmp_path / "leute.csv"
    file.write_bytes("email;Straße\nzoe@example.org;Zoë\nbob@example.org;Müller\n".encode("cp1252"))
    lines = {one.encoding: one.line for one in readings(file, "")}
    assert lines["cp1252"] in {"zoe@example.org;Zoë", "bob@example.org;Müller"}
    assert len(set(lines.values())) == len(lines) > 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "ascii"])
def test_a_list_that_reads_by_itself_needs_no_choice(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes("email,name\nzoe@example.org,Zoe\n".encode(encoding))
    assert readings(file, "") == []


def test_utf_16_without_a_mark_is_shown_by_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes("email,name\nzoe@example.org,Zoë\n".encode("utf-16-le"))
    [one] = readings(file, "")
    assert (one.encoding, one.line) == ("utf-16-le", "email,name")


def test_an_encoding_that_fits_the_first_lines_alone_is_not_offered(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    many = b"".join(f"p{at}@example.com,Zo\xeb\n".encode("latin-1") for at in range(3000))
    file.write_bytes(b"email,name\n" + many + b"last@example.com,\x81\n")
    assert "cp1252" not in [one.encoding for one in readings(file, "")]


def test_what_no_encoding_decodes_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(b"%PDF-1.7\n\xff\xfe")
    with pytest.raises(InputError, match="is no text file"):
        readings(file, "")
