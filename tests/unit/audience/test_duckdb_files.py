"""DuckDB files are named by their paths, read by a query, and never written."""

from __future__ import annotations

import datetime as dt
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.source_factory import open_rows, open_source
from campaign.audience.sources.typed_files import duckdb_file
from campaign.audience.sources.typed_files.duckdb_file import bound
from campaign.config.audience import AudienceSection
from campaign.errors import CampaignError, ConfigError, InputError

duckdb = pytest.importorskip("duckdb")
PEOPLE = "SELECT * FROM people ORDER BY n"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "list.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE people (email TEXT, n BIGINT, price DECIMAL(8, 2), day DATE, tags TEXT[])")
        connection.executemany(
            "INSERT INTO people VALUES (?, ?, ?, ?, ?)",
            [
                ("a@example.com", 1, Decimal("12.50"), dt.date(2026, 1, 2), ["x", "y"]),
                ("b@example.com", None, None, None, []),
                ("c@example.com", 2**60, Decimal("0.10"), None, None),
            ],
        )
    return path


def frozen(folder: Path, **given: object) -> Plan:
    settings = AudienceSection(**given)
    return freeze(settings, folder, folder, suppression=Suppression.load(settings, folder))


def test_rows_keep_their_values(people: Path) -> None:
    source = open_rows(AudienceSection(source=people.name, query=PEOPLE), people.parent)
    rows = [row for chunk in source.chunks() for row in chunk.rows]
    assert source.columns == ("email", "n", "price", "day", "tags")
    assert rows == [
        ["a@example.com", 1, "12.50", dt.date(2026, 1, 2), ["x", "y"]],
        ["c@example.com", str(2**60), "0.10", None, None],
        ["b@example.com", None, None, None, []],
    ]
    assert rows == [row for chunk in source.chunks() for row in chunk.rows], "a source is read more than once"


@pytest.mark.parametrize("name", ["list.duckdb", "list.DDB"])
def test_a_file_is_named_by_its_path_and_its_parameters_are_bound(people: Path, name: str) -> None:
    people.rename(people.parent / name)
    query = "SELECT email, ':other' AS said FROM people WHERE n = :n AND day::DATE = :day"
    plan = frozen(people.parent, source=name, query=query, parameters={"n": 1, "day": "2026-01-02", "other": 3})
    assert [one.row for one in plan.recipients()] == [{"email": "a@example.com", "said": ":other"}]


def test_a_file_is_a_suppression_list(people: Path) -> None:
    (people.parent / "people.csv").write_text("email\na@example.com\nz@example.com\n")
    plan = frozen(people.parent, source="people.csv", suppress=["list.duckdb"], suppress_query=PEOPLE)
    assert (plan.books.planned, plan.books.suppressed) == (1, 1)


def test_chunks_are_small_however_many_rows_there_are(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_file, "FETCHED", 2)
    source = open_rows(AudienceSection(source=people.name, query=PEOPLE), people.parent)
    assert [(len(chunk.rows), chunk.lines) for chunk in source.chunks()] == [(2, [1, 2]), (1, [3])]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM people RETURNING *",
        "COPY people TO 'out.csv'",
        "SELECT * FROM read_csv('secret.csv')",
        "ATTACH 'other.duckdb'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ],
)
def test_a_statement_changes_nothing_and_reaches_no_other_file(
    people: Path, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(people.parent)
    Path("secret.csv").write_text("email\nsecret@example.com\n")
    before = people.read_bytes()
    with pytest.raises(InputError, match="did not answer the query") as caught:
        frozen(people.parent, source=people.name, query=query)
    assert caught.value.evidence
    assert people.read_bytes() == before
    assert {path.name for path in people.parent.iterdir()} <= {people.name, "secret.csv"}


def test_a_query_that_takes_too_long_is_ended(people: Path) -> None:
    began = time.monotonic()
    endless = "SELECT count(*) AS email FROM range(1000000000000) a, range(1000000000000) b"
    with pytest.raises(InputError, match="did not answer the query") as caught:
        frozen(people.parent, source=people.name, query=endless, statement_timeout="50ms")
    assert "statement_timeout" in caught.value.next_step
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("settings", "kind", "what"),
    [
        ({"source": "list.duckdb"}, ConfigError, "no audience.query"),
        ({"source": "text.duckdb", "query": PEOPLE}, InputError, "did not answer the query"),
        ({"source": "list.duckdb", "query": "SELECT * FROM nowhere"}, InputError, "did not answer the query"),
        ({"source": "nowhere.duckdb", "query": PEOPLE}, InputError, "cannot be opened"),
        ({"source": "list.duckdb", "query": "SELECT n FROM people"}, ConfigError, "no column 'email'"),
    ],
)
def test_each_mistake_ends_in_a_sentence(
    people: Path, settings: dict[str, str], kind: type[CampaignError], what: str
) -> None:
    (people.parent / "text.duckdb").write_text("email\na@example.com\n" * 1000)
    with pytest.raises(kind, match=what) as caught:
        open_source(AudienceSection(**settings), people.parent)
    assert caught.value.next_step
    assert not (people.parent / "nowhere.duckdb").exists()


def test_a_missing_library_names_its_extra(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigError, match="DuckDB files need a library") as caught:
        open_source(AudienceSection(source=people.name, query=PEOPLE), people.parent)
    assert "[duckdb]" in caught.value.next_step


def test_casts_are_no_parameters_and_only_known_names_are_bound() -> None:
    assert bound("""SELECT a::text, ':b', ":b", :b, :c""", {"b": 1}) == (
        """SELECT a::text, ':b', ":b", $b, :c""",
        {"b": 1},
    )
