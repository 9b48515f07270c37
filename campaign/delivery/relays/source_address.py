"""The local address that connections to relays come from, if one is configured."""

from __future__ import annotations

import socket
from typing import Any

import msgspec

from campaign.errors import ConfigError


class SourceAddress(msgspec.Struct, frozen=True):
    """A local address as `socket.bind` takes it, with any free port."""

    family: int
    place: Any


def source_address(text: str) -> SourceAddress | None:
    """The address written as ``text``, or None for ``""``. Raises ConfigError if this machine does not have it."""
    if not text:
        return None
    try:
        found = socket.getaddrinfo(text, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
        with socket.socket(found[0], socket.SOCK_STREAM) as trial:
            trial.bind(found[4])
    except OSError as error:
        raise ConfigError(
            f"delivery.source_address {text} is not an address of this machine.",
            evidence=error.strerror or str(error),
            next_step="name one that `ip address` lists, or leave the setting out",
        ) from None
    return SourceAddress(found[0], found[4])
