"""nginx and Caddy on loopback, with TLS, as `deploy/listen/` sets them up; only ports, names and certificate differ."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.servers.certificates import authority
from tests.support.servers.real import free_port, listening, open_folder, program, running

DEPLOY = Path(__file__).parents[3] / "deploy" / "listen"
BEHIND = "127.0.0.1:8025"


def written_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    issued = authority().issue_cert("127.0.0.1")
    certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


@contextlib.asynccontextmanager
async def nginx(behind: int) -> AsyncIterator[int]:
    """nginx in front of a service on port ``behind``."""
    binary, port = program("nginx"), free_port()
    location = (DEPLOY / "nginx.conf").read_text()
    assert BEHIND in location
    with open_folder("nginx") as folder:
        certificate, key = written_certificate(folder)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        (folder / "nginx.conf").write_text(
            f"""daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    {" ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)}
    access_log {folder}/access.log;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
{location.replace(BEHIND, f"127.0.0.1:{behind}")}
    }}
}}
"""
        )
        async with running(binary, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", port=port, greets=False):
            yield port
            assert "/u/" not in (folder / "access.log").read_text()


@contextlib.asynccontextmanager
async def caddy(behind: int) -> AsyncIterator[int]:
    """Caddy in front of a service on port ``behind``."""
    binary, port = program("caddy"), free_port()
    text = (DEPLOY / "Caddyfile").read_text()
    assert BEHIND in text
    with open_folder("caddy") as folder:
        certificate, key = written_certificate(folder)
        site = f"https://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {key}"
        own = f"{{\n\tadmin off\n\tauto_https off\n\tstorage file_system {folder}\n}}\n"
        text = text.replace("news.example.com {", site).replace(BEHIND, f"127.0.0.1:{behind}")
        (folder / "Caddyfile").write_text(own + text)
        process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for below
            [binary, "run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"],
            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            await listening(port)
            yield port
        finally:
            process.terminate()
            process.wait()
