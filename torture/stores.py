"""PostgreSQL as the store of several workers: started, stopped in four ways, followed by a synchronous standby."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

WAYS = ("fast", "immediate", "kill")
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}
#: Where Debian keeps what is not on the path; and where files go, as kills lose nothing in memory.
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
_BELOW = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def installed() -> bool:
    """Whether there is a PostgreSQL to start."""
    return shutil.which("initdb", path=_PLACES) is not None


class Store:
    """One server with fsync on, trusted on loopback. ``close`` ends it and removes its files."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="torture-store-", dir=_BELOW))
        self.data, self.port, self._options = self.folder / "data", _free_port(), options
        self._prefix: list[str] = []
        if os.geteuid() == 0:  # which a database server refuses to be
            shutil.chown(self.folder, "postgres")
            self._prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        self._process: subprocess.Popen[bytes] | None = None
        self._names = 0

    def initialise(self) -> Store:
        """A new, empty server that runs."""
        self._tool("initdb", "-D", str(self.data), "-A", "trust", "-U", "postgres", "-N", "-E", "UTF8", "--no-locale")
        with (self.data / "pg_hba.conf").open("a", encoding="ascii") as file:
            file.write("host replication all 127.0.0.1/32 trust\n")
        self.start()
        return self

    def follow(self, primary: Store) -> Store:
        """A standby of ``primary`` that runs."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
        self._tool("pg_basebackup", "-D", str(self.data), "-d", source, "-R", "-c", "fast", "-X", "stream")
        self.start()
        return self

    def start(self) -> None:
        """Start, and return when it answers."""
        settings = [
            f"port={self.port}", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1",
            "max_connections=200", "fsync=on", "shared_buffers=16MB", *self._options,
        ]  # fmt: skip
        command = [*self._prefix, _program("postgres"), "-D", str(self.data)]
        for one in settings:
            command += ["-c", one]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        end = time.monotonic() + 60.0
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, way: str = "fast") -> None:
        """End it and wait. ``kill`` takes its children along, as a loss of power would."""
        if self._process is None:
            return
        if way == "kill":
            self.signal(signal.SIGKILL)
        self._process.send_signal(_SIGNALS[way])
        self._process.wait()
        self._process = None

    def signal(self, number: int) -> None:
        """A signal to the server and all its children."""
        assert self._process is not None
        pid = self._process.pid  # setpriv has become the server
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), number)
        os.kill(pid, number)

    def promote(self) -> None:
        """From standby to primary."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 60)")

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def url(self, database: str, *ports: int) -> str:
        """The address of a database; ``ports``: of other ways to it than the straight one."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports or (self.port,))
        return f"postgresql://postgres@{hosts}/{database}"

    def database(self) -> str:
        """The name of a new, empty database."""
        self._names += 1
        name = f"store{self._names}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return name

    def close(self) -> None:
        """End it, and remove its files."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tool(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._prefix, _program(name), *arguments], capture_output=True, check=False, cwd="/",
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()


def _program(name: str) -> str:
    found = shutil.which(name, path=_PLACES)
    assert found is not None, f"{name} is not installed"
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
