"""A port on which nobody listens until it is opened; then it leads to the oracle."""

from __future__ import annotations

import contextlib
import socket
import threading


class Door:
    """``port`` refuses connections until `open`. Ends with `close`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener: socket.socket | None = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]

    def open(self) -> None:
        """From now on a connection leads to the target."""
        listener = self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._answer, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Nobody listens any more."""
        if self._listener is not None:
            self._listener.close()

    def _answer(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listener.accept()
                try:
                    callee = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    caller.close()
                    continue
                for source, sink in ((caller, callee), (callee, caller)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
