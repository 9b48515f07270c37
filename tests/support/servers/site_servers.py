"""A PostgreSQL server in each of two sites: a primary, and its standby."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import trustme

from tests.support.servers.databases import database_folder, needed_program, run_program
from tests.support.servers.sites import Site
from tests.support.servers.store_server import QUICK, StoreServer

#: What each server is started with: reached over TLS alone, and able to follow one that was promoted.
OPTIONS = ("listen_addresses=*", "ssl=on", "wal_log_hints=on", "wal_keep_size=256MB")


class SiteServer(StoreServer):
    """A server in a site. We speak to it through its socket, from wherever we are."""

    def __init__(self, site: Site, folder: Path, prefix: list[str], authority: trustme.CA) -> None:
        certificate, key = folder / "server.pem", folder / "server.key"
        own_home = ["--reset-env"] if prefix else []  # where libpq may look for certificates
        super().__init__(
            folder, [*prefix, *own_home], (*OPTIONS, f"ssl_cert_file={certificate}", f"ssl_key_file={key}")
        )
        self.site = site
        issued = authority.issue_cert(site.address)
        issued.private_key_pem.write_to_path(str(key))
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        key.chmod(0o600)
        for path in (certificate, key):
            shutil.chown(path, folder.owner(), folder.group())

    def initialise(self) -> None:
        super().initialise()
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("hostssl all,replication all 10.77.0.0/24 trust\n")

    def start(self) -> None:
        with self.site.inside():
            super().start()

    def follow(self, primary: SiteServer) -> None:
        """Begin as a standby of ``primary``, from a backup of it."""
        with self.site.inside():
            shutil.rmtree(self.data, ignore_errors=True)
            self._tool("pg_basebackup", "-D", str(self.data), "-d", self._source(primary), "-R", "-c", "fast")
        self.start()

    def rejoin(self, primary: SiteServer) -> None:
        """Turn back to where ``primary`` was promoted, and follow it."""
        primary.ask(
            "CHECKPOINT"
        )  # until there is one, pg_rewind of PostgreSQL 15 sees no promotion, and turns nothing back
        with self.site.inside():
            self._tool("pg_rewind", "-D", str(self.data), f"--source-server={self._source(primary)}", "-R")
        self.start()

    def _source(self, primary: SiteServer) -> str:
        where = f"host={primary.site.address} port={primary.port} user=postgres dbname=postgres sslmode=require"
        return f"{where} application_name={self.site.name}"

    def _tool(self, name: str, *words: str) -> None:
        run_program([*self._prefix, needed_program(name), *words])

    def from_anywhere(self, database: str) -> str:
        """The address of a database by the server's socket; `url` is good inside the site only."""
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}"

    def ask(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows that a statement returns."""
        with psycopg.connect(self.from_anywhere(database), autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def commits_wait_for(self, standby: SiteServer) -> bool:
        """Let each commit wait for ``standby``; whether that is there already."""
        self.ask(f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (\"{standby.site.name}\")'")
        self.ask("SELECT pg_reload_conf()")
        return self.ask(
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
        ) == [(1,)]

    def promote(self) -> None:
        """From standby to primary."""
        assert self.ask("SELECT pg_promote(true, 60)") == [(True,)]


@contextlib.contextmanager
def servers_in(one: Site, two: Site, authority: trustme.CA) -> Iterator[tuple[SiteServer, SiteServer]]:
    """A primary in ``one`` whose standby is in ``two``."""
    with (
        database_folder("postgres", QUICK) as (here, prefix),
        database_folder("postgres", QUICK) as (there, _),
    ):
        primary, standby = (SiteServer(site, folder, prefix, authority) for site, folder in ((one, here), (two, there)))
        try:
            primary.initialise()
            primary.start()
            standby.follow(primary)
            yield primary, standby
        finally:
            standby.stop("immediate")
            primary.stop("immediate")


def address_of_both(primary: SiteServer, standby: SiteServer, authority: Path) -> str:
    """The store's address with both servers; ``authority``: the file of whom to trust."""
    hosts = f"{primary.site.address}:{primary.port},{standby.site.address}:{standby.port}"
    return f"postgresql://postgres@{hosts}/campaign?sslrootcert={authority}"
