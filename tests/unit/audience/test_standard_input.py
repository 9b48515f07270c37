"""A list from standard input: read once, kept for every later reading, and never waited for on a terminal."""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.audience.plan.plan_reader import freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.kept_lists.piped_list import release_input
from campaign.audience.sources.source_factory import open_source
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError, StorageError

Give = Callable[[bytes], None]


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Give]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    release_input()
    yield lambda data: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    release_input()


def rows(**settings: object) -> list[list[object]]:
    source = open_source(AudienceSection(source="-", **settings), Path("/nowhere"))
    return [list(row) for chunk in source.chunks() for row in chunk.rows]


@pytest.mark.parametrize(
    ("data", "settings", "row"),
    [
        (b"email;n\na@example.com;1\n", {}, ["a@example.com", "1"]),
        (b'{"email": "a@example.com", "n": 1}\n', {}, ["a@example.com", 1]),
        (b'\xef\xbb\xbf\n [{"email": "a@example.com", "n": 1}]', {}, ["a@example.com", 1]),
        (b"{email},n\na@example.com,1\n", {"format": "csv", "address": "{email}"}, ["a@example.com", "1"]),
        (gzip.compress(b"email,n\na@example.com,1\n", mtime=0), {"compression": "gzip"}, ["a@example.com", "1"]),
    ],
)
def test_a_list_arrives_on_standard_input(give: Give, data: bytes, settings: dict[str, str], row: list[object]) -> None:
    give(data)
    assert rows(**settings) == [row]


def test_it_is_read_once_and_is_there_for_every_reading(give: Give, tmp_path: Path) -> None:
    give(b"email\na@example.com\n")
    settings = AudienceSection(source="-")
    open_source(settings, tmp_path)
    give(b"email\nother@example.com\n")
    plan = freeze(settings, tmp_path, tmp_path, suppression=Suppression())
    assert [one.address for one in plan.recipients()] == ["a@example.com"]
    assert '"source":"standard-input.csv"' in (tmp_path / "plan.jsonl").read_text().splitlines()[0]


def test_no_copy_of_the_list_has_a_name_on_disk(give: Give, tmp_path: Path) -> None:
    give(b"email\na@example.com\n")
    rows()
    (folder,) = tmp_path.iterdir()
    (only,) = folder.iterdir()
    assert only.is_symlink()
    assert "(deleted)" in str(only.readlink().readlink())
    release_input()
    assert not list(tmp_path.iterdir())


def test_a_terminal_is_not_waited_for(give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    give(b"")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(InputError, match="no list arrives there") as caught:
        rows()
    assert "< list.csv" in caught.value.next_step


def test_a_closed_standard_input_ends_in_a_sentence(give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    give(b"")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="no list arrives there"):
        rows()


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_input_ends_in_a_sentence(give: Give, data: bytes) -> None:
    give(data)
    with pytest.raises(InputError, match="ended before a list arrived"):
        rows()


def test_a_list_that_has_no_room_on_disk_ends_in_a_sentence(give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    give(b"email\n")
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(StorageError, match="cannot be kept") as caught:
        rows()
    assert caught.value.evidence == ("No space left on device",)


def test_what_is_wrong_in_it_is_told_with_its_line(give: Give) -> None:
    give(b"mail,n\n")
    with pytest.raises(ConfigError, match=r"standard-input\.csv has no column 'key'"):
        rows(key="key", address="mail")
