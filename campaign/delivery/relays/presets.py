"""Presets of well-known relays by name: ``gmail``, ``ses:eu-west-1``, ``sendgrid``.

The figures are data in `presets.toml`, each with its source. This module only looks names up.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec

from campaign.config.units import Rate, rates
from campaign.errors import ConfigError, close_matches

#: What a relay does with our return path.
ReturnPath = Literal["kept", "rewritten", "own"]


class Preset(msgspec.Struct, frozen=True):
    """A relay's settings. ``connections`` and ``letters`` (per connection) are 0 if there is no relevant limit.

    ``rate`` is empty if limits differ between accounts. ``return_path`` says whether the relay keeps ours, replaces it,
    or refuses any but the account's own address. ``sources`` name the provider's page for each figure, or say that
    the figure is our own cautious choice.
    """

    name: str
    title: str
    host: str
    port: int
    tls: Literal["implicit", "starttls"]
    username: str
    connections: int
    letters: int
    rate: tuple[Rate, ...]
    return_path: ReturnPath
    notes: str
    sources: tuple[str, ...]

    @property
    def url(self) -> str:
        """The relay's URL as in a campaign file, without a user."""
        return f"{'smtps' if self.tls == 'implicit' else 'smtp'}://{self.host}:{self.port}"


def lookup(text: str) -> Preset | None:
    """The preset that ``text`` names, with its region after a colon; None if there is none.

    Raises ConfigError if the name is known but the region is missing, malformed or superfluous.
    """
    name, _, region = text.strip().lower().partition(":")
    table = _tables().get(name)
    return None if table is None else _preset(name, region, table)


def rewritten_at(host: str) -> tuple[str, ...]:
    """The header fields that the relay at ``host`` replaces in each letter; empty for most relays."""
    return tuple(_at(host).get("rewrites", ()))


def return_path_at(host: str) -> ReturnPath | None:
    """What the relay at ``host`` does with a return path; ``None`` if it is not a preset, such as your own server."""
    return _at(host).get("return_path")


def idempotency_at(host: str) -> tuple[str, float]:
    """The header by which the relay at ``host`` drops second copies, and for how many seconds; ``("", 0)`` if none."""
    table = _at(host).get("idempotency", {"header": "", "seconds": 0})
    return table["header"], float(table["seconds"])


def known() -> list[str]:
    """Every name that `lookup` accepts, for suggestions and for the docs."""
    return sorted(_tables())


def suggestion(text: str, others: Sequence[str] = ()) -> str:
    """``"did you mean 'sendgrid'?"``, or the list of names, with those of ``others``."""
    names = sorted([*known(), *others])
    close = close_matches(text.strip().lower().partition(":")[0], names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known presets: {', '.join(names)}"


def _preset(name: str, region: str, table: dict[str, Any]) -> Preset:
    pattern = table.get("region", "")
    if bool(pattern) != bool(region) or not re.fullmatch(pattern, region):
        example = f"{name}:{table['region_example']}" if pattern else name
        raise ConfigError(
            f"The relay {name}{':' + region if region else ''} has no such region."
            if region
            else f"The relay {name} needs its region.",
            next_step=f'write it as relay = "{example}"',
        )
    return Preset(
        name=f"{name}:{region}" if region else name,
        title=table["title"],
        host=table["host"].format(region=region),
        port=table["port"],
        tls=table["tls"],
        username=table["username"],
        connections=table["connections"],
        letters=table["letters"],
        rate=rates(table["rate"]),
        return_path=table["return_path"],
        notes=table["notes"],
        sources=tuple(table["sources"]),
    )


def _at(host: str) -> dict[str, Any]:
    """The table of the preset to which ``host`` belongs, in any region; empty for other hosts.

    A region is never one of the last two labels, so the file is parsed only if it has these: that takes milliseconds.
    """
    if ".".join(host.lower().split(".")[-2:]) not in _text():
        return {}
    for table in _tables().values():
        form = re.escape(table["host"]).replace(re.escape("{region}"), table.get("region", ""))
        if re.fullmatch(form, host.lower()):
            return table
    return {}


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return {name: table for table in tomllib.loads(_text())["preset"] for name in table["names"]}


@cache
def _text() -> str:
    return resources.files(__package__).joinpath("presets.toml").read_text(encoding="utf-8")
