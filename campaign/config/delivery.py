"""The ``[delivery]`` section: how it goes out."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from campaign.config.slice import Slice
from campaign.config.units import Duration, Rates


class DeliverySlice(Slice):
    """Relays, limits and patience."""

    relay: tuple[str, ...] = Field(
        ("mailbox",), description="smtps://user@host, smtp://host, a preset or mailbox; or a list"
    )
    password_file: Path | None = Field(None, description="file that holds the relay's password, mode 0600")
    password_command: str = Field("", description="command that prints the password (or CAMPAIGN_RELAY_PASSWORD)")
    connections: int = Field(20, ge=1, le=1000, description="open connections at most")
    rate: Rates = Field((), description="limits such as '50/s'; each holds in every sliding window of its length")
    domain_rate: dict[str, Rates] = Field(default_factory=dict, description="limits per recipient domain")
    attempts: int = Field(5, ge=1, le=100, description="tries per letter before it is rejected")
    give_up_after: Duration = Field(86400.0, description="age at which a deferred letter is rejected")
    retry_after: Duration = Field(300.0, description="wait before the second try; doubles with each further one")

    @field_validator("relay", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value
