"""Relays from URLs and presets: validated `Relay` values, ready to be dialled.

A relay that would carry a password in clear, skip certificates, or take parameters from a URL cannot be expressed here.
`failover` decides which of several relays is used at a moment, and when one is paused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from campaign.config.delivery import DeliverySection
from campaign.config.units import Rate
from campaign.delivery.credentials.login import Login, find_login
from campaign.delivery.embedded_mailbox import CALLER
from campaign.delivery.relays.presets import Preset, lookup, suggestion
from campaign.delivery.relays.source_address import SourceAddress, source_address
from campaign.errors import ConfigError

if TYPE_CHECKING:  # loaded for the campaigns that use them
    from campaign.delivery.credentials.client_certificate import ClientCertificate
    from campaign.delivery.relays.gateway_presets import GatewayPreset

Tls = Literal["implicit", "starttls", "none"]

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
FORMS = "write smtps://user@host, smtp://user@host:port, a preset such as gmail or ses-api:eu-west-1, or mailbox"
_USER = re.compile(r"[^\x00-\x20\x7f]{1,254}")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+")


@dataclass(frozen=True)
class Relay:
    """A server that takes letters, and how to connect to it.

    ``name`` is safe to print and to record. ``tls`` is ``none`` only on loopback and without a login. ``fingerprint``
    is the SHA-256 (32 octets) that the certificate must have, or empty. ``own_certificate`` is presented if the relay
    asks for one; ``source`` is the local address that connections come from. ``local_hostname`` is empty if the address
    literal of our own socket is used. ``limits``, ``connections`` and ``letters`` (per connection) come from a preset,
    0 if it names none. ``weight`` is ``None`` if relays are in order. ``gateway``: it takes letters by HTTP.
    """

    name: str
    host: str
    port: int
    tls: Tls
    login: Login | None = None
    context: ssl.SSLContext | None = field(default=None, repr=False)
    fingerprint: bytes = b""
    own_certificate: ClientCertificate | None = None
    source: SourceAddress | None = None
    local_hostname: str = field(default="", repr=False)  # works as a password for the embedded mailbox
    limits: tuple[Rate, ...] = ()
    connections: int = 0
    letters: int = 0
    weight: float | None = None
    gateway: GatewayPreset | None = None

    @property
    def account(self) -> str:
        """The identity for which limits are counted together: the user at this host and port."""
        place = f"/{self.gateway.place}" if self.gateway and self.gateway.place else ""
        return f"{self.login.user if self.login else ''}@{self.host}:{self.port}{place}"


class Where(msgspec.Struct, frozen=True):
    """A relay as written: scheme, user, host and port (0: the scheme's own); ``gateway`` if it is one."""

    scheme: str
    user: str
    host: str
    port: int
    gateway: GatewayPreset | None = None

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine itself, so that the traffic cannot be read on the way."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


async def open_relays(
    settings: DeliverySection, base: Path, environment: Mapping[str, str], mailbox_url: str | None = None
) -> list[Relay]:
    """The relays of ``settings`` in their order, secrets resolved. Opens no connection.

    ``mailbox_url`` is where the embedded relay listens; it serves ``relay = "mailbox"``. Raises ConfigError.
    """
    hostname = settings.local_hostname or await _own_name()
    relays = []
    weights = settings.weights or (None,) * len(settings.urls)
    for position, (written, weight) in enumerate(zip(settings.urls, weights, strict=True), 1):
        where, preset = find(written, mailbox_url)
        login = await login_at(written, where, position, settings, base, environment)
        own, source, caller = None, None, CALLER
        if written != "mailbox":
            caller = hostname
            own, source = _certificate(where.host, settings, base), source_address(settings.source_address)
        if where.gateway is not None:
            relay = _gateway(where.gateway, login, settings, own)
        else:
            relay = _relay(where, login, caller, preset, settings, own)
        relays.append(replace(relay, weight=weight, source=source))
    return await asyncio.to_thread(_with_contexts, relays, settings, base)


def _certificate(host: str, settings: DeliverySection, base: Path) -> ClientCertificate | None:
    if settings.tls_client_certificate is None and not settings.tls_client_certificates:
        return None
    from campaign.delivery.credentials.client_certificate import client_certificate

    return client_certificate(host, settings, base)


def _with_contexts(relays: Sequence[Relay], settings: DeliverySection, base: Path) -> list[Relay]:
    """Add TLS contexts. Relays with the same certificate share one, as loading the authorities takes time."""
    context_for = cache(lambda own: tls_context(settings, base, own))
    return [
        relay if relay.tls == "none" else replace(relay, context=context_for(relay.own_certificate)) for relay in relays
    ]


async def login_at(
    written: str, where: Where, position: int, settings: DeliverySection, base: Path, environment: Mapping[str, str]
) -> Login | None:
    """The login at relay number ``position`` (from 1), by tokens or a password; ``None`` if it needs none.

    Raises ConfigError.
    """
    if where.gateway is not None:
        from campaign.delivery.credentials.gateway_login import gateway_login

        return await gateway_login(where.gateway, where.user, position, settings, base, environment)
    user = where.user or (settings.user if written != "mailbox" else "")
    if not user:
        return None
    if settings.oauth is not None:
        from campaign.delivery.credentials.oauth import oauth_login

        return await oauth_login(user, settings.oauth, base)
    return await find_login(user, where.host, position, settings, base, environment)


def find(written: str, mailbox_url: str | None = None) -> tuple[Where, Preset | None]:
    """The relay written in ``delivery.relay``: a URL, ``mailbox``, or a preset such as ``user@ses:eu-west-1``."""
    if written == "mailbox":
        if mailbox_url is None:
            raise ConfigError(
                'relay = "mailbox" needs the embedded relay, which was not started here.', next_step=FORMS
            )
        return parse_relay(mailbox_url), None
    if "://" in written and "+http" not in written:
        return parse_relay(written), None
    from campaign.delivery.relays.gateway_presets import find_gateway, gateway_names

    if found := find_gateway(written):
        user, gateway = found
        return Where("https" if gateway.tls else "http", user, gateway.host, gateway.port, gateway), None
    if "://" in written:
        return parse_relay(written), None
    user, _, name = written.rpartition("@")
    preset = lookup(name)
    if preset is None:
        raise ConfigError(
            f"There is no relay preset {name!r}.",
            evidence=suggestion(name, gateway_names()),
            next_step="or write a URL such as smtps://user@smtp.example.com",
        )
    where = parse_relay(preset.url)
    return Where(where.scheme, user, where.host, where.port), preset


def parse_relay(text: str) -> Where:
    """Parse ``smtps://user@host:port`` or ``smtp://host``. Raises ConfigError with what is wrong."""
    shown = re.sub(r"://[^/]*@", "://...@", text)
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError as error:
        raise ConfigError(f"The relay {shown!r} is not a URL.", evidence=str(error), next_step=FORMS) from None
    if parts.scheme not in ("smtp", "smtps"):
        raise ConfigError(f"The relay {shown!r} begins with neither smtp:// nor smtps://.", next_step=FORMS)
    if parts.password is not None:
        raise ConfigError(
            "A relay's URL holds a password; URLs end up in logs.",
            evidence=shown,
            next_step="take it out and set delivery.password_file or CAMPAIGN_RELAY_PASSWORD",
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(
            f"The relay {shown!r} has something after its host; only user, host and port belong there.", next_step=FORMS
        )
    if parts.scheme == "smtp" and port == 465:
        raise ConfigError(
            f"The relay {shown!r} would wait for ever: port 465 speaks TLS from the first octet.",
            next_step="write smtps:// for port 465, or use port 587",
        )
    user, host = unquote(parts.username or ""), parts.hostname or ""
    if not _HOST.fullmatch(host) or (parts.username is not None and not _USER.fullmatch(user)):
        raise ConfigError(f"The relay {shown!r} has no usable host or user name.", next_step=FORMS)
    return Where(parts.scheme, user, host, port)


def _relay(
    where: Where,
    login: Login | None,
    hostname: str,
    preset: Preset | None,
    settings: DeliverySection,
    own: ClientCertificate | None,
) -> Relay:
    known = bool(settings.tls_ca_file or settings.tls_fingerprint or own)
    tls = tls_for(where, protect=known or login is not None)
    port = where.port or {"implicit": 465, "starttls": 587, "none": 25}[tls]
    host = f"[{where.host}]" if ":" in where.host else where.host
    return Relay(
        name=f"{where.scheme}://{login.user + '@' if login else ''}{host}:{port}",
        host=where.host,
        port=port,
        tls=tls,
        login=login,
        fingerprint=bytes.fromhex(settings.tls_fingerprint.replace(":", "")),
        own_certificate=own,
        local_hostname=hostname,
        # A rate in the campaign file takes precedence over the preset's.
        limits=preset.rate if preset is not None and not settings.rate else (),
        connections=preset.connections if preset is not None else 0,
        letters=preset.letters if preset is not None else 0,
    )


def _gateway(
    gateway: GatewayPreset, login: Login | None, settings: DeliverySection, own: ClientCertificate | None
) -> Relay:
    user = f"{login.user}@" if login is not None and login.user else ""
    return Relay(
        name=f"{user}{gateway.written}",
        host=gateway.host,
        port=gateway.port,
        tls="implicit" if gateway.tls else "none",
        login=login,
        fingerprint=bytes.fromhex(settings.tls_fingerprint.replace(":", "")),
        own_certificate=own,
        limits=gateway.rate if not settings.rate else (),
        connections=gateway.connections,
        gateway=gateway,
    )


def tls_for(where: Where, *, protect: bool) -> Tls:
    """The kind of TLS for a relay: always one, except on loopback where nothing needs protection."""
    if where.scheme == "smtps":
        return "implicit"
    return "starttls" if protect or not where.loopback else "none"


def tls_context(settings: DeliverySection, base: Path, own: ClientCertificate | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and name checked. A pinned fingerprint alone replaces that check.

    Raises ConfigError when the authority's file, or our ``own`` certificate, cannot be used.
    """
    try:
        context = ssl.create_default_context(
            cafile=str(base / settings.tls_ca_file) if settings.tls_ca_file is not None else None
        )
    except OSError as error:
        raise ConfigError(
            f"delivery.tls_ca_file {settings.tls_ca_file} cannot be used.",
            evidence=error.strerror or str(error),
            next_step="name the PEM file of the authority that signed the relay's certificate",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_fingerprint and settings.tls_ca_file is None:
        # The peer is identified by the certificate itself; `connection` compares it before sending any SMTP.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if own is not None:
        own.load_into(context)
    return context


async def _own_name() -> str:
    """This machine's full name if servers will accept it (RFC 5321 4.1.4), otherwise ``""``."""
    try:
        name = await asyncio.wait_for(asyncio.to_thread(socket.getfqdn), 5.0)
    except TimeoutError:
        return ""
    return name if _NAME.fullmatch(name) and not name.endswith((".localdomain", ".in-addr.arpa", ".ip6.arpa")) else ""
