"""The ``[report]`` section: progress lines, metrics, traces, logged addresses and ignored findings."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from campaign.config.base_section import Section
from campaign.config.units import Duration


class IgnoredFindingSection(Section):
    """A finding of `campaign check` that does not count, and why."""

    finding: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="name of the finding, such as spf-missing")
    reason: str = Field(pattern=r"\S", description="why it does not count, in words that check and report repeat")


class ReportSection(Section):
    """How often a run prints progress lines, where its metrics and traces go, and which findings do not count."""

    interval: Duration = Field(10.0, gt=0, description="time between progress lines when not on a terminal")
    metrics_file: Path | None = Field(None, description="a .prom file for the node exporter's textfile collector")
    metrics_interval: Duration = Field(15.0, gt=0, description="how often the metrics are written during a run")
    push_url: str = Field(
        "",
        description="a Prometheus Pushgateway that gets the same metrics; https, or on loopback",
        json_schema_extra={"pattern": "^$|^https?://"},
    )
    push_login_file: Path | None = Field(
        None, description="file with user:password for push_url, mode 0600 (HTTP basic authentication)"
    )
    traces: Literal["", "otlp", "off"] = Field(
        "", description="otlp: OpenTelemetry spans; by default only if OTEL_EXPORTER_OTLP_ENDPOINT is set"
    )
    trace_header: str = Field(
        "X-Campaign-Trace",
        pattern=r"^$|^[A-Za-z][A-Za-z0-9-]{0,49}$",
        description="header with the run's trace id, the same in each of its letters; empty: none",
    )
    ignore: tuple[IgnoredFindingSection, ...] = Field(
        (), description="findings of check that do not count, each with its reason; not those for which send stops"
    )
    show_addresses: bool = Field(False, description="write whole addresses to log.jsonl; by default only the domain")

    @field_validator("ignore", mode="before")
    @classmethod
    def _each_with_a_reason(cls, value: object) -> object:
        """Show a bare name with the reason that it lacks."""
        bare = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
        if bare:
            raise ValueError(
                f'each has a reason: ignore = [{{ finding = "{bare[0]}", reason = "why it does not count" }}]'
            )
        return value

    @field_validator("push_url")
    @classmethod
    def _no_secret_in_clear(cls, value: str) -> str:
        """Require HTTPS off this machine, because a push may carry a password and its figures are confidential."""
        url = urlsplit(value)
        if value and (url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment):
            raise ValueError("should be such as https://push.example.com or http://127.0.0.1:9091")
        if url.username or url.password:
            raise ValueError("a login stands in push_login_file, never in the address")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            raise ValueError("off this machine it takes https")
        return value.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine, decided without a DNS lookup."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
