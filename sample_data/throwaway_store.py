# noqa: INP001 - a folder of data with scripts in it, not a package
# ruff: noqa: S603 - it starts PostgreSQL's own programs
"""A PostgreSQL server for a demonstration: from the distribution's packages, in a folder of its own, gone afterwards.

It listens on a socket in that folder only, and makes the store as an administrator would: a role without special
rights, and a database that the role owns.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Where Debian keeps what is not on the path.
PLACES = os.pathsep.join(
    [
        os.environ.get("PATH", ""),
        "/usr/sbin",
        *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)),
    ]
)
ROLE = "campaign"


class ServerMissingError(Exception):
    """PostgreSQL is not installed here, or does not start; the text says what to do."""


@contextmanager
def throwaway_store() -> Iterator[str]:
    """The URL of a store on a server that runs while the block does. Raises ServerMissingError."""
    programs = {name: _program(name) for name in ("initdb", "pg_ctl", "createuser", "createdb")}
    with tempfile.TemporaryDirectory(prefix="campaign-store-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        become = _as_postgres(folder)

        def run(program: str, *words: str) -> None:
            _run([*become, programs[program], *words], folder)

        data = str(folder / "data")
        run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N", "-E", "UTF8", "--no-locale")
        options = f"-k {folder} -c listen_addresses='' -c max_connections=100"
        run("pg_ctl", "-D", data, "-w", "-o", options, "-l", str(folder / "server.log"), "start")
        try:
            here = ("-h", str(folder), "-U", "postgres")
            run("createuser", *here, "--no-superuser", "--no-createdb", "--no-createrole", ROLE)
            run("createdb", *here, "--owner", ROLE, ROLE)
            yield f"postgresql://{ROLE}@/{ROLE}?host={folder}"
        finally:
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def _program(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    if found is None:
        raise ServerMissingError(
            f"{name} is missing; it comes with PostgreSQL.\n"
            "Next: apt-get install postgresql, or name a database of your own: "
            "make demo-workers STORE=postgresql://campaign@/campaign"
        )
    return found


def _as_postgres(folder: Path) -> list[str]:
    """What to put before a command so that the server does not run as root, which it refuses."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


def _run(command: list[str], folder: Path) -> None:
    with (folder / "commands.log").open("ab") as log:  # not a pipe: the server would hold it open
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", check=False)
    if done.returncode:
        said = (folder / "commands.log").read_text(errors="replace")[-1500:]
        raise ServerMissingError(f"PostgreSQL could not be used: {' '.join(command)}\n{said}\nNext: see what it says")
