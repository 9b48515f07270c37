"""A relay that knows its clients by certificate. On plain sockets, which send the alerts that asyncio keeps back."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator


class Refusing:
    """Takes connections, one after another, and says a greeting and no more to those whose certificate it takes."""

    def __init__(self, context: ssl.SSLContext, *, starttls: bool) -> None:
        self._context, self._starttls = context, starttls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"{'smtp' if starttls else 'smtps'}://127.0.0.1:{self.port}"
        self.greeted = 0
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                self.connections += 1
                with line, contextlib.suppress(OSError):  # ssl.SSLError is one
                    line.settimeout(5.0)
                    self._talk(line)

    def _talk(self, line: socket.socket) -> None:
        if self._starttls:
            line.sendall(b"220 mutual.example ESMTP\r\n")
            line.recv(1000)
            line.sendall(b"250-mutual.example\r\n250 STARTTLS\r\n")
            line.recv(1000)
            line.sendall(b"220 go ahead\r\n")
        with self._context.wrap_socket(line, server_side=True, do_handshake_on_connect=False) as secure:
            try:
                secure.do_handshake()
            except ssl.SSLError:  # the alert is out; what is unread now would reset the connection under it
                socket.socket.shutdown(secure, socket.SHUT_WR)
                while os.read(secure.fileno(), 1000):
                    pass
                return
            self.greeted += 1
            secure.sendall(b"220 mutual.example ESMTP\r\n")
            secure.recv(1000)


@contextlib.contextmanager
def refusing(context: ssl.SSLContext, *, starttls: bool) -> Iterator[Refusing]:
    """One of them for a while."""
    server = Refusing(context, starttls=starttls)
    try:
        yield server
    finally:
        server.close()
