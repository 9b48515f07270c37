"""What the page on scale gives a database's administrator to type, as it stands there, on a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from campaign.ledger.postgres.schema import ensure_schema
from campaign.system.postgres import connect, store_address
from tests.support.servers.store_server import StoreServer, store_server

PAGE = (Path(__file__).parents[2] / "docs/scale.md").read_text(encoding="utf-8")
BLOCKS = [block.replace("…", "geheim") for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)]
Connection = psycopg.Connection[tuple[object, ...]]


def type_in(connection: Connection, block: str) -> None:
    for statement in filter(str.strip, re.sub(r" --.*", "", block).split(";")):
        connection.execute(statement)  # type: ignore[call-overload]


def block_with(word: str) -> str:
    [found] = [block for block in BLOCKS if word in block]
    return found


@pytest.fixture(scope="module")
def administered() -> Iterator[StoreServer]:
    """A server of its own, as roles are of all databases, on which the page's role and database were made."""
    with store_server() as server:
        with administrator(server, "postgres") as connection:
            type_in(connection, block_with("CREATE DATABASE"))
        with connect(store_address(server.url("campaign", "campaign"))) as worker:
            ensure_schema(worker)
        yield server


def administrator(server: StoreServer, database: str = "campaign") -> Connection:
    return psycopg.connect(server.url(database), autocommit=True)


def test_the_role_needs_no_more_rights_and_may_lose_that_to_make_schemas(administered: StoreServer) -> None:
    [granted] = re.findall(r"`(GRANT CREATE ON DATABASE crm TO campaign)`", PAGE)
    [revoked] = re.findall(r"`(REVOKE CREATE ON DATABASE crm FROM campaign)`", PAGE)
    with administrator(administered, "postgres") as connection:
        connection.execute("CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8'")
        type_in(connection, granted)
    for after in (revoked, "SELECT 1"):
        with connect(store_address(administered.url("crm", "campaign"))) as worker:
            ensure_schema(worker)
        with administrator(administered, "postgres") as connection:
            type_in(connection, after)


def test_the_role_of_a_dashboard_reads_no_addresses(administered: StoreServer) -> None:
    with administrator(administered) as connection:
        type_in(connection, block_with("campaign_watch"))
        tables = {
            name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'campaign'")
        }
    readable = set()
    with psycopg.connect(administered.url("campaign", "campaign_watch"), autocommit=True) as dashboard:
        for table in sorted(map(str, tables)):
            try:
                type_in(dashboard, f"SELECT * FROM campaign.{table}")
            except psycopg.errors.InsufficientPrivilege:
                continue
            readable.add(table)
    assert readable == {"edition", "run", "shard", "worker"}
    assert tables >= {"file", "segment", "feedback_event"}


def test_runs_of_an_edition_that_is_over_go_with_all_that_they_have_and_no_others(administered: StoreServer) -> None:
    with administrator(administered) as connection:
        for label in ("2026-11", "2026-12"):
            [[edition]] = connection.execute(
                "INSERT INTO campaign.edition (name, label) VALUES ('gazette', %s) RETURNING edition", (label,)
            ).fetchall()
            for stamp, is_open in (("over", False), ("open", True)):
                [[run]] = connection.execute(
                    "INSERT INTO campaign.run (edition, stamp, recipients, shard_size, open, server) "
                    "VALUES (%s, %s, 1, 100, %s, 'x') RETURNING run",
                    (edition, stamp, is_open),
                ).fetchall()
                type_in(
                    connection,
                    f"INSERT INTO campaign.file VALUES ({run}, 'plan.jsonl', 0, 'x');"
                    f"INSERT INTO campaign.shard (run, shard, first, beyond, tally) VALUES ({run}, 1, 0, 1, '{{0}}');"
                    f"INSERT INTO campaign.segment (run, shard, seq, token, data) VALUES ({run}, 1, 1, 1, 'x')",
                )
        type_in(connection, block_with("DELETE FROM campaign.run"))
        left = connection.execute(
            "SELECT label, stamp FROM campaign.run JOIN campaign.edition USING (edition) ORDER BY label, stamp"
        ).fetchall()
        assert left == [("2026-11", "open"), ("2026-11", "over"), ("2026-12", "open")]
        for table in ("file", "shard", "segment"):
            assert connection.execute(f"SELECT count(*) FROM campaign.{table}").fetchone() == (3,), table  # type: ignore[arg-type]


def test_the_page_names_all_tables_and_what_else_is_in_the_schema(administered: StoreServer) -> None:
    [told] = re.findall(r"\*\*What is there\.\*\*(.*?)\n\n", PAGE, re.DOTALL)
    with administrator(administered) as connection:

        def names(query: str) -> set[object]:
            return {name for (name,) in connection.execute(query)}  # type: ignore[arg-type]

        tables = names("SELECT tablename FROM pg_tables WHERE schemaname = 'campaign'")
        triggers = names("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
        extensions = names("SELECT extname FROM pg_extension")
    assert {*map(str, tables)} == set(re.findall(r"`(\w+)`", told)) - {"campaign"}
    assert ("one trigger" in told, len(triggers)) == (True, 1)
    assert ("no extensions" in told, extensions) == (True, {"plpgsql"})
