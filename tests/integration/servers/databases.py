"""PostgreSQL and MariaDB on a free port, from the distribution's packages, gone with the test session."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

#: Where Debian keeps what is not on the path.
PLACES = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
)
SECRET = "correct horse"


def postgresql(folder: Path) -> Iterator[sa.Engine]:
    """A server with a superuser ``postgres`` and a role ``reader`` whose password is `SECRET`."""
    initdb, control = _needed("initdb"), _needed("pg_ctl")
    port, data = _free_port(), folder / "data"
    as_owner = _as("postgres", folder)
    _run(
        [
            *as_owner,
            initdb,
            "-D",
            str(data),
            "-A",
            "scram-sha-256",
            "-U",
            "postgres",
            "--no-sync",
            f"--pwfile={_secret_file(folder)}",
        ]
    )
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    _run([*as_owner, control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start"])
    try:
        with _engine(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres") as engine:
            with engine.begin() as connection:
                connection.exec_driver_sql(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
                connection.exec_driver_sql("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO reader")
            yield engine
    finally:
        _run([*as_owner, control, "-D", str(data), "-m", "immediate", "stop"])


def mariadb(folder: Path) -> Iterator[sa.Engine]:
    """A server with ``admin`` and ``reader``, both with the password `SECRET`, and a database ``crm``."""
    server, install = _needed("mariadbd"), _needed("mariadb-install-db")
    port, data, owner = (
        _free_port(),
        folder / "data",
        "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name,
    )
    _as(owner, folder)
    _run(
        [install, f"--user={owner}", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    )
    setup = folder / "setup.sql"
    setup.write_text(
        f"CREATE DATABASE crm CHARACTER SET utf8mb4;\nCREATE USER admin@'127.0.0.1' IDENTIFIED BY '{SECRET}';\n"
        f"GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;\n"
        f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{SECRET}';\nGRANT ALL ON crm.* TO reader@'127.0.0.1';\n"
    )
    options = [
        f"--user={owner}",
        f"--datadir={data}",
        f"--port={port}",
        f"--socket={folder}/s",
        "--bind-address=127.0.0.1",
        f"--init-file={setup}",
        "--skip-name-resolve",
        f"--pid-file={folder}/pid",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([server, "--no-defaults", *options], stdout=log, stderr=log)
    try:
        with _engine(f"mysql+pymysql://admin@127.0.0.1:{port}/crm") as engine:
            yield engine
    finally:
        process.kill()
        process.wait()


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
    """Until it answers; anything but a refused connection is an error at once."""
    while True:
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError as error:
            if "refused" not in str(error).lower():
                raise


def _needed(program: str) -> str:
    found = shutil.which(program, path=PLACES)
    return found or pytest.skip(f"{program} is not installed")


def _as(user: str, folder: Path) -> list[str]:
    """The prefix that runs a command as ``user``, who gets ``folder``: database servers refuse root."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, user)
    for parent in folder.parents:
        if parent.owner() == "root" and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def _secret_file(folder: Path) -> Path:
    path = folder / "secret"
    path.write_text(SECRET)
    path.chmod(0o644)
    return path


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, cwd="/")
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
