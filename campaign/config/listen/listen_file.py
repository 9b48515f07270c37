"""The listen file of `campaign listen`: one section, on a host that has no campaign's secret."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from campaign.config.base_section import Section
from campaign.config.listen.listen_webhook import ListenWebhookSection
from campaign.errors import ConfigError

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class ListenSection(Section):
    """Where requests come in, where they are stored, and how the page looks."""

    events: str = Field(
        "events",
        min_length=1,
        description="folder of the stored requests, or a bucket: s3://BUCKET/PREFIX?region=REGION, with "
        "endpoint=https://HOST in place of region if it is not Amazon's",
    )
    bucket_key_file: Path | None = Field(
        None, description="file with the bucket's access key, KEYID:SECRET, mode 0600, if it is not in the environment"
    )
    bucket_ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the certificate of the bucket's server"
    )
    clicks_per_minute: int = Field(
        60_000, ge=60, description="unsubscribes that are stored in a minute; what is above is answered 503"
    )
    host: str = Field("127.0.0.1", description="address to listen on; a web server with TLS passes requests on to it")
    port: int = Field(8025, ge=0, le=65535, description="port to listen on; 0 chooses a free one")
    proxies: str = Field(
        "127.0.0.1", description="addresses of the web servers whose X-Forwarded-For counts, with commas between"
    )
    fetch_token_file: Path | None = Field(
        None, description="file with the token by which collect fetches the requests, mode 0600; without it nobody can"
    )
    campaign: Path | None = Field(
        None, description="campaign file, if its secret is on this host: links that are not of it are then answered 404"
    )
    name: str = Field("", max_length=200, description="name on the page, such as that of the newsletter")
    colour: str = Field("#1f5fbf", description="colour of the button, such as #1f5fbf; its text is black or white")
    language: str = Field("en", description="language of the page if the browser asks for none of those there are")
    privacy: str = Field("", description="https address of a privacy page, linked from the page")
    imprint: str = Field("", description="https address of an imprint, linked from the page")
    webhook: tuple[ListenWebhookSection, ...] = Field((), description="providers whose webhooks are taken")

    @property
    def in_bucket(self) -> bool:
        """Whether requests are stored in a bucket."""
        return self.events.startswith("s3://")

    @field_validator("colour")
    @classmethod
    def _six_digits(cls, colour: str) -> str:
        if not _COLOUR.fullmatch(colour):
            raise ValueError(f"{colour!r} is no colour such as #1f5fbf")
        return colour.lower()

    @field_validator("privacy", "imprint")
    @classmethod
    def _https(cls, url: str) -> str:
        if url and not re.fullmatch(r"https://[^\s\"'<>]{1,500}", url):
            raise ValueError(f"{url!r} is no https:// address")
        return url

    @field_validator("webhook")
    @classmethod
    def _addresses_differ(cls, webhooks: tuple[ListenWebhookSection, ...]) -> tuple[ListenWebhookSection, ...]:
        addresses = [one.address for one in webhooks]
        for one in addresses:
            if addresses.count(one) > 1:
                raise ValueError(f"two webhooks have the address {one}; give one of them a path")
        return webhooks

    @model_validator(mode="after")
    def _one_place(self) -> ListenSection:
        if self.in_bucket and self.fetch_token_file:
            raise ValueError("fetch_token_file has no meaning with a bucket; collect fetches from the bucket itself")
        if not self.in_bucket and (self.bucket_key_file or self.bucket_ca_file):
            raise ValueError('bucket_key_file and bucket_ca_file need a bucket: events = "s3://BUCKET/PREFIX"')
        return self


class ListenFile(Section):
    """The sections of a listen file."""

    listen: ListenSection


class ListenSettings(ListenFile):
    """A parsed listen file. ``base`` is its folder, to which relative paths are relative."""

    base: Path
    file: Path

    def path(self, name: Path) -> Path:
        """The absolute form of a path in the file."""
        return self.base / name

    @property
    def place(self) -> str:
        """Where requests are stored: a folder, or a bucket."""
        return self.listen.events if self.listen.in_bucket else str(self.path(Path(self.listen.events)))


def load_listen(file: Path, changes: Mapping[str, Any] | None = None) -> ListenSettings:
    """Parse ``file``; ``changes`` replace keys of [listen]. Raises ConfigError naming every mistake."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        section = data.get("listen")
        if isinstance(section, dict):
            section.update(changes or {})
        parsed = ListenFile.model_validate(data)
    except OSError as error:
        raise ConfigError(
            f"The listen file {file} cannot be read.",
            evidence=error.strerror or str(error),
            next_step="name one that is there; docs/listen.md shows one of four lines",
        ) from None
    except ValidationError as error:
        raise ConfigError(
            f"The listen file {file} has mistakes.",
            evidence=[f"{'.'.join(map(str, one['loc']))}: {_plain(one)}" for one in error.errors()],
            next_step=f"correct {file}; docs/listen.md describes each key",
        ) from None
    except ValueError as error:  # no UTF-8, no TOML
        raise ConfigError(
            f"The listen file {file} is not valid TOML.", evidence=str(error), next_step=f"correct {file}"
        ) from None
    return ListenSettings(**dict(parsed), base=file.resolve().parent, file=file.resolve())


def _plain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key; known here: {', '.join(ListenSection.model_fields)}"
    return str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
