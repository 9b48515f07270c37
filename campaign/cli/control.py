"""``campaign set``, ``pause``, ``resume``, ``stop`` and ``cancel``: steering a run from outside, without a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import lesson, meant_run, run_argument
from campaign.exit_codes import ExitCode

State = Literal["run", "pause", "stop", "cancel"]
CODES = "0 the request is recorded, 78 there is no run or it is over"
MOST_CONNECTIONS = 1000  # as in the campaign file


@click.command(
    "set", epilog=lesson("campaign set newsletter.toml rate=20/s connections=5", codes=CODES, more="docs/delivery.md")
)
@run_argument()
@click.argument("changes", nargs=-1, required=True, metavar="rate=20/s|connections=5 ...")
@json_option()
def set_command(run: str, changes: tuple[str, ...], as_json: bool) -> ExitCode:
    """Change RUN's rate or number of connections while it runs; it takes effect within a second.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file.
    """
    from campaign.config.units import rates
    from campaign.pipeline.operate.steer_run import steer_unfinished

    wanted: dict[str, object] = {}
    for change in changes:
        name, _, value = change.partition("=")
        try:
            if name == "rate":
                wanted["rate"] = rates([part for part in value.split(",") if part])
            elif name == "connections":
                wanted["connections"] = whole(value)
            else:
                raise click.UsageError(f"{change!r}: what can be set is rate=20/s and connections=5.")
        except ValueError as error:
            raise click.UsageError(f"{change!r}: {error}") from error
    folder = meant_run(run)
    later = steer_unfinished(folder, **wanted)
    _say(folder, "set", later, as_json, changes=list(changes))
    return ExitCode.DONE


def whole(text: str) -> int:
    """A number of connections. Raises ValueError."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_CONNECTIONS:
        raise ValueError(f"{text!r} is not a whole number from 1 to {MOST_CONNECTIONS}")
    return int(text)


@click.command("pause", epilog=lesson("campaign pause newsletter.toml", codes=CODES, more="docs/delivery.md"))
@run_argument()
@json_option()
def pause_command(run: str, as_json: bool) -> ExitCode:
    """Pause RUN: start no more letters until `campaign resume`; its process stays.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file.
    """
    return _steer(run, "pause", "paused", as_json)


@click.command("resume", epilog=lesson("campaign resume newsletter.toml", codes=CODES, more="docs/delivery.md"))
@run_argument()
@json_option()
def resume_command(run: str, as_json: bool) -> ExitCode:
    """Continue a paused or stopped RUN; if its process has ended, the next `campaign send` continues it.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file.
    """
    return _steer(run, "run", "released", as_json)


@click.command(
    "stop",
    epilog=lesson(
        "campaign stop newsletter.toml",
        codes="0 the request is recorded, or the run is over, 78 there is no run",
        more="docs/delivery.md",
    ),
)
@run_argument()
@json_option()
def stop_command(run: str, as_json: bool) -> ExitCode:
    """Finish the letters in flight and hold RUN until `campaign resume`; `campaign send` then exits 5.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file.
    """
    from campaign.pipeline.operate.steer_run import stop_unless_over

    folder = meant_run(run)
    became = stop_unless_over(folder)
    word, _, later = became.partition("; ")
    over = not word.startswith("stopped")
    _say(folder, "over" if over else word, became if over else later, as_json)
    return ExitCode.DONE


@click.command(
    "cancel",
    epilog=lesson(
        "campaign cancel newsletter.toml",
        codes="0 the request is recorded, 78 there is no run",
        more="docs/delivery.md",
    ),
)
@run_argument()
@json_option()
def cancel_command(run: str, as_json: bool) -> ExitCode:
    """Finish the letters in flight and end RUN permanently; the rest are cancelled. Only `campaign retry` serves them.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file.
    """
    from campaign.pipeline.operate.manage import cancel

    folder = meant_run(run)
    by_its_process, code = cancel(folder)
    _say(folder, "cancelled", "its process is finishing" if by_its_process else "the rest are in failed.csv", as_json)
    return ExitCode.DONE if by_its_process or code is ExitCode.SOME_FAILED else code


def _steer(run: str, state: State, word: str, as_json: bool) -> ExitCode:
    from campaign.pipeline.operate.steer_run import steer_unfinished

    folder = meant_run(run)
    _say(folder, word, steer_unfinished(folder, state=state), as_json)
    return ExitCode.DONE


def _say(folder: Path, done: str, note: str, as_json: bool, **facts: object) -> None:
    """What was done, and when it takes effect."""
    if as_json:
        print_json({"run": str(folder), "done": done, "note": note or None, **facts})
    elif done == "over":
        click.echo(note, err=True)
    else:
        click.echo(f"{done}; {note}" if note else done, err=True)
