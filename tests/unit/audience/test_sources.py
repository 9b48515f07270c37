"""What may be named as a source, what is found out by looking, and how each bad file ends in a sentence."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from campaign.audience.sources import source_file
from campaign.audience.sources.source_factory import open_source
from campaign.audience.sources.typed_files import dataframe
from campaign.config.audience import AudienceSection
from campaign.errors import CampaignError, ConfigError, InputError


def read(folder: Path, data: bytes | str, name: str = "list.csv", **settings: object) -> list[list[object]]:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    source = open_source(AudienceSection(source=name, **settings), folder)  # type: ignore[arg-type]
    return [list(row) for chunk in source.chunks() for row in chunk.rows]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("email,name\na@example.com,Ann\n", {}),
        ("email;name\na@example.com;Ann\n", {}),
        ("email\tname\na@example.com\tAnn\n", {}),
        ("email|name\na@example.com|Ann\n", {}),
        ('"email";"name"\n"a@example.com";"Ann"\n', {}),
        ("email/name\na@example.com/Ann\n", {"delimiter": "/"}),
        ("'email','name'\n'a@example.com','Ann'\n", {"quote": "'"}),
        ("a@example.com,Ann\n", {"header": ["email", "name"]}),
        (" email , name \na@example.com,Ann\n", {}),
        ("\n\nemail,name\n\na@example.com,Ann\n", {}),
    ],
)
def test_delimiter_quote_and_header_are_found_or_as_set(tmp_path: Path, text: str, settings: dict[str, object]) -> None:
    assert read(tmp_path, text, **settings) == [["a@example.com", "Ann"]]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("email;note\na@example.com;1,5\nb@example.com;2,5\n", ["a@example.com", "1,5"]),
        ("email,note\na@example.com,x;y;z\nb@example.com,x;y;z\n", ["a@example.com", "x;y;z"]),
        ('email,note\na@example.com,"x;y|z\t1"\n', ["a@example.com", "x;y|z\t1"]),
        ("email\na@example.com\n", ["a@example.com"]),
    ],
)
def test_other_delimiters_within_values_do_not_mislead(tmp_path: Path, text: str, row: list[str]) -> None:
    assert read(tmp_path, text)[0] == row


def test_what_was_found_is_shown(tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text("email\tname\n")
    source = open_source(AudienceSection(source="list.tsv"), tmp_path)
    assert source.notes == ("encoding utf-8", "delimiter tab")
    assert (source.name, source.columns) == ("list.tsv", ("email", "name"))


def test_a_header_may_be_longer_than_the_prefix_that_is_looked_at(tmp_path: Path) -> None:
    names = ["email", *(f"column_{at:05}" for at in range(10_000))]
    row = read(tmp_path, ",".join(names) + "\n" + ",".join(["a@example.com", *["x"] * 10_000]) + "\n")
    assert len(row[0]) == 10_001


def test_compressed_files_are_unpacked_when_asked_for(tmp_path: Path) -> None:
    text = b"email\na@example.com\n"
    assert read(tmp_path, gzip.compress(text), "list.csv.gz", compression="gzip") == [["a@example.com"]]
    packed = zstandard.compress(text) + zstandard.compress(b"b@example.com\n")
    assert read(tmp_path, packed, "list.csv.zst", compression="zstd") == [["a@example.com"], ["b@example.com"]]


def test_a_source_starts_over_each_time(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\na@example.com\n")
    source = open_source(AudienceSection(source="list.csv"), tmp_path)
    assert [len(chunk.rows) for chunk in source.chunks()] == [len(chunk.rows) for chunk in source.chunks()] == [1]


BAD = {
    "missing": ("nowhere.csv", {}, InputError, "cannot be opened"),
    "folder": ("folder.csv", {}, InputError, "a folder"),
    "pipe": ("pipe.csv", {}, InputError, "not a regular file"),
    "device": ("/dev/null", {}, InputError, "not a regular file"),
    "web address": ("s3://example.com/list.csv?key=secret", {}, ConfigError, "is a URL"),
    "file address": ("file:///etc/passwd", {}, ConfigError, "is a URL"),
    "kind": ("list.docx", {}, ConfigError, "no kind known"),
    "empty": ("empty.csv", {}, InputError, "is empty"),
    "blank": ("blank.csv", {}, InputError, "is empty"),
    "packed": ("packed.csv.gz", {}, ConfigError, "looks compressed"),
    "wrongly packed": ("packed.csv.gz", {"compression": "zstd"}, ConfigError, "looks compressed"),
    "not packed": ("good.csv", {"compression": "gzip"}, InputError, "cannot be read"),
    "not packed either": ("good.csv", {"compression": "zstd"}, InputError, "cannot be read"),
    "cut off": ("cut.csv.gz", {"compression": "gzip"}, InputError, "cannot be read"),
    "cut off too": ("cut.csv.zst", {"compression": "zstd"}, InputError, "cannot be read"),
    "binary": ("binary.csv", {}, InputError, "is not UTF-8"),
    "workbook": ("binary.xlsx", {}, InputError, "cannot be read as a workbook"),
    "parquet": ("binary.parquet", {}, InputError, "cannot be read as parquet"),
    "stata": ("binary.dta", {}, InputError, "cannot be read as dta"),
    "no address column": ("good.csv", {"address": "E-Mail"}, ConfigError, "no column 'E-Mail'"),
    "no other columns": ("good.csv", {"key": "id", "display_name": "nick"}, ConfigError, "'nick' and no column 'id'"),
    "no typed column": ("good.csv", {"columns": {"age": "integer"}}, ConfigError, "no column 'age'"),
    "no header": ("headless.csv", {}, ConfigError, "no column 'email'"),
    "same names": ("twins.csv", {}, InputError, "need one name each"),
    "unreadable header": ("openheader.csv", {}, InputError, "header of openheader.csv cannot be read"),
    "not a database": ("sqlite:///good.csv", {"query": "select * from people"}, InputError, "not a database"),
    "no database": ("sqlite:///nowhere.db", {"query": "select 1"}, InputError, "is no file"),
    "no query": ("sqlite:///good.csv", {}, ConfigError, "no audience.query"),
    "bad database address": ("postgresql:people", {"query": "select 1"}, ConfigError, "no database URL"),
    "password": ("postgresql://u:secret@h/d", {"query": "select 1"}, ConfigError, "password in its URL"),
    "hidden password": ("mysql://u@h/d?password=secret", {"query": "select 1"}, ConfigError, "password in its URL"),
}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for name, data in {
        "list.docx": b"PK",
        "empty.csv": b"",
        "blank.csv": b"\n\r\n\n",
        "packed.csv.gz": gzip.compress(b"email\n"),
        "cut.csv.gz": gzip.compress(b"email\n" * 1000)[:-12],
        "cut.csv.zst": zstandard.compress(os.urandom(50_000).hex().encode())[:-12],
        "good.csv": b"email,name\na@example.com,Ann\n",
        "headless.csv": b"a@example.com,Ann\n",
        "twins.csv": b"email,name,name,\n",
        "openheader.csv": b'email,"name\na@example.com,x\n',
    }.items():
        (tmp_path / name).write_bytes(data)
    for suffix in ("csv", "xlsx", "parquet", "dta"):
        (tmp_path / f"binary.{suffix}").write_bytes(b"\x89\xff\xfe" + bytes(range(1, 256)) * 50)
    return tmp_path


@pytest.mark.parametrize("case", BAD)
def test_every_bad_source_ends_in_a_sentence_with_the_next_thing_to_do(shelf: Path, case: str) -> None:
    name, settings, error, told = BAD[case]
    with pytest.raises(error, match=told) as caught:
        for _ in open_source(AudienceSection(source=name, **settings), shelf).chunks():  # type: ignore[arg-type]
            pass
    assert isinstance(caught.value, CampaignError)
    assert caught.value.next_step
    assert "secret" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_misspelt_column_is_pointed_at(shelf: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source(AudienceSection(source="good.csv", address="Email"), shelf)
    assert caught.value.evidence == ("its columns: email, name", "'email' is there")


def test_a_list_without_a_header_is_recognised_as_such(shelf: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source(AudienceSection(source="headless.csv"), shelf)
    assert "header = [...]" in caught.value.next_step


@pytest.mark.parametrize(("kind", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_a_compressed_list_that_unpacks_to_far_more_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    name = f"list.csv{source_file.SUFFIX_OF[kind]}"
    honest = "".join(f"person{n}@example.com\n" for n in range(5000))
    rows = read(tmp_path, pack(f"email\n{honest}".encode()), name, compression=kind)
    monkeypatch.setattr(source_file, "FREELY", 1000)
    assert read(tmp_path, pack(f"email\n{honest}".encode()), name, compression=kind) == rows
    with pytest.raises(InputError, match="unpacks to far more") as caught:
        read(tmp_path, pack(b"email\n" + b"a@example.com\n" * 1_000_000), name, compression=kind)
    assert "unpack it" in caught.value.next_step


def test_a_parquet_file_with_more_rows_than_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataframe, "ROWS", 10_000)
    pq.write_table(pa.table({"email": pa.nulls(20_000, pa.string())}), tmp_path / "list.parquet")
    with pytest.raises(InputError, match="too large to be read as Parquet") as caught:
        open_source(AudienceSection(source="list.parquet"), tmp_path)
    assert "20,000 rows" in caught.value.evidence[0]


def test_a_parquet_file_with_a_huge_row_group_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"email": [f"p{n}@example.com" for n in range(9)]}), tmp_path / "list.parquet")
    assert open_source(AudienceSection(source="list.parquet"), tmp_path).columns == ("email",)
    monkeypatch.setattr(dataframe, "GROUP", 100)
    with pytest.raises(InputError, match="too large to be read as Parquet") as caught:
        open_source(AudienceSection(source="list.parquet"), tmp_path)
    assert "row groups" in caught.value.evidence[0]
