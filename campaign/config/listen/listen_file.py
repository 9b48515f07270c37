"""The listen file of `campaign listen`: one section, on a host that has no campaign's secret."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from campaign.config.base_section import Section
from campaign.config.listen.listen_webhook import ListenWebhookSection
from campaign.errors import ConfigError

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class ListenSection(Section):
    """Where requests come in, where they are stored, and how the page looks."""

    events: Path = Field(Path("events"), description="folder of the stored requests")
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
