"""HTTP gateways by name: ``ses-api:eu-west-1``, ``mailgun-api:example.com``, ``gmail-api``.

The figures are data in `gateways.toml`, each with its source. This module only looks names up. For tests and emulators
a gateway may be on this machine: ``ses-api+http://127.0.0.1:8080/eu-west-1``. No other host can be written, so that a
typing error never sends an access key elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec.structs import replace

from campaign.config.units import Rate, rates
from campaign.delivery.relays.presets import ReturnPath
from campaign.errors import ConfigError, close_matches


class GatewayPreset(msgspec.Struct, frozen=True):
    """A gateway's settings; `gateways.toml` explains them. ``name`` is the kind, such as ``ses-api``.

    ``place`` is what stands after the colon: a region, or a domain. ``written`` is the gateway as in a campaign file,
    without a user. ``tls`` is False only on this machine.
    """

    name: str
    place: str
    written: str
    title: str
    host: str
    port: int
    tls: bool
    login: Literal["aws", "key", "token"]
    user: str
    size: int
    smtputf8: bool
    connections: int
    rate: tuple[Rate, ...]
    rewrites: tuple[str, ...]
    return_path: ReturnPath
    addressed: Literal["envelope", "header"]
    scope: str
    application_scope: str
    changes: str
    doubts: str
    sources: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where its requests go, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.tls else 80)
        return f"{'https' if self.tls else 'http'}://{host}{'' if usual else f':{self.port}'}"


def find_gateway(written: str) -> tuple[str, GatewayPreset] | None:
    """The user and the gateway that ``written`` names; ``None`` if it names none. Raises ConfigError."""
    if "+http" in written and "://" in written:
        return _on_this_machine(written)
    if "://" in written:
        return None
    user, _, name = written.strip().rpartition("@")
    kind, _, place = name.partition(":")
    table = _gateways().get(kind.lower())
    return None if table is None else (user, _preset_of(kind.lower(), place.lower(), table))


def gateway_names() -> list[str]:
    """The name of every gateway."""
    return sorted(_gateways())


def _on_this_machine(written: str) -> tuple[str, GatewayPreset]:
    kind, _, url = written.partition("+")
    table = _gateways().get(kind)
    if table is None:
        close = close_matches(kind, gateway_names(), n=1)
        raise ConfigError(
            f"There is no gateway {kind!r}.",
            evidence=f"did you mean {close[0]!r}?" if close else f"known gateways: {', '.join(gateway_names())}",
            next_step="write one such as ses-api:eu-west-1",
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not _is_loopback(host) or parts.password is not None:
        raise ConfigError(
            f"The gateway {kind} can be given another address only on this machine.",
            evidence="an access key or a token would go there",
            next_step=f'write relay = "{_example(kind, table)}", or {kind}+http://127.0.0.1:PORT/… for one here',
        )
    found = _preset_of(kind, unquote(parts.path).strip("/").lower(), table)
    tls = parts.scheme == "https"
    return unquote(parts.username or ""), replace(
        found, written=written.replace(f"{parts.username}@", ""), host=host, port=port or (443 if tls else 80), tls=tls
    )


def _preset_of(kind: str, place: str, table: dict[str, Any]) -> GatewayPreset:
    where, host = place, table["host"]
    if "eu_host" in table and (place == "eu" or place.startswith("eu:")):
        where, host = place[3:], table["eu_host"]
    pattern = table.get("place", "")
    if not re.fullmatch(pattern, where):
        raise ConfigError(
            f"The gateway {kind}:{place} has no such {_means(kind)}."
            if place
            else f"The gateway {kind} needs its {_means(kind)}.",
            next_step=f'write it as relay = "{_example(kind, table)}"',
        )
    return GatewayPreset(
        name=kind,
        place=where,
        written=f"{kind}:{place}" if place else kind,
        title=table["title"],
        host=host.format(place=where),
        port=443,
        tls=True,
        login=table["login"],
        user=table["user"],
        size=table["size"],
        smtputf8=table["smtputf8"],
        connections=table["connections"],
        rate=rates(table["rate"]),
        rewrites=tuple(table["rewrites"]),
        return_path=table["return_path"],
        addressed=table["addressed"],
        scope=table.get("scope", ""),
        application_scope=table.get("application_scope", ""),
        changes=table["changes"],
        doubts=table["doubts"],
        sources=tuple(table["sources"]),
    )


def _means(kind: str) -> str:
    return {"ses-api": "region", "mailgun-api": "domain"}.get(kind, "place")


def _example(kind: str, table: dict[str, Any]) -> str:
    return f"{kind}:{table['place_example']}" if "place" in table else kind


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def _gateways() -> dict[str, dict[str, Any]]:
    data = tomllib.loads(resources.files(__package__).joinpath("gateways.toml").read_text(encoding="utf-8"))
    return {table["name"]: table for table in data["gateway"]}
