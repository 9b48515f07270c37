"""Questions to the DNS: texts, mail servers, addresses, names of addresses. The only room that uses dnspython.

An answer is a list, empty where the name or the type does not exist; a server that gives none is `Unanswered`, which
proves nothing. What the answers mean for mail is decided in `spf.py` and `sender_domain.py`.
"""

from __future__ import annotations

from typing import Any

from campaign.errors import ConfigError

PATIENCE = 5.0  #: seconds for one question, all tries together


class Unanswered(Exception):  # noqa: N818 - it says what is; nobody is to blame
    """No server gave an answer: time was up, or the server failed. ``name`` is what was asked for."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


class Names:
    """Asks one server, ``("127.0.0.1", 53)``, or those of this machine. Raises ConfigError without dnspython."""

    def __init__(self, server: tuple[str, int] | None = None, *, patience: float = PATIENCE) -> None:
        try:
            import dns.resolver  # an extra, and half a tenth of a second
        except ImportError:
            raise ConfigError(
                "Looking into the DNS needs dnspython, which is not installed.",
                next_step="pip install 'campaign[dns]'",
            ) from None
        self._resolver = dns.resolver.Resolver(configure=server is None)
        if server is not None:
            self._resolver.nameservers, self._resolver.port = [server[0]], server[1]
        self._resolver.lifetime = patience

    def texts(self, name: str) -> list[str]:
        """TXT records, the strings of each put together (RFC 7208, section 3.3)."""
        return [b"".join(record.strings).decode("utf-8", "replace") for record in self._ask(name, "TXT")]

    def mail_servers(self, name: str) -> list[tuple[int, str]]:
        """MX records as (preference, host), best first; host ``""`` is the null MX (RFC 7505)."""
        found = self._ask(name, "MX")
        return sorted((record.preference, str(record.exchange).rstrip(".")) for record in found)

    def addresses(self, name: str) -> list[str]:
        """IPv4 and IPv6 addresses."""
        return [record.address for kind in ("A", "AAAA") for record in self._ask(name, kind)]

    def pointers(self, address: str) -> list[str]:
        """The names an IP address has."""
        import dns.reversename

        name = str(dns.reversename.from_address(address))
        return [str(record.target).rstrip(".") for record in self._ask(name, "PTR")]

    def _ask(self, name: str, kind: str) -> list[Any]:
        import dns.exception
        import dns.name
        import dns.resolver

        try:
            return list(self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False))
        except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong):
            return []
        except dns.exception.Timeout:
            raise Unanswered(name, "no answer in time") from None
        except dns.exception.DNSException as error:
            raise Unanswered(name, (str(error) or type(error).__name__).partition("\n")[0][:120]) from None
