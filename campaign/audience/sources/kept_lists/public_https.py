"""One HTTPS request to a public server: TLS verified, time and size bounded, redirects only to https.

The address that a connection goes to is checked, not the name: a name may lead to this machine or its network. Proxies
of the environment are not used, as behind one nobody can check that.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import msgspec

from campaign.errors import InputError

#: Seconds for all of a request, and for each step of it.
WHOLE, STEP = 600.0, 30.0
MOST_BYTES = 1 << 30
MOST_REDIRECTS = 5
BLOCK = 1 << 18
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
AGAIN = "run the same command again later; or download the list, and name the file"


def is_on_internet(address: str) -> bool:
    """Whether an IP address is one of the Internet: not loopback, private, link-local, multicast or reserved."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_on_internet(str(inner))
    return ip.is_global and not ip.is_multicast


def resolved(host: str, port: int) -> list[tuple[str, int]]:
    """The addresses of a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(one[4][0]), int(one[4][1])) for one in found))


class Network(msgspec.Struct, frozen=True):
    """How servers are reached. Tests give their own; no setting does."""

    resolve: Callable[[str, int], Sequence[tuple[str, int]]] = resolved
    permitted: Callable[[str], bool] = is_on_internet
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    clock: Callable[[], float] = time.monotonic
    whole: float = WHOLE


#: What is used; only tests replace it.
NETWORK = Network()


class HttpsAnswer(msgspec.Struct):
    """The final answer to a request; ``unchanged`` if the server says that the list is the one with the ETag."""

    unchanged: bool
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    blocks: Iterator[bytes] = msgspec.field(default_factory=lambda: iter(()))


class _Connection(http.client.HTTPSConnection):
    """Connects to permitted addresses only."""

    def __init__(self, host: str, port: int, network: Network) -> None:
        self._network_context = network.context()
        super().__init__(host, port, timeout=STEP, context=self._network_context)
        self._network = network
        self._tls: ssl.SSLSocket | None = None
        self._late = False

    def connect(self) -> None:
        """Try the addresses of the name in turn."""
        addresses = self._network.resolve(self.host, self.port)
        permitted = [one for one in addresses if self._network.permitted(one[0])]
        if not permitted:
            raise InputError(
                f"{self.host} is not on the Internet, so no list is read from it.",
                evidence=", ".join(address for address, _ in addresses[:5]) or "it has no address",
                next_step="name a public server; or download the list, and name the file",
            )
        raw = self._reached(permitted)
        self._tls = self._network_context.wrap_socket(raw, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = self._tls
        if self._late:
            raise OSError("it takes too long")
        self._tls.do_handshake()

    def cut_off(self) -> None:
        """End the connection from another thread, which waits for nothing then."""
        with contextlib.suppress(OSError):
            self._late = True
            if self._tls is not None:
                socket.socket.shutdown(self._tls, socket.SHUT_RDWR)  # TLS stays as it is: nothing is read in clear

    def _reached(self, addresses: Sequence[tuple[str, int]]) -> socket.socket:
        failure: OSError = OSError("it has no address")
        for address in addresses:
            try:
                reached = socket.create_connection(address, STEP)
            except OSError as error:
                failure = error
                continue
            if self._network.permitted(str(reached.getpeername()[0])):
                return reached
            reached.close()
        raise failure


@contextlib.contextmanager
def https_request(url: str, headers: Mapping[str, str], network: Network) -> Iterator[HttpsAnswer]:
    """The answer to a GET, after redirects. Raises InputError."""
    ends = network.clock() + network.whole
    for _ in range(MOST_REDIRECTS + 1):
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise InputError(
                f"{server_of(url)} leads to an address that is not https, so the list is not read.",
                evidence=f"{parts.scheme or 'no scheme'}://{parts.hostname or ''}",
                next_step="name the https address that the list really has",
            )
        with _connection(parts.hostname, parts.port or 443, network) as connection:
            with _translated(parts.hostname):
                asked = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("GET", asked, None, dict(headers))
                answer = connection.getresponse()
            with contextlib.closing(answer):
                if answer.status not in (301, 302, 303, 307, 308):
                    yield _understood(answer, parts.hostname, ends, network)
                    return
                url = urljoin(url, answer.headers.get("Location", ""))
    raise InputError(
        f"{server_of(url)} redirects again and again.",
        evidence=f"more than {MOST_REDIRECTS} times",
        next_step="open the address in a browser, and name the one where it ends",
    )


@contextlib.contextmanager
def _connection(host: str, port: int, network: Network) -> Iterator[http.client.HTTPSConnection]:
    """A connection that is cut off when the time for all is over, however slowly octets come."""
    connection = _Connection(host, port, network)
    late = threading.Timer(network.whole, connection.cut_off)
    late.daemon = True
    late.start()
    try:
        yield connection
    finally:
        late.cancel()
        connection.close()


def server_of(url: str) -> str:
    """The server's name, for messages: the rest of a URL may hold a secret."""
    return urlsplit(url).hostname or "the server"


def _understood(answer: http.client.HTTPResponse, host: str, ends: float, network: Network) -> HttpsAnswer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if answer.status == 304:
        return HttpsAnswer(unchanged=True, headers=headers)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status != 200:
        raise InputError(
            f"{host} gives no list.",
            evidence=f"it answers {answer.status} {answer.reason}",
            next_step="check the address, and whether it may be read without a login; or try again later",
        )
    if kind in ("text/html", "application/xhtml+xml"):
        raise InputError(
            f"{host} gives a web page in place of a list.",
            evidence="most often it is the page of a login",
            next_step="make the list readable for everybody who has its address; or download it, and name the file",
        )
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    if headers.get("content-encoding", "identity") != "identity" or not (chunked or "content-length" in headers):
        raise InputError(
            f"{host} gives a list of which nobody can tell whether it is whole.",
            evidence="it is packed on the way, or has neither a length nor chunks",
            next_step="download the list, and name the file",
        )
    return HttpsAnswer(unchanged=False, headers=headers, blocks=_blocks(answer, host, ends, network))


def _blocks(answer: http.client.HTTPResponse, host: str, ends: float, network: Network) -> Iterator[bytes]:
    expected, got = answer.length, 0
    while True:
        with _translated(host):
            block = answer.read1(BLOCK)
        if not block:
            break
        got += len(block)
        if got > MOST_BYTES or network.clock() > ends:
            raise InputError(
                f"The list of {host} is too long, or comes too slowly.",
                evidence=f"{got:,} bytes so far; at most {MOST_BYTES >> 30} GB in {WHOLE / 60:.0f} minutes",
                next_step="download it, and name the file",
            )
        yield block
    if expected is not None and got != expected:
        raise InputError(
            f"The list of {host} ended too early.", evidence=f"{got:,} of {expected:,} bytes", next_step=AGAIN
        )


@contextlib.contextmanager
def _translated(host: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise InputError(
            f"The list of {host} cannot be fetched.",
            evidence=str(error) or type(error).__name__,
            next_step="its certificate is not valid: tell whoever runs it; or download the list, and name the file"
            if isinstance(error, ssl.SSLCertVerificationError)
            else AGAIN,
        ) from None


def save(answer: HttpsAnswer, file: BinaryIO) -> None:
    """Write all of the answer's body."""
    file.writelines(answer.blocks)
