"""What `pip install .` brings is what a plain run uses, and a plain run needs nothing else."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.stand import clean_environment

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Always there, because lists come as data frames and from databases so often.
CHOSEN = {"pandas", "sqlalchemy"}
#: Brought by a plain dependency too: email-validator needs it.
BROUGHT = {"dnspython"}
#: What the sample campaign has, in two rows: an address beyond ASCII, a date, a style sheet, an unsubscribe link.
LIST = "email,name,day\nada@example.com,Ada,2026-11-24\nzoë@example.org,Zoë,2026-11-25\n"
LETTER = (
    "<html><head><style>p > b {color: red}</style></head><p><b>{{ name }}</b> {{ day|date }} {{ unsubscribe_url }}</p>"
)
CAMPAIGN = """
[campaign]
name = "plain"
from = "News <news@example.com>"
[audience]
source = "people.csv"
[compose]
subject = "For {{ name }}"
html = "plain.html"
unsubscribe = "https://example.com/u/{{ unsubscribe_token }}"
[delivery]
relay = "mailbox"
"""
#: Runs the commands in one process, without the libraries of ``without``; prints what was imported, also what the
#: program took out of ``sys.modules`` again.
SCRIPT = """
import sys
imported = set()
sys.addaudithook(lambda event, told: imported.add(told[0].partition(".")[0]) if event == "import" else None)
from campaign.__main__ import main
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
for command in sys.argv.pop(1).split(";"):
    sys.argv[1:] = command.split()
    try:
        main()
    except SystemExit as end:
        assert end.code in (None, 0), (command, end.code)
print("IMPORTED", *sorted(imported))
"""


def bare(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


EXTRAS = {bare(one) for many in PROJECT["optional-dependencies"].values() for one in many} - {"campaign"} - BROUGHT


@dataclass(frozen=True)
class PlainRun:
    """How check, preview and send of a small campaign ended on a terminal, and which distributions they imported."""

    code: int
    shown: str
    imported: set[str]


def all_of(terminal: int) -> str:
    """What is written to a terminal until its other end is closed."""
    parts = []
    with suppress(OSError):
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    return b"".join(parts).decode(errors="replace")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PlainRun:
    """A run without the libraries of any extra."""
    folder, owners = tmp_path_factory.mktemp("plain"), packages_distributions()
    for name, content in {"people.csv": LIST, "plain.toml": CAMPAIGN, "plain.html": LETTER}.items():
        (folder / name).write_text(content, encoding="utf-8")
    blocked = [module for module, names in owners.items() if {bare(name) for name in names} <= EXTRAS]
    assert {"prometheus_client", "markdown_it", "imapclient"} <= set(blocked)
    ours, theirs = pty.openpty()
    with ThreadPoolExecutor(1) as reader:
        shown = reader.submit(all_of, ours)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, ",".join(blocked), "check plain.toml;preview plain.toml;send plain.toml"],
            cwd=folder, env=clean_environment(), stderr=theirs, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        os.close(theirs)
    os.close(ours)
    modules = done.stdout.rpartition("IMPORTED ")[2].split()
    return PlainRun(
        done.returncode, shown.result(), {bare(name) for module in modules for name in owners.get(module, ())}
    )


def test_check_preview_and_send_need_no_extra(run: PlainRun) -> None:
    assert run.code == 0, run.shown


def test_a_plain_run_imports_every_plain_dependency(run: PlainRun) -> None:
    plain = {bare(one) for one in PROJECT["dependencies"]}
    unused = plain - CHOSEN - run.imported
    assert not unused, f"never imported in a plain run: make an extra of {unused}"
