"""Real servers, each a private instance on a loopback port: smtp-sink, Postfix, Exim, OpenSMTPD, npm's smtp-server.

Each starter is an async context manager that gives the port, or skips with the reason why this machine cannot.
Exim and OpenSMTPD may lie unpacked (``dpkg -x``) in the folders that EXIM_ROOT and OPENSMTPD_ROOT name, because
Debian installs only one mail server at a time; SMTP_SERVER_ROOT is where ``npm install smtp-server`` was run.
What they take in goes on to an oracle of ours (`shelf.Shelf`).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

PATIENCE = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, *, needs_root: bool = False) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    if needs_root and os.geteuid() != 0:
        pytest.skip(f"{name} takes root to start a private instance")
    return found


async def listening(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


async def greeted(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    if (await reader.readline()).startswith(b"220"):
                        writer.write(b"QUIT\r\n")
                        await reader.readline()
                        return
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(*command: str, port: int, greets: bool = True) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await (greeted(port) if greets else listening(port))
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def smtp_sink(*flags: str) -> AsyncIterator[int]:
    sink, port = program("smtp-sink"), free_port()
    privileges = ("-u", "postfix") if os.geteuid() == 0 else ()
    async with running(sink, *privileges, *flags, f"127.0.0.1:{port}", "200", port=port, greets=False):
        yield port


@contextlib.contextmanager
def open_folder(name: str) -> Iterator[Path]:
    """A folder that a server may enter after it has given up root; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def postfix(oracle: int) -> AsyncIterator[int]:
    """Postfix that answers by address (dead@: 550, grey@: 451) and hands the rest on to the oracle."""
    async with postfix_in_folder(oracle) as (port, _):
        yield port


@contextlib.asynccontextmanager
async def postfix_in_folder(oracle: int, settings: str = "", *services: str) -> AsyncIterator[tuple[int, Path]]:
    """The same; gives its port and its folder, which holds its configuration, ``etc``, and its log, ``log``.

    ``settings`` are further lines of main.cf, ``services`` of master.cf.
    """
    command, port = program("postfix", needs_root=True), free_port()
    with open_folder("postfix") as folder:
        etc = _configure_postfix(folder, port, oracle, settings, services)
        started = await asyncio.create_subprocess_exec(
            command, "-c", str(etc), "start", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, said = await started.communicate()
        if started.returncode:
            pytest.skip(f"postfix does not start here: {said.decode(errors='replace')[-300:]}")
        try:
            await greeted(port)
            yield port, folder
        finally:
            stopping = await asyncio.create_subprocess_exec(
                command, "-c", str(etc), "stop", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            await stopping.wait()


def _configure_postfix(folder: Path, port: int, oracle: int, settings: str, services: Sequence[str]) -> Path:
    etc, queue, data = folder / "etc", folder / "queue", folder / "data"
    for one in (etc, queue, data):
        one.mkdir()
        one.chmod(0o755)
    shutil.chown(data, "postfix")
    access = "{ {dead@example.com=550 5.1.1 no such user} {grey@example.com=451 4.7.1 come back later} }"
    (etc / "main.cf").write_text(
        f"""compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
alias_maps =
alias_database =
local_recipient_maps =
myhostname = postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{oracle}
disable_dns_lookups = yes
message_size_limit = 300000
smtpd_recipient_restrictions = check_recipient_access inline:{access}, permit_mynetworks, reject
smtpd_peername_lookup = no
{settings}
"""
    )
    lines = [
        *services,
        f"127.0.0.1:{port} inet n - n - - smtpd",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "smtp unix - - n - - smtp",
        "relay unix - - n - - smtp",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "anvil unix - - n - 1 anvil",
        "scache unix - - n - 1 scache",
        "proxymap unix - - n - - proxymap",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "postlog unix-dgram n - n - 1 postlogd",
    ]
    (etc / "master.cf").write_text("\n".join(lines) + "\n")
    return etc


@contextlib.asynccontextmanager
async def exim(oracle: int, settings: str = "", routers: str = "", transport: str = "") -> AsyncIterator[int]:
    """Exim that answers by address (dead@: 550, grey@: 451) and hands the rest on to the oracle.

    ``settings`` are further main options, ``routers`` come before the last one, ``transport`` further options of SMTP.
    """
    binary, port = unpacked("EXIM_ROOT", "usr/sbin/exim4", "Debian-exim"), free_port()
    with open_folder("exim") as folder:
        (folder / "spool").mkdir()
        shutil.chown(folder / "spool", "Debian-exim", "Debian-exim")
        configuration = folder / "exim.conf"
        configuration.write_text(
            f"""exim_path = {binary}
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
pid_file_path = {folder}/spool/pid
primary_hostname = exim.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts =
smtputf8_advertise_hosts = *
host_lookup =
rfc1413_hosts =
never_users =
keep_environment =
add_environment =
{settings}
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  deny recipients = dead@example.com
       message = 550 5.1.1 no such user
  defer recipients = grey@example.com
       message = 451 4.7.1 come back later
  accept
data:
  accept
begin routers
{routers}
onward:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = {oracle}
  allow_localhost
  hosts_try_fastopen =
{transport}
"""
        )
        async with running(binary, "-C", str(configuration), "-bdf", "-q1h", port=port):
            yield port


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """One at a time, over all processes of this machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def opensmtpd(oracle: int) -> AsyncIterator[int]:
    """OpenSMTPD, strict and without PIPELINING, that hands everything on to the oracle.

    Its spool and its socket have one place on a machine, so a second one waits until the first has ended.
    """
    binary, port = unpacked("OPENSMTPD_ROOT", "usr/sbin/smtpd", "opensmtpq"), free_port()
    if not os.path.isdir("/var/spool/smtpd/offline"):  # noqa: PTH112, ASYNC240 - one look at start
        pytest.skip("OpenSMTPD's spool folders are not there")
    with alone("/var/spool/smtpd"), open_folder("opensmtpd") as folder:
        configuration = folder / "smtpd.conf"
        configuration.write_text(
            f"listen on 127.0.0.1 port {port} hostname opensmtpd.example\n"
            f'action "onward" relay host smtp://127.0.0.1:{oracle}\n'
            'match from any for any action "onward"\n'
        )
        async with running(binary, "-d", "-f", str(configuration), port=port):  # it is strict about a second EHLO
            yield port


@contextlib.asynccontextmanager
async def smtp_server(_: int) -> AsyncIterator[tuple[int, Callable[[], list[tuple[str, bytes]]]]]:
    """npm's smtp-server; gives the port and a look at what it took."""
    node, port = program("node"), free_port()
    modules = os.environ.get("SMTP_SERVER_ROOT", "")
    if not (Path(modules) / "node_modules" / "smtp-server").is_dir():
        pytest.skip("SMTP_SERVER_ROOT names no folder with npm's smtp-server")
    script = Path(__file__).with_name("smtp-server.mjs")
    with open_folder("smtp-server") as folder:
        kept = folder / "letters"
        with kept.open("wb") as out:
            process = await asyncio.create_subprocess_exec(node, str(script), str(port), modules, stdout=out)
        try:
            await greeted(port)
            yield port, lambda: [_letter(line) for line in kept.read_bytes().splitlines()]
        finally:
            process.terminate()
            await process.wait()


def _letter(line: bytes) -> tuple[str, bytes]:
    found = json.loads(line)
    return found["recipient"], base64.b64decode(found["content"])


def unpacked(variable: str, binary: str, user: str) -> str:
    path = Path(os.environ.get(variable, "/nowhere")) / binary
    if not path.is_file():
        pytest.skip(f"{variable} names no folder with {binary}")
    if os.geteuid() != 0:
        pytest.skip(f"{path.name} takes root to start a private instance")
    try:
        pwd.getpwnam(user)
    except KeyError:
        pytest.skip(f"{path.name} needs the user {user}")
    return str(path)
