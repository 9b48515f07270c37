"""The ``[delivery]`` section: relays, logins, limits, retries and timeouts."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from campaign.config.base_section import Section, no_entries, no_items, one_or_many
from campaign.config.units import Duration, RampText, Rates

DsnWish = Literal["never", "success", "failure", "delay"]


class Timeouts(Section):
    """Time limits for each step of an SMTP session (RFC 5321 4.5.3.2) and for a letter as a whole."""

    connect: Duration = Field(30.0, gt=0, description="to open a TCP connection, per address of the relay")
    banner: Duration = Field(300.0, gt=0, description="for the greeting, and for TLS before it")
    ehlo: Duration = Field(300.0, gt=0, description="for the answer to EHLO and to STARTTLS")
    auth: Duration = Field(60.0, gt=0, description="for the answer to each step of a login")
    mail: Duration = Field(300.0, gt=0, description="for the answer to MAIL, and to RSET")
    rcpt: Duration = Field(300.0, gt=0, description="for the answer to RCPT")
    data: Duration = Field(120.0, gt=0, description="for the 354 after DATA")
    content: Duration = Field(180.0, gt=0, description="for sending each block of content")
    dot: Duration = Field(
        600.0, gt=0, description="for the answer to the final dot; a shorter limit leaves more letters in doubt"
    )
    quit: Duration = Field(5.0, gt=0, description="for the answer to QUIT")
    letter: Duration = Field(1200.0, gt=0, description="for a whole letter, from MAIL to the final dot")


class RelaySection(Section):
    """A relay in a list by weight: each relay gets its share of the letters."""

    url: str = Field(description="a URL or a preset")
    weight: float = Field(ge=0, le=1e6, description="its share, relative to the other weights; 0: only when they fail")

    def __str__(self) -> str:
        return f"{self.url} (weight {self.weight:g})"


class OauthSection(Section):
    """Access tokens that are obtained and renewed automatically, for login by XOAUTH2."""

    provider: Literal["google", "microsoft"] = Field(description="who issues the tokens: google or microsoft")
    file: Path = Field(
        description="mode 0600; Google: authorized_user or service_account JSON; Microsoft: a client secret, a key and "
        "certificate (PEM), or MSAL's token cache"
    )
    client_id: str = Field("", description="Microsoft: the application's ID")
    tenant: str = Field("", pattern=r"^[A-Za-z0-9.-]*$", description="Microsoft: the directory, its ID or domain")

    @model_validator(mode="after")
    def _as_the_provider_wants(self) -> OauthSection:
        given = bool(self.client_id) + bool(self.tenant)
        if self.provider == "microsoft" and given < 2:
            raise ValueError("microsoft needs client_id and tenant too")
        if self.provider == "google" and given:
            raise ValueError("client_id and tenant are for microsoft; Google's file holds all it needs")
        return self


class DeliverySection(Section):
    """Relays, limits, retries and timeouts."""

    relay: tuple[str | RelaySection, ...] = Field(
        ("mailbox",),
        description="smtps://user@host, smtp://host, a preset or mailbox; or a list, in order or by url and weight",
        json_schema_extra=one_or_many,
    )
    user: str = Field("", description="user name for the login, if the relay's URL has none, as with relay = 'gmail'")
    password_file: Path | None = Field(None, description="file with the relay's password, mode 0600")
    password_files: dict[str, Path] = Field(
        default_factory=no_entries, description="password files by host of the relay, if each has its own"
    )
    password_command: str = Field("", description="command that prints the password (or CAMPAIGN_RELAY_PASSWORD)")
    token_file: Path | None = Field(None, description="file with an OAuth2 access token, for login by XOAUTH2")
    token_command: str = Field("", description="command that prints an OAuth2 access token, for login by XOAUTH2")
    command_environment: tuple[str, ...] = Field(
        (), description="further environment variables that these commands need, such as VAULT_ADDR"
    )
    oauth: OauthSection | None = Field(
        None, description="provider and file, for access tokens that are renewed automatically"
    )
    tls_ca_file: Path | None = Field(None, description="PEM file of the authority that signed the relay's certificate")
    tls_fingerprint: str = Field(
        "",
        pattern=r"^$|^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$",
        description="SHA-256 of the relay's certificate in hex; without tls_ca_file it replaces the authority check",
    )
    tls_client_certificate: Path | None = Field(
        None, description="PEM file of the client certificate, for relays that ask for one (mutual TLS)"
    )
    tls_client_key: Path | None = Field(
        None, description="file with its private key, mode 0600 (default: the certificate's file)"
    )
    tls_client_certificates: dict[str, Path] = Field(
        default_factory=no_entries, description="client certificates by host of the relay, if each has its own"
    )
    tls_client_keys: dict[str, Path] = Field(
        default_factory=no_entries, description="their private keys, by the same hosts"
    )
    source_address: str = Field("", description="IPv4 or IPv6 address of this machine that connections come from")
    local_hostname: str = Field(
        "",
        pattern=r"^$|^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$|^\[[0-9A-Fa-f.:A-Z]{3,60}\]$",
        description="the name sent in EHLO (default: this machine's)",
    )
    connections: int = Field(20, ge=1, le=1000, description="maximum number of open connections")
    processes: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="number of processes that send; they share connections and limits; auto: one per core"
    )
    letters_per_connection: int = Field(500, ge=1, description="letters after which a connection is replaced")
    connection_age: Duration = Field(300.0, gt=0, description="age at which a connection is replaced")
    connection_idle: Duration = Field(30.0, gt=0, description="a connection idle for longer is closed")
    rate: Rates = Field((), description="limits such as '50/s'; each holds in every sliding window of its length")
    domain_rate: dict[str, Rates] = Field(
        default_factory=no_entries, description="limits per recipient domain, or per group of domain_groups"
    )
    domain_groups: dict[str, list[str]] = Field(
        default_factory=no_entries,
        description="domains that count as one, by name of the group; built in are google and microsoft",
    )
    ramp: RampText = Field(
        None, description="a rate that rises, such as '10/s..200/s over 30m'; starts again after the account was idle"
    )
    warmup_file: Path | None = Field(
        None, description="daily maximum for a new account: a file of lines 'day,letters', day 1 first"
    )
    reply_rules: list[dict[str, Any]] = Field(
        default_factory=no_items,
        description="rules for replies, applied before the built-in ones: text, code, enhanced, action, ...",
    )
    limit_wait: Duration = Field(
        900.0,
        description="if a limit holds all letters for longer than this, the run ends (75) and can be continued later",
    )
    canary: int = Field(
        0, ge=0, description="number of letters, spread over the plan, that are sent first; the rest waits for resume"
    )
    canary_hold: Duration | None = Field(None, description="release the rest automatically this long after the canary")
    canary_min_accepted: float = Field(
        0.97, ge=0, le=1, description="share of the canary that must be accepted; below it the run is held (exit 5)"
    )
    dsn: tuple[DsnWish, ...] = Field(
        (),
        description="notifications to request if the relay offers DSN: failure, delay, success; or never",
        json_schema_extra=one_or_many,
    )
    dsn_return: Literal["headers", "full"] = Field(
        "headers", description="how much of the letter a failure notification returns"
    )
    attempts: int = Field(5, ge=1, le=100, description="tries per letter before it is rejected")
    give_up_after: Duration = Field(
        86400.0,
        description="age at which a deferred letter is rejected; a time without any process counts as 4 h at most",
    )
    retry_after: Duration = Field(300.0, description="wait before the second try; doubles with each further one")
    relay_patience: Duration = Field(
        120.0,
        description="how long the run waits for a relay that cannot be reached, also at the start; then it exits 75",
    )
    relay_slow_after: Duration = Field(
        0.0,
        description="median time to a relay's greeting, or to its answers to final dots, above which it rests while "
        "another can serve; 0: never",
    )
    stop_connections: int = Field(
        5, ge=1, description="connections in a row without an acceptance after which a relay is no longer used"
    )
    stop_share: float = Field(
        0.1, gt=0, le=1, description="share of the last stop_window letters that, if refused by policy, stops the run"
    )
    stop_window: int = Field(200, ge=10, description="number of letters that stop_share covers")
    drain: Duration = Field(30.0, description="how long letters in flight may take to finish after a first signal")
    timeouts: Timeouts = Field(
        Timeouts.model_construct(), description="time limits of each step: connect, banner, mail, dot, ..."
    )

    @property
    def urls(self) -> tuple[str, ...]:
        """The relays as written, without their weights."""
        return tuple(one if isinstance(one, str) else one.url for one in self.relay)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each relay; empty for a list in order."""
        return tuple(one.weight for one in self.relay if isinstance(one, RelaySection))

    @field_validator("relay", "dsn", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str | dict) else value

    @field_validator("relay")
    @classmethod
    def _all_by_weight_or_none(cls, relays: tuple[str | RelaySection, ...]) -> tuple[str | RelaySection, ...]:
        weights = [one.weight for one in relays if isinstance(one, RelaySection)]
        if weights and len(weights) < len(relays):
            raise ValueError("every relay of the list has a weight, or none has; write { url = '...', weight = 1 }")
        if weights and not any(weights):
            raise ValueError("every relay has weight 0; one at least should be above it")
        return relays

    @field_validator("relay")
    @classmethod
    def _mailbox_stands_alone(cls, relays: tuple[str | RelaySection, ...]) -> tuple[str | RelaySection, ...]:
        """Refuse a run that is partly a rehearsal: it would be unclear which recipients have been served."""
        if len(relays) > 1 and any((one if isinstance(one, str) else one.url) == "mailbox" for one in relays):
            raise ValueError("'mailbox' stands alone, as its letters are a rehearsal; write it, or the other relays")
        return relays

    @field_validator("command_environment")
    @classmethod
    def _none_of_ours(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} is no name of a variable, such as VAULT_ADDR")
            if name.startswith("CAMPAIGN_"):
                raise ValueError(f"{name} is this program's own and is given to no command")
        return names

    @field_validator("source_address")
    @classmethod
    def _is_an_address(cls, text: str) -> str:
        if text:
            try:
                ipaddress.ip_address(text)
            except ValueError:
                raise ValueError(f"{text!r} is no IPv4 or IPv6 address, such as 192.0.2.7") from None
        return text

    @field_validator("dsn")
    @classmethod
    def _never_stands_alone(cls, wishes: tuple[DsnWish, ...]) -> tuple[DsnWish, ...]:
        if "never" in wishes and len(wishes) > 1:
            raise ValueError("'never' stands alone; write it, or what to be told of")
        return tuple(dict.fromkeys(wishes))

    @model_validator(mode="after")
    def _no_key_without_its_certificate(self) -> DeliverySection:
        if self.tls_client_key and not self.tls_client_certificate:
            raise ValueError("tls_client_key needs tls_client_certificate, the certificate it belongs to")
        if missing := sorted(set(self.tls_client_keys) - set(self.tls_client_certificates)):
            raise ValueError(f"tls_client_keys names {missing[0]}, for which tls_client_certificates has nothing")
        return self

    @model_validator(mode="after")
    def _one_source_of_tokens(self) -> DeliverySection:
        if self.oauth is not None and (self.token_file or self.token_command):
            raise ValueError("oauth takes the place of token_file and token_command; leave those out")
        return self
