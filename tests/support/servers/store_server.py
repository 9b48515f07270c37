"""A PostgreSQL server as the store of several machines: fsync on, stopped, killed and started again at will."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psycopg

from tests.support.servers.databases import database_folder, free_port, needed_program, run_program

Way = Literal["smart", "fast", "immediate", "kill"]
#: A folder in memory, where a server's many small files are made and removed at once; kills lose nothing there.
QUICK = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}

#: What a server that is starting answers, or does.
_NOT_YET = ("refused", "starting up", "recovery", "closed the connection")


class StoreServer:
    """One server, trusted on loopback. ``options`` are given to it at each start, as ``name=value``."""

    def __init__(self, folder: Path, prefix: list[str], options: tuple[str, ...] = ()) -> None:
        self.folder, self.data, self.port = folder, folder / "data", free_port()
        self._prefix, self._server, self._options = prefix, needed_program("postgres"), options
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)

    def initialise(self) -> None:
        told = ["-A", "trust", "-U", "postgres", "-N", "-E", "UTF8", "--no-locale"]
        run_program([*self._prefix, needed_program("initdb"), "-D", str(self.data), *told])

    def start(self) -> None:
        """Start, and return when it answers."""
        settings = [f"port={self.port}", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1"]
        command = [*self._prefix, self._server, "-D", str(self.data)]
        for one in (*settings, "max_connections=200", *self._options):
            command += ["-c", one]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
                if not any(early in str(error).lower() for early in _NOT_YET):
                    raise
            else:
                return

    def stop(self, way: Way = "fast") -> None:
        """End the server, and wait for it. ``kill`` is what the kernel does when memory runs out."""
        if self._process is None:
            return
        if way == "kill":  # its children go with it, or the next start would refuse
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        self._process.send_signal(_SIGNALS[way])
        self._process.wait()
        self._process = None

    def standby(self) -> StoreServer:
        """A copy of this stopped server, as a standby that gets nothing any more; `promote` it once it is started."""
        found = StoreServer(self.folder, self._prefix, self._options)
        found.data = self.folder / "standby"
        run_program([*self._prefix, "cp", "-a", str(self.data), str(found.data)])
        run_program([*self._prefix, "touch", str(found.data / "standby.signal")])
        return found

    def promote(self) -> None:
        """Make a standby the primary; it begins a timeline of its own."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"store{next(self._names)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@contextlib.contextmanager
def store_server(*options: str, below: Path | None = QUICK) -> Iterator[StoreServer]:
    """A running server of its own, its files ``below`` a folder; gone when the block ends."""
    needed_program("initdb")
    with database_folder("postgres", below) as (folder, prefix):
        server = StoreServer(folder, prefix, options)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
