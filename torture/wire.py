"""A wire between a worker and its store that can be cut: held, swallowed or reset, for a while."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

#: held: nothing is carried, and everything later. drop: what is said is swallowed. reset: RST at once, none let in.
CUTS = ("hold", "drop", "reset")
_RST = struct.pack("ii", 1, 0)


class Wire:
    """Carries connections to a port of the loopback from a port of its own."""

    def __init__(self, target: int) -> None:
        self._target, self.mode = target, "pass"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self, how: str) -> None:
        """Carry nothing from now on."""
        self.mode = how
        if how == "reset":
            self._reset_all()

    def mend(self) -> None:
        """Carry again; a conversation of which words were swallowed is over."""
        dropped, self.mode = self.mode == "drop", "pass"
        if dropped:
            self._reset_all()

    def close(self) -> None:
        """End it, and all that goes through it."""
        self.mode = "reset"
        self._listener.close()
        self._reset_all()

    def _reset_all(self) -> None:
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for one in pair:
                _reset(one)

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.mode == "reset":
                _reset(near)
                continue
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        while self.mode in {"hold", "drop"}:
            time.sleep(0.02)
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 5.0)
            far.settimeout(None)
        except OSError:
            _reset(near)
            return
        self._pairs.append((near, far))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                while self.mode == "hold":
                    time.sleep(0.005)
                if self.mode == "pass":
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
            return
        _reset(target)


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        one.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        one.close()
