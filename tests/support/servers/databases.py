"""PostgreSQL and MariaDB on a free port, from the distribution's packages, gone with the test session."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

#: Where Debian keeps what is not on the path.
PLACES = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
)
SECRET = "correct horse"


def postgresql() -> Iterator[sa.Engine]:
    """A server with a superuser ``postgres`` and a role ``reader`` whose password is `SECRET`."""
    initdb, server = needed_program("initdb"), needed_program("postgres")
    with database_folder("postgres") as (folder, prefix):
        port, data = free_port(), folder / "data"
        secret = folder / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o644)
        run_program(
            [*prefix, initdb, "-D", str(data), "-A", "scram-sha-256", "-U", "postgres", "-N", f"--pwfile={secret}"]
        )
        options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        with (
            _process([*prefix, server, "-D", str(data), *options], folder),
            _engine(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres") as engine,
        ):
            with engine.begin() as connection:
                connection.exec_driver_sql(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
                connection.exec_driver_sql("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO reader")
            yield engine


def mariadb() -> Iterator[sa.Engine]:
    """A server with ``admin`` and ``reader``, both with the password `SECRET`, and a database ``crm``."""
    server, install = needed_program("mariadbd"), needed_program("mariadb-install-db")
    with database_folder("mysql") as (folder, _):
        port, data, setup = free_port(), folder / "data", folder / "setup.sql"
        own = [f"--user={folder.owner()}", f"--datadir={data}"]
        run_program([install, *own, "--auth-root-authentication-method=normal", "--skip-test-db"])
        setup.write_text(
            f"CREATE DATABASE crm CHARACTER SET utf8mb4;\nCREATE USER admin@'127.0.0.1' IDENTIFIED BY '{SECRET}';\n"
            f"GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;\n"
            f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{SECRET}';\nGRANT ALL ON crm.* TO reader@'127.0.0.1';\n"
        )
        setup.chmod(0o644)  # whatever the umask: the server gives up root before it reads this
        options = [f"--port={port}", f"--socket={folder}/s", "--bind-address=127.0.0.1", f"--init-file={setup}"]
        command = [server, "--no-defaults", *own, *options, "--skip-name-resolve", f"--pid-file={folder}/pid"]
        with _process(command, folder), _engine(f"mysql+pymysql://admin@127.0.0.1:{port}/crm") as engine:
            yield engine


def port_of(engine: sa.Engine) -> int:
    assert engine.url.port is not None
    return engine.url.port


@contextlib.contextmanager
def _engine(url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(sa.make_url(url).set(password=SECRET), poolclass=sa.NullPool)
    _await(engine)
    yield engine
    engine.dispose()


def _await(engine: sa.Engine) -> None:
    """Until it answers; anything but a server that is not up yet is an error at once."""
    while True:
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError as error:
            if not any(early in str(error).lower() for early in ("refused", "starting up")):
                raise


@contextlib.contextmanager
def _process(command: list[str], folder: Path) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    try:
        yield
    finally:
        process.send_signal(signal.SIGQUIT if "postgres" in " ".join(command[:6]) else signal.SIGKILL)
        process.wait()


def needed_program(program: str) -> str:
    found = shutil.which(program, path=PLACES)
    return found or pytest.skip(f"{program} is not installed")


@contextlib.contextmanager
def database_folder(user: str, below: Path | None = None) -> Iterator[tuple[Path, list[str]]]:
    """A folder of ``user``'s, and the prefix that runs a command as that user: database servers refuse root.

    Not below pytest's own folder, which it locks for other users.
    """
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=below, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder, []
            return
        shutil.chown(folder, user)
        yield folder, ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def run_program(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, cwd="/")
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
