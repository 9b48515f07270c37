"""Limits of requests: of refused ones per network and for all together, and of unsubscribes for all together."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

import msgspec

#: Refused requests that a network may send a minute, and that all may; what is above is answered 429.
PER_NETWORK, IN_SUM = 60, 6000
#: Networks that are remembered; then the one that was seen first is forgotten.
MOST_NETWORKS = 10_000
MINUTE = 60.0
#: A token counts once more for each of so many characters that it is long; ours have fewer, unless addresses are long.
LONG_TOKEN = 500


class _Bucket(msgspec.Struct):
    left: float
    at: float

    def take(self, most: int, now: float, cost: int = 1) -> bool:
        self.left = min(most, self.left + max(0.0, now - self.at) * most / MINUTE)
        self.at = now
        if self.left < cost:
            return False
        self.left -= cost
        return True


class ListenRates:
    """Counts refused requests. ``now`` is seconds of any clock that does not go back."""

    def __init__(self, per_network: int = PER_NETWORK, in_sum: int = IN_SUM) -> None:
        self._per_network, self._in_sum = per_network, in_sum
        self._sum = _Bucket(in_sum, 0.0)
        self._networks: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._networks)

    def allows(self, address: str, now: float) -> bool:
        """Count a refused request from ``address``; whether it may be answered as usual."""
        network = network_of(address)
        bucket = self._networks.setdefault(network, _Bucket(self._per_network, now))
        if len(self._networks) > MOST_NETWORKS:
            self._networks.popitem(last=False)
        return bucket.take(self._per_network, now) and self._sum.take(self._in_sum, now)


class ClickRate:
    """Counts unsubscribes that are to be stored, ``most`` a minute, so that invented ones do not fill the disk."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bucket = _Bucket(most, 0.0)

    def allows(self, token: str, now: float) -> bool:
        """Count an unsubscribe; whether it may be stored."""
        return self._bucket.take(self._most, now, 1 + len(token) // LONG_TOKEN)


def network_of(address: str) -> str:
    """The /24 of an IPv4 address, the /64 of an IPv6 address; ``""`` for anything else."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network(f"{found}/{24 if found.version == 4 else 64}", strict=False))
