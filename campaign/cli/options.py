"""What several commands share: the campaign file, the run, durations, and loading settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from campaign.config.units import duration

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class DurationType(click.ParamType[float]):
    """``2h``, ``90s``; seconds as a float."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse, or fail with the sentence of `duration`."""
        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def campaign_file() -> Decorator:
    """The argument FILE."""
    return click.argument("file", type=click.Path(path_type=Path), metavar="FILE")


def run_argument(*, required: bool = True) -> Decorator:
    """The argument RUN: a run folder, or something above it."""
    return click.argument(
        "run", required=required, default=None if required else "", metavar="RUN" if required else "[RUN]"
    )
