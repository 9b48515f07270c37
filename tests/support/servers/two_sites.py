"""Two sites as network namespaces with a wire between them that can be cut, and a PostgreSQL server in each.

A thread that is `inside` a site opens its sockets and starts its processes there. Making namespaces takes root.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import trustme

from tests.support.servers.databases import database_folder, needed_program, run_program
from tests.support.servers.store_server import QUICK, StoreServer

_NETWORK = 0x40000000  # CLONE_NEWNET
_numbers = itertools.count()
#: What each server is started with: reached over TLS alone, and able to follow one that was promoted.
OPTIONS = ("listen_addresses=*", "ssl=on", "wal_log_hints=on", "wal_keep_size=256MB")


class Site(NamedTuple):
    """A namespace, and its address on the wire."""

    name: str
    address: str

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """New sockets and processes of this thread are in the site while the block runs."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as there:  # noqa: PTH123
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


class Wire:
    """A bridge in a namespace of its own, to which the sites are plugged."""

    def __init__(self, name: str) -> None:
        self._name = name

    def plug(self, site: Site, port: str) -> None:
        _ip("-n", self._name, "link", "add", "name", port, "type", "veth", "peer", "name", "wire", "netns", site.name)
        _ip("-n", site.name, "address", "add", f"{site.address}/24", "dev", "wire")
        _ip("-n", site.name, "link", "set", "wire", "up")
        _ip("-n", self._name, "link", "set", port, "master", "bridge", "up")

    def cut(self) -> None:
        """What either site says to the other vanishes from now on; neither is told."""
        _ip("-n", self._name, "link", "set", "port-a", "nomaster")

    def mend(self) -> None:
        _ip("-n", self._name, "link", "set", "port-a", "master", "bridge")


def _ip(*words: str) -> None:
    run_program(["ip", *words])


@contextlib.contextmanager
def two_sites() -> Iterator[tuple[Site, Site, Wire]]:
    """Two sites with a wire; gone when the block ends. Skips the test where there can be none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and ip (iproute2)")
    base = f"campaign-{os.getpid()}-{next(_numbers)}"
    one, two, wire = Site(f"{base}-a", "10.77.0.1"), Site(f"{base}-b", "10.77.0.2"), f"{base}-wire"
    with contextlib.ExitStack() as made:
        for name in (one.name, two.name, wire):
            done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")
            made.callback(_ip, "netns", "delete", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", wire, "link", "add", "name", "bridge", "up", "type", "bridge")
        between = Wire(wire)
        between.plug(one, "port-a")
        between.plug(two, "port-b")
        yield one, two, between


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
