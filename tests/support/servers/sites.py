"""Two sites as network namespaces, with a wire between them that can be cut.

Whoever is `Site.inside` opens sockets and starts processes there. Making namespaces takes root.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NETWORK = 0x40000000  # CLONE_NEWNET
_numbers = itertools.count()


class NoSitesError(Exception):
    """No network namespace can be made here; why."""


class Site(NamedTuple):
    """A namespace, and its address on the wire."""

    name: str
    address: str

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """New sockets and processes of this thread are in the site while the block runs."""
        with open("/proc/thread-self/ns/net") as home:  # noqa: PTH123
            enter_site(self.name)
            try:
                yield
            finally:
                _enter(home.fileno())


def enter_site(name: str) -> None:
    """Let new sockets and processes of this thread be in the site ``name`` from now on."""
    with Path(f"/run/netns/{name}").open() as there:
        _enter(there.fileno())


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


class Wire:
    """A bridge in a namespace of its own, to which the sites are plugged."""

    def __init__(self, name: str) -> None:
        self._name = name

    def plug(self, site: Site, port: str) -> None:
        _ip("-n", self._name, "link", "add", "name", port, "type", "veth", "peer", "name", "wire", "netns", site.name)
        _ip("-n", site.name, "address", "add", f"{site.address}/24", "dev", "wire")
        _ip("-n", site.name, "link", "set", "wire", "up")
        _ip("-n", self._name, "link", "set", port, "master", "bridge", "up")

    def cut(self) -> None:
        """What either site says to the other vanishes from now on; neither is told."""
        _ip("-n", self._name, "link", "set", "port-a", "nomaster")

    def mend(self) -> None:
        _ip("-n", self._name, "link", "set", "port-a", "master", "bridge")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


@contextlib.contextmanager
def two_sites() -> Iterator[tuple[Site, Site, Wire]]:
    """Two sites with a wire; gone when the block ends. Raises NoSitesError where there can be none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise NoSitesError("network namespaces need root and ip (iproute2)")
    base = f"campaign-{os.getpid()}-{next(_numbers)}"
    one, two, wire = Site(f"{base}-a", "10.77.0.1"), Site(f"{base}-b", "10.77.0.2"), f"{base}-wire"
    with contextlib.ExitStack() as made:
        for name in (one.name, two.name, wire):
            done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoSitesError(f"no network namespace can be made here: {done.stderr.strip()}")
            made.callback(_ip, "netns", "delete", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", wire, "link", "add", "name", "bridge", "up", "type", "bridge")
        between = Wire(wire)
        between.plug(one, "port-a")
        between.plug(two, "port-b")
        yield one, two, between
