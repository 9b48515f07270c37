"""SQLite files named by their paths are read by a query, and never written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.source_factory import open_source
from campaign.config.audience import AudienceSection
from campaign.errors import CampaignError, ConfigError, InputError

PEOPLE = "SELECT * FROM people"


def database(path: Path, *addresses: str) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE people (email TEXT, n INTEGER)")
        file.executemany("INSERT INTO people VALUES (?, ?)", [(one, at) for at, one in enumerate(addresses)])


def frozen(folder: Path, **given: object) -> Plan:
    settings = AudienceSection(**given)
    return freeze(settings, folder, folder, suppression=Suppression.load(settings, folder))


@pytest.mark.parametrize("name", ["list.sqlite", "list.SQLITE3", "list.db", "list.db3", "a list?x=1#50%:.sqlite"])
def test_a_sqlite_file_is_named_by_its_path(tmp_path: Path, name: str) -> None:
    database(tmp_path / name, "a@example.com", "b@example.com")
    plan = frozen(tmp_path, source=name, query=PEOPLE + " WHERE n >= :n", parameters={"n": 1})
    assert [one.row for one in plan.recipients()] == [{"email": "b@example.com", "n": 1}]
    assert frozen(tmp_path, source=str(tmp_path / name), query=PEOPLE).size == 2


def test_a_sqlite_file_is_a_suppression_list(tmp_path: Path) -> None:
    database(tmp_path / "list.sqlite", "a@example.com", "b@example.com")
    database(tmp_path / "gone.db", "b@example.com")
    plan = frozen(tmp_path, source="list.sqlite", query=PEOPLE, suppress=["gone.db"], suppress_query=PEOPLE)
    assert (plan.books.planned, plan.books.suppressed) == (1, 1)


def test_the_file_is_never_written_and_never_made(tmp_path: Path) -> None:
    database(tmp_path / "list.sqlite", "a@example.com")
    before = (tmp_path / "list.sqlite").read_bytes()
    with pytest.raises(InputError, match="did not answer"):
        frozen(tmp_path, source="list.sqlite", query="DELETE FROM people RETURNING *")
    assert (tmp_path / "list.sqlite").read_bytes() == before
    with pytest.raises(InputError, match="is no file"):
        frozen(tmp_path, source="nowhere.sqlite", query=PEOPLE)
    assert not (tmp_path / "nowhere.sqlite").exists()


@pytest.mark.parametrize(
    ("settings", "kind", "what"),
    [
        ({"source": "list.sqlite"}, ConfigError, "no audience.query"),
        ({"source": "text.db", "query": PEOPLE}, InputError, "did not answer the query"),
        ({"source": "list.sqlite", "query": "SELECT * FROM nowhere"}, InputError, "did not answer the query"),
        ({"source": "ftp://example.com/list.db", "query": PEOPLE}, ConfigError, "is a URL"),
        ({"source": "list.unknown", "query": PEOPLE}, ConfigError, "of no kind known"),
    ],
)
def test_each_mistake_ends_in_a_sentence(
    tmp_path: Path, settings: dict[str, str], kind: type[CampaignError], what: str
) -> None:
    database(tmp_path / "list.sqlite", "a@example.com")
    (tmp_path / "text.db").write_text("email\na@example.com\n" * 100)
    (tmp_path / "list.unknown").write_text("DUCK")
    with pytest.raises(kind, match=what) as caught:
        open_source(AudienceSection(**settings), tmp_path)
    assert caught.value.next_step


def test_a_format_overrides_the_ending(tmp_path: Path) -> None:
    (tmp_path / "list.db").write_text("email\na@example.com\n")
    assert frozen(tmp_path, source="list.db", format="csv").size == 1
