"""The DNS resolver: texts, mail servers, addresses, names of addresses. The only module that uses dnspython.

An answer is a list, empty if the name or the type does not exist; a server that gives none is `Unanswered`, which
proves nothing. The modules beside this one interpret the answers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from campaign.errors import ConfigError, install_extra

PATIENCE = 5.0  #: seconds for one query, all tries together


class Unanswered(Exception):  # noqa: N818 - a state, not a fault of ours
    """No server gave an answer: time was up, or the server failed. ``name`` was queried."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


class NoSuchName(Exception):  # noqa: N818 - an answer, not an error
    """By the DNS this name, and every name below it, does not exist (RFC 8020)."""


class Names:
    """Queries one server, ``("127.0.0.1", 53)``, or those of this machine. Raises ConfigError without dnspython."""

    def __init__(self, server: tuple[str, int] | None = None, *, patience: float = PATIENCE) -> None:
        try:
            import dns.resolver  # an extra, and half a tenth of a second
        except ImportError:
            raise ConfigError(
                "Looking into the DNS needs dnspython, which is not installed.",
                next_step=install_extra("dns"),
            ) from None
        try:
            self._resolver = _set_up(dns.resolver.Resolver(configure=server is None), server, patience)
        except dns.resolver.NoResolverConfiguration:
            raise ConfigError(
                "This machine names no DNS server to ask.", next_step="name one: --resolver 192.0.2.53"
            ) from None
        self._resolver.cache = dns.resolver.LRUCache()

    def texts(self, name: str) -> list[str]:
        """TXT records, the strings of each joined (RFC 7208, section 3.3)."""
        return [b"".join(record.strings).decode("utf-8", "replace") for record in self._ask(name, "TXT")]

    def mail_servers(self, name: str) -> list[tuple[int, str]]:
        """MX records as (preference, host), best first; host ``""`` is the null MX (RFC 7505)."""
        return _by_preference(self._ask(name, "MX"))

    def addresses(self, name: str) -> list[str]:
        """IPv4 and IPv6 addresses."""
        return [record.address for kind in ("A", "AAAA") for record in self._ask(name, kind)]

    def pointers(self, address: str) -> list[str]:
        """The names of an IP address."""
        import dns.reversename

        name = str(dns.reversename.from_address(address))
        return [str(record.target).rstrip(".") for record in self._ask(name, "PTR")]

    def exists(self, name: str) -> bool:
        """Whether the name exists in the DNS, with any records."""
        try:
            self._resolve(name, "MX")
        except NoSuchName:
            return False
        return True

    def _ask(self, name: str, kind: str) -> list[Any]:
        with contextlib.suppress(NoSuchName):
            return self._resolve(name, kind)
        return []

    def _resolve(self, name: str, kind: str) -> list[Any]:
        with _told(name):
            return list(self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False))


class ConcurrentNames:
    """Queries for many domains at the same time. Raises NoSuchName, Unanswered; else as `Names`."""

    def __init__(self, server: tuple[str, int] | None = None, *, patience: float = PATIENCE) -> None:
        import dns.asyncresolver

        self._resolver = _set_up(dns.asyncresolver.Resolver(configure=server is None), server, patience)

    async def mail_servers(self, name: str) -> list[tuple[int, str]]:
        """As `Names.mail_servers`."""
        return _by_preference(await self._resolve(name, "MX"))

    async def has_address(self, name: str) -> bool:
        """Whether there is an IPv4 or an IPv6 address."""
        return bool(await self._resolve(name, "A") or await self._resolve(name, "AAAA"))

    async def _resolve(self, name: str, kind: str) -> list[Any]:
        with _told(name):
            return list(await self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False))


def _set_up(resolver: Any, server: tuple[str, int] | None, patience: float) -> Any:
    if server is not None:
        resolver.nameservers, resolver.port = [server[0]], server[1]
    resolver.lifetime = patience
    return resolver


def _by_preference(found: list[Any]) -> list[tuple[int, str]]:
    return sorted((record.preference, str(record.exchange).rstrip(".").lower()) for record in found)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn dnspython's exceptions into our two."""
    import dns.exception
    import dns.name
    import dns.resolver

    try:
        yield
    except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong):
        raise NoSuchName(name) from None
    except dns.exception.Timeout:
        raise Unanswered(name, "no answer in time") from None
    except dns.exception.DNSException as error:
        raise Unanswered(name, (str(error) or type(error).__name__).partition("\n")[0][:120]) from None
