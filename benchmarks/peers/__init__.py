"""What a user would otherwise pick: each does the whole job, from the CSV file to the sink.

A peer says how it is installed, what it cannot do, and which command sends a list. Installs go into a cache folder
outside the repository, with the ordinary clients of their registries; a peer that cannot be installed is skipped with
its reason. Nothing is measured here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks import ours, rows
from campaign.compose.html.css.css_inliner import Styles

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "campaign-benchmarks"
Command = list[str]


class Missing(Exception):  # noqa: N818 - a reason to skip, not an error
    """Why a peer cannot run here."""


@dataclass(frozen=True)
class Peer:
    """``command`` lays out what is needed in a folder and returns what to run there. Raises Missing.

    ``lacks`` is for the table: what it does not do that we do. ``inlines``: styles are moved into the elements.
    """

    key: str
    title: str
    lacks: str
    command: Callable[[Path, int, int], Command]
    inlines: bool = True


def python() -> Path:
    """The interpreter of the peers' own environment, made at first use. Raises Missing."""
    return _python(CACHE / "python")


@cache
def _python(place: Path) -> Path:
    interpreter, stamp = place / "bin" / "python", place / "installed"
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        _do([sys.executable, "-m", "venv", str(place)])
        pip = [str(interpreter), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        _do([*pip, "-r", str(HERE / "requirements.txt")])
        stamp.write_text(wanted, encoding="utf-8")
    return interpreter


@cache
def node() -> tuple[str, Path]:
    """Node and the folder with its modules and the script, installed at first use. Raises Missing."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if not program or not npm:
        raise Missing("node and npm are not installed")
    place, source = CACHE / "nodemailer", HERE / "nodemailer"
    place.mkdir(parents=True, exist_ok=True)
    stamp, wanted = place / "installed", (source / "package-lock.json").read_text(encoding="utf-8")
    for file in source.iterdir():
        if file.is_file():
            shutil.copy(file, place)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        _do([npm, "ci", "--no-audit", "--no-fund"], place)
        stamp.write_text(wanted, encoding="utf-8")
    return program, place


@cache
def go() -> Path:
    """The sender in Go, built at first use, with the toolchain's standard library alone. Raises Missing."""
    program, source = shutil.which("go"), HERE / "go" / "main.go"
    if not program:
        raise Missing("go is not installed")
    place = CACHE / "go" / hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    sender = place / "sender"
    if not sender.exists():
        place.mkdir(parents=True, exist_ok=True)
        _do([program, "build", "-o", str(sender), str(source)])
    return sender


def _do(command: Command, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Missing(f"{' '.join(command[:4])} … failed: {said[-1][:200]}")


def versions() -> dict[str, str]:
    """Versions of what the peers are made of, as far as they are installed."""
    found = {}
    for line in (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        if version and name in {"aiosmtplib", "emails", "Jinja2", "mailmerge", "premailer"}:
            found[name] = version
    modules = json.loads((HERE / "nodemailer" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name in ("nodemailer", "nunjucks", "juice"):
        found[name] = modules[f"node_modules/{name}"]["version"]
    if program := shutil.which("node"):
        found["node"] = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False
        ).stdout.strip()
    if program := shutil.which("go"):
        said = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout.split()
        found["go"] = " ".join(said[2:3]).removeprefix("go")
    return found


def _csv(folder: Path, count: int) -> Path:
    path = folder / "recipients.csv"
    return path if path.exists() else rows.write_csv(path, count)


def _plain(way: str, *further: str) -> Callable[[Path, int, int], Command]:
    def command(folder: Path, port: int, count: int) -> Command:
        arguments = [str(_csv(folder, count)), str(ours.REFERENCE), str(port), way, *further]
        return [str(python()), str(HERE / "plain.py"), *arguments]

    return command


def _python_emails(folder: Path, port: int, count: int) -> Command:
    return [str(python()), str(HERE / "python_emails.py"), str(_csv(folder, count)), str(ours.REFERENCE), str(port)]


def _nodemailer(folder: Path, port: int, count: int) -> Command:
    program, place = node()
    return [program, str(place / "send.mjs"), str(_csv(folder, count)), str(ours.REFERENCE), str(port)]


def _go(*environment: str) -> Callable[[Path, int, int], Command]:
    def command(folder: Path, port: int, count: int) -> Command:
        sender = go()
        write_go_templates(folder)
        return ["env", *environment, str(sender), str(_csv(folder, count)), str(folder), str(port)]

    return command


def write_go_templates(folder: Path) -> None:
    """The reference templates in Go's syntax, with the styles inlined beforehand, as one writes them for listmonk."""
    for name in ("newsletter.html", "newsletter.txt"):
        source = (ours.REFERENCE / f"{name}.j2").read_text(encoding="utf-8")
        if name.endswith("html"):
            source = Styles(ours.REFERENCE, (ours.REFERENCE,), "premailer").inline(source)
        for jinja, its in _GO_SYNTAX.items():
            source = re.sub(jinja, its, source)
        (folder / f"{name}.tpl").write_text(source, encoding="utf-8")


_GO_SYNTAX = {  # in this order: what the later ones write looks like a value
    r"\{\{ (?:item\.)?(\w+) \}\}": r"{{ .\1 }}",
    r'\{% if (\w+) == ("\w+") %\}': r"{{ if eq .\1 \2 }}",
    r"\{% else %\}": "{{ else }}",
    r"\{% for item in (\w+) %\}": r"{{ range .\1 }}",
    r"\{% end(?:if|for) %\}": "{{ end }}",
}


def _mailmerge(folder: Path, port: int, count: int) -> Command:
    interpreter = python()
    write_mailmerge(folder, port, count)
    files = ["--template", "template.txt", "--database", "flat.csv", "--config", "server.conf"]
    return [str(interpreter.parent / "mailmerge"), "--no-dry-run", "--no-limit", *files]


def write_mailmerge(folder: Path, port: int, count: int) -> None:
    """Its three files. It knows only texts, so that the loop runs over pairs of columns; it escapes nothing."""
    pairs = ", ".join(f"(title{n}, price{n})" for n in range(1, rows.ITEMS + 1))
    template = (HERE / "mailmerge_template.txt").read_text(encoding="utf-8")
    for mark, name in (("@TEXT@", "newsletter.txt.j2"), ("@HTML@", "newsletter.html.j2")):
        body = (ours.REFERENCE / name).read_text(encoding="utf-8").strip()
        body = body.replace("for item in items", f"for title, price in [{pairs}]")
        template = template.replace(mark, body.replace("item.title", "title").replace("item.price", "price"))
    (folder / "template.txt").write_text(template, encoding="utf-8")
    (folder / "server.conf").write_text(f"[smtp_server]\nhost = 127.0.0.1\nport = {port}\n", encoding="utf-8")
    if not (folder / "flat.csv").exists():
        rows.write_flat_csv(folder / "flat.csv", count)


OURS = Peer(
    "campaign",
    "campaign",
    "",
    lambda folder, port, count: ours.send_command(ours.Setup().lay_out(folder, port, count)),
)
NODEMAILER = Peer("nodemailer", "nodemailer, nunjucks, juice once, pool of 20", "no resume, no record", _nodemailer)
AIOSMTPLIB = Peer(
    "plain", "plain Python, premailer per row, aiosmtplib, 20 connections", "no resume, no record", _plain("aiosmtplib")
)
SMTPLIB = Peer(
    "smtplib", "plain Python, premailer per row, smtplib, one connection", "no resume, no record", _plain("smtplib")
)
MAILMERGE = Peer(
    "mailmerge",
    "mailmerge",
    "no inlining, no escaping, a connection per message, resume by hand",
    _mailmerge,
    inlines=False,
)
EMAILS = Peer("emails", "python-emails, premailer per row", "no resume, no record, one connection", _python_emails)
GO_LACKS = "no resume, no record, no inlining while it runs"
GO = Peer("go", "Go's standard library, as listmonk sends, pool of 20", GO_LACKS, _go())
GO_ONE = Peer("go_one", "the same Go on one core (GOMAXPROCS=1)", GO_LACKS, _go("GOMAXPROCS=1"))
REMEMBERING = Peer("remembering", "plain Python with a file of the delivered", "", _plain("aiosmtplib", "delivered"))
READY = Peer("ready", "aiosmtplib alone, one ready letter, 20 connections", "renders nothing", _plain("ready"))
PEERS = (NODEMAILER, GO, GO_ONE, AIOSMTPLIB, SMTPLIB, MAILMERGE, EMAILS)
