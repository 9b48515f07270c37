"""Runs the application with uvicorn until SIGTERM or SIGINT, with a log that has no addresses and no tokens."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

import uvicorn

from campaign.config.listen.listen_file import ListenSection
from campaign.errors import StorageError
from campaign.listen.app import create_app
from campaign.listen.listen_state import ListenState

#: Requests at once; what is above is answered 503. Seconds that a connection may be idle, and that the end may take.
MOST_AT_ONCE, IDLE, LONGEST_END = 4000, 20, 30
#: Connections that wait to be taken.
BACKLOG = 4096


def run_service(section: ListenSection, state: ListenState, began: Callable[[str, int], None]) -> None:
    """Answer requests until a signal ends it; ``began`` gets host and port. Raises StorageError."""
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn ends, then sends the signal again
        signal.signal(number, lambda *_: None)
    listening = _bound(section.host, section.port)
    config = uvicorn.Config(
        create_app(state),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_AT_ONCE,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=LONGEST_END,
        proxy_headers=True,
        forwarded_allow_ips=section.proxies,
        ws="none",
        loop="asyncio",
    )
    began(section.host, listening.getsockname()[1])
    with listening:
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise StorageError(
            f"{host}:{port} cannot be listened on.",
            evidence=error.strerror or str(error),
            next_step="choose another port with --port, or end the program that has it",
        ) from None
    return listening
