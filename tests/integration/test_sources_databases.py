"""Rows from real databases: streamed, read-only, bounded, exact; and every fault ends without a plan."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.database import PASSWORD
from campaign.audience.sources.source_factory import open_source
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError
from campaign.model import Books
from tests.support.servers import databases

ROWS = 30_000
COLUMNS = "(id INT PRIMARY KEY, email VARCHAR(100), name VARCHAR(100), price DECIMAL(8, 2), since DATE)"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[sa.Engine]:
    yield from map(filled, databases.postgresql())


@pytest.fixture(scope="module")
def mariadb() -> Iterator[sa.Engine]:
    yield from map(filled, databases.mariadb())


def filled(engine: sa.Engine) -> sa.Engine:
    """The server with a table ``untouched`` of `ROWS` rows."""
    rows = [
        {"id": n, "email": f"p{n}@example.com", "name": "Zoë 你好", "price": n / 4, "since": "2026-01-02"}
        for n in range(ROWS)
    ]
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE untouched {COLUMNS}")
        connection.execute(sa.text("INSERT INTO untouched VALUES (:id, :email, :name, :price, :since)"), rows)
    return engine


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    """A database server with a table ``people`` of `ROWS` rows, as a copy made by the server: a test may change it."""
    engine: sa.Engine = request.getfixturevalue(request.param)
    monkeypatch.setenv(PASSWORD, databases.SECRET)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS people")
        connection.exec_driver_sql(f"CREATE TABLE people {COLUMNS}")
        connection.exec_driver_sql("INSERT INTO people SELECT * FROM untouched")
    return engine


def settings(engine: sa.Engine, query: str = "SELECT * FROM people ORDER BY id", **given: object) -> AudienceSection:
    scheme = "postgresql" if engine.dialect.name == "postgresql" else "mysql"
    source = f"{scheme}://reader@127.0.0.1:{databases.port_of(engine)}/{engine.url.database}"
    return AudienceSection(source=source, query=query, **given)  # type: ignore[arg-type]


def frozen(folder: Path, one: AudienceSection) -> Plan:
    return freeze(one, folder, folder, suppression=Suppression.load(one, folder))


def test_all_rows_arrive_once_in_order_with_their_types(server: sa.Engine, tmp_path: Path) -> None:
    plan = frozen(tmp_path, settings(server))
    assert plan.books == Books(read=ROWS, planned=ROWS)
    assert [one.row["id"] for one in plan.recipients()] == list(range(ROWS))
    assert plan.recipient(50).row == {
        "id": 50,
        "email": "p50@example.com",
        "name": "Zoë 你好",
        "price": "12.50",
        "since": date(2026, 1, 2),
    }
    assert plan.recipient(50).line == 51


def test_parameters_are_bound_and_never_part_of_the_statement(server: sa.Engine, tmp_path: Path) -> None:
    one = settings(
        server, "SELECT * FROM people WHERE name = :name OR id < :n", parameters={"name": "x' OR '1'='1", "n": 3}
    )
    assert frozen(tmp_path, one).size == 3


def test_the_password_may_stand_in_a_file(server: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD)
    with pytest.raises(ConfigError, match="wants a password"):
        open_source(settings(server), tmp_path)
    (tmp_path / "secret").write_text(databases.SECRET + "\n")
    with pytest.raises(ConfigError, match="can be read by others"):
        open_source(settings(server, password_file="secret"), tmp_path)
    (tmp_path / "secret").chmod(0o600)
    assert open_source(settings(server, password_file="secret"), tmp_path).columns[0] == "id"
    with pytest.raises(ConfigError, match="cannot be read"):
        open_source(settings(server, password_file="nowhere"), tmp_path)


def test_the_password_is_in_no_message_and_no_file(server: sa.Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_source(settings(server, "SELECT nonsense"), tmp_path)
    plan = frozen(tmp_path, settings(server, "SELECT * FROM people WHERE id = 1"))
    assert databases.SECRET not in f"{caught.value!r} {caught.value} {plan}"
    assert all(databases.SECRET not in path.read_text() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM people", "UPDATE people SET name = 'x'", "DROP TABLE people", "INSERT INTO people (id) VALUES (-1)"],
)
def test_a_statement_that_writes_is_refused(server: sa.Engine, tmp_path: Path, statement: str) -> None:
    with pytest.raises((InputError, ConfigError), match="database"):
        frozen(tmp_path, settings(server, statement))
    assert count(server) == ROWS


def test_a_statement_that_takes_too_long_is_ended_by_the_server(server: sa.Engine, tmp_path: Path) -> None:
    asleep = "pg_sleep(30)" if server.dialect.name == "postgresql" else "SLEEP(30)"
    with pytest.raises(InputError, match="did not answer"):
        frozen(tmp_path, settings(server, f"SELECT email, {asleep} FROM people", statement_timeout="1s"))
    assert nothing_left(tmp_path)


def test_an_answer_of_no_rows_is_no_plan(server: sa.Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no rows"):
        frozen(tmp_path, settings(server, "SELECT * FROM people WHERE id < 0"))
    assert nothing_left(tmp_path)


def test_rows_that_change_meanwhile_do_not_show(server: sa.Engine, tmp_path: Path) -> None:
    one = settings(server)

    def change() -> None:
        with server.begin() as connection:
            connection.exec_driver_sql("UPDATE people SET name = 'late'")
            connection.exec_driver_sql("DELETE FROM people WHERE id >= 25000")
            connection.exec_driver_sql("INSERT INTO people (id, email) VALUES (99999, 'new@example.com')")

    source = open_source(one, tmp_path)
    chunks = source.chunks()
    names = [row[2] for row in next(chunk for chunk in chunks if chunk.rows).rows]
    if (
        server.dialect.name == "postgresql"
    ):  # MariaDB's reader would hold the table's metadata lock only: rows may change
        change()
    else:
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
    names += [row[2] for chunk in chunks for row in chunk.rows]
    assert names == ["Zoë 你好"] * ROWS


@pytest.mark.parametrize("when", [1, 2])
def test_a_connection_that_dies_in_the_middle_leaves_no_plan(server: sa.Engine, tmp_path: Path, when: int) -> None:
    wide = "SELECT p.*, REPEAT('x', 1000) AS filler FROM people p ORDER BY id"

    def kill(read: int) -> None:
        if read == when * 10_000:
            kill_readers(server)

    one = settings(server, wide)
    with pytest.raises(InputError, match="did not answer"):
        freeze(one, tmp_path, tmp_path, suppression=Suppression(), progress=kill)
    assert nothing_left(tmp_path)


def test_memory_stays_flat_however_large_the_answer(server: sa.Engine, tmp_path: Path) -> None:
    wide = "SELECT p.*, REPEAT('x', 2000) AS filler FROM people p"
    open_source(settings(server), tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = sum(len(chunk.rows) for chunk in open_source(settings(server, wide), tmp_path).chunks())
    assert seen == ROWS
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 40, f"{grown:.0f} MB"  # the answer is over 60 MB on the wire alone, and twice that in memory


def test_an_answer_that_nobody_reads_to_its_end_is_let_go_of(server: sa.Engine, tmp_path: Path) -> None:
    for _ in range(3):
        open_source(settings(server), tmp_path)
        next(open_source(settings(server), tmp_path).chunks())
    assert readers(server) == 0


def test_two_columns_of_one_name_are_told(server: sa.Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one name each"):
        open_source(settings(server, "SELECT email, name, name FROM people"), tmp_path)


def test_a_suppression_list_may_be_a_query(server: sa.Engine, tmp_path: Path) -> None:
    url = settings(server).source
    one = settings(server, suppress=[url], suppress_query="SELECT UPPER(email) AS email FROM people WHERE id < 7")
    assert frozen(tmp_path, one).books == Books(read=ROWS, suppressed=7, planned=ROWS - 7)


def test_a_server_that_is_down_is_told(tmp_path: Path, unused: Callable[[], int]) -> None:
    for scheme in ("postgresql", "mysql"):
        one = AudienceSection(source=f"{scheme}://reader@127.0.0.1:{unused()}/crm", query="SELECT 1 AS email")
        with pytest.raises(InputError, match="did not answer") as caught:
            frozen(tmp_path, one)
        assert "refused" in caught.value.evidence[0].lower()
    assert nothing_left(tmp_path)


def test_values_of_postgresql_types_are_plain(
    postgresql: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, databases.SECRET)
    query = """
        SELECT 'a@example.com' AS email, '[1, {"a": null}]'::jsonb AS j, ARRAY['x', 'y'] AS list,
            1.50::numeric AS price, '2026-01-02 03:04+00'::timestamptz AS at, true AS yes, NULL AS no,
            '00000000-0000-0000-0000-000000000005'::uuid AS id
    """
    row = frozen(tmp_path, settings(postgresql, query)).recipient(0).row
    assert row == {
        "email": "a@example.com",
        "j": [1, {"a": None}],
        "list": ["x", "y"],
        "price": "1.50",
        "at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "id": "00000000-0000-0000-0000-000000000005",
        "yes": True,
        "no": None,
    }


def test_sqlite_is_read_relative_to_the_campaign_file_and_never_written(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "crm.db")) as database, database:
        database.execute("CREATE TABLE people (email TEXT, n INTEGER)")
        database.executemany("INSERT INTO people VALUES (?, ?)", [(f"p{n}@example.com", n) for n in range(ROWS)])
    one = AudienceSection(source="sqlite:///crm.db", query="SELECT * FROM people WHERE n >= :n", parameters={"n": 10})
    assert frozen(tmp_path, one).books == Books(read=ROWS - 10, planned=ROWS - 10)
    with pytest.raises(InputError, match="did not answer"):
        frozen(tmp_path, one.model_copy(update={"query": "DELETE FROM people WHERE n >= :n"}))
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) AS email FROM c"
    with pytest.raises(InputError, match="did not answer"):
        frozen(tmp_path, one.model_copy(update={"query": endless, "parameters": {}, "statement_timeout": 0.2}))


def test_a_parameter_that_is_not_given_is_a_mistake_of_the_campaign_file(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "crm.db").close()
    with pytest.raises(ConfigError, match="did not answer"):
        open_source(AudienceSection(source="sqlite:///crm.db", query="SELECT :missing AS email"), tmp_path)


@pytest.fixture
def unused() -> Callable[[], int]:
    return databases.free_port


def count(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT COUNT(*) FROM people").scalar_one())


def readers(engine: sa.Engine) -> int:
    """Sessions of the role ``reader`` that are connected."""
    with engine.connect() as connection:
        return len(connection.exec_driver_sql(_SESSIONS[engine.dialect.name]).all())


def kill_readers(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        for (session,) in connection.exec_driver_sql(_SESSIONS[engine.dialect.name]).all():
            ending = (
                f"SELECT pg_terminate_backend({session})" if engine.dialect.name == "postgresql" else f"KILL {session}"
            )
            connection.exec_driver_sql(ending)


_SESSIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE usename = 'reader'",
    "mysql": "SELECT id FROM information_schema.processlist WHERE user = 'reader'",
}


def nothing_left(folder: Path) -> bool:
    return not any(path.name.startswith((".", "plan", "screened")) for path in folder.iterdir())
