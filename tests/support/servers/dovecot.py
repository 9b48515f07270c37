"""A real Dovecot, a private instance on loopback ports: IMAP and POP3, with and without TLS from the start."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.servers import certificates
from tests.support.servers.real import PATIENCE, free_port, open_folder, program

USER, PASSWORD = "bounces@example.com", 'pä55 "wörd\\'
#: Debian's packages make these users; the mail itself belongs to another.
OWNER = "mail"


@dataclass(frozen=True, slots=True)
class Dovecot:
    """Ports by protocol (``imap``, ``imaps``, ``pop3``, ``pop3s``) and the folder that holds each user's Maildir."""

    ports: dict[str, int]
    mail: Path

    def url(self, protocol: str, folder: str = "", *, user: str = USER, host: str = "127.0.0.1") -> str:
        return f"{protocol}://{user}@{host}:{self.ports[protocol]}/{folder}".removesuffix("/")

    def maildir(self, user: str = USER) -> Path:
        return self.mail / user

    def deliver(
        self, messages: Iterable[bytes], *, user: str = USER, folder: str = "", flags: str | None = None
    ) -> None:
        """Into ``new``, or with ``flags`` into ``cur``; a folder is named as on disk, such as ``.Bounces``."""
        where = self.maildir(user) / folder
        for one in ("tmp", "new", "cur"):
            (where / one).mkdir(parents=True, exist_ok=True)
        place, ending = ("new", "") if flags is None else ("cur", f":2,{flags}")
        before = sum(1 for one in where.rglob("*") if one.is_file())
        for number, message in enumerate(messages):
            (where / place / f"{before + number}.M{time.time_ns()}.test{ending}").write_bytes(message)
        own(self.maildir(user))

    def files(self, folder: str = "", *, user: str = USER) -> list[Path]:
        where = self.maildir(user) / folder
        return [path for place in ("new", "cur") if (where / place).is_dir() for path in (where / place).iterdir()]


def own(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, OWNER, OWNER)


@contextlib.contextmanager
def dovecot() -> Iterator[Dovecot]:
    command = program("dovecot", needs_root=True)
    for user in ("dovecot", "dovenull", OWNER):
        try:
            pwd.getpwnam(user)
        except KeyError:
            pytest.skip(f"there is no user {user}")
    with open_folder("dovecot") as folder:
        ports = {protocol: free_port() for protocol in ("imap", "imaps", "pop3", "pop3s")}
        configuration = _configure(folder, ports)
        with (folder / "out").open("wb") as out:
            process = subprocess.Popen([command, "-F", "-c", configuration], stdout=out, stderr=out)
        try:
            _greeted(process, ports, folder)
            yield Dovecot(ports, folder / "mail")
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _greeted(process: subprocess.Popen[bytes], ports: dict[str, int], folder: Path) -> None:
    ends = time.monotonic() + PATIENCE
    for port in (ports["imap"], ports["pop3"]):
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as line:
                if line.recv(3) in (b"* O", b"+OK"):
                    break
            if process.poll() is not None or time.monotonic() > ends:
                logged = [one.read_text(errors="replace")[-500:] for one in folder.glob("[ol][uo][tg]")]
                pytest.fail(f"dovecot does not start: {logged}")
            time.sleep(0.05)


def _configure(folder: Path, ports: dict[str, int]) -> str:
    certificate = certificates.authority().issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    (folder / "mail").mkdir()
    own(folder / "mail")
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\nother:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
    (folder / "users").chmod(0o644)
    path = folder / "dovecot.conf"
    path.write_text(
        f"""protocols = imap pop3
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = campaign-test
ssl = required
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.pem
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u
mail_max_userip_connections = 0
maildir_very_dirty_syncs = no
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={OWNER} gid={OWNER} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {ports["imap"]}
  }}
  inet_listener imaps {{
    port = {ports["imaps"]}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {ports["pop3"]}
  }}
  inet_listener pop3s {{
    port = {ports["pop3s"]}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""
    )
    return str(path)
