"""Options and arguments shared by commands: the campaign file, the run, durations, counts, and how a help text ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from campaign.cli.completion import CampaignFileType, RunType

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class DurationType(click.ParamType[float]):
    """``2h``, ``90s``; seconds as a float."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse, or fail with the sentence of `duration`."""
        from campaign.config.units import duration

        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Count(click.ParamType[int]):
    """A whole number from 1 up."""

    name = "n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse, or fail."""
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            self.fail(f"{value!r} is not a whole number from 1 up.", param, ctx)
        return number


class Row(click.ParamType[int | str]):
    """A row of the list as `check` names it: a number, or ``FILE:LINE`` in a list of several files."""

    name = "n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Parse, or fail."""
        file, colon, line = str(value).rpartition(":")
        return str(value) if file and colon and line.isdecimal() else Count().convert(value, param, ctx)


def campaign_file() -> Decorator:
    """The argument FILE."""
    return click.argument("file", type=CampaignFileType(readable=False, path_type=Path), metavar="FILE")


def run_argument(*, required: bool = True) -> Decorator:
    """The argument RUN: a run folder, something above it, or a campaign file."""
    return click.argument(
        "run",
        type=RunType(),
        required=required,
        default=None if required else "",
        metavar="RUN" if required else "[RUN]",
    )


def meant_run(named: str) -> Path:
    """The run folder that was meant; messages about it go to stderr. Raises ConfigError, DamageError."""
    from campaign.pipeline.find_run import find_run

    return find_run(named, lambda text: click.echo(text, err=True))


def lesson(*examples: str, codes: str, more: str) -> str:
    """The end of each command's help: an example, its exit codes, and where to read on.

    ``more`` names a page of docs/; ``codes`` is such as "0 sound, 78 an error".
    """
    lines = "\n".join(f"  {example}" for example in examples)
    heading = "Example:" if len(examples) == 1 else "Examples:"
    ends = f"Exit codes: {codes}; all of them: docs/contract.md."
    return f"\b\n{heading}\n{lines}\n\n{ends}\n\nMore: {more}"
