"""``campaign set``, ``pause``, ``resume``, ``stop`` and ``cancel``: steering a run from outside, without a restart."""

from __future__ import annotations

from typing import Literal

import click

from campaign.cli.options import run_argument
from campaign.exit_codes import ExitCode

State = Literal["run", "pause", "stop", "cancel"]
NOT_RUNNING = "no process serves this run now; it is noted for the next one"


@click.command("set")
@run_argument()
@click.argument("changes", nargs=-1, required=True, metavar="rate=20/s|connections=5 ...")
def set_command(run: str, changes: tuple[str, ...]) -> ExitCode:
    """Change RUN's rate or number of connections while it runs; it obeys within a second."""
    from campaign.config.units import rates
    from campaign.pipeline.upkeep import find_run, steer

    wanted: dict[str, object] = {}
    for change in changes:
        name, _, value = change.partition("=")
        try:
            if name == "rate":
                wanted["rate"] = rates([part for part in value.split(",") if part])
            elif name == "connections":
                wanted["connections"] = max(int(value), 1)
            else:
                raise click.UsageError(f"{change!r}: what can be set is rate=20/s and connections=5.")
        except ValueError as error:
            raise click.UsageError(f"{change!r}: {error}") from error
    obeyed = steer(find_run(run), **wanted)  # type: ignore[arg-type] # built above, by name
    _say("set", obeyed)
    return ExitCode.DONE


@click.command("pause")
@run_argument()
def pause_command(run: str) -> ExitCode:
    """Let RUN draw no more letters until `campaign resume`; its process stays."""
    return _steer(run, "pause", "paused")


@click.command("resume")
@run_argument()
def resume_command(run: str) -> ExitCode:
    """Let a paused or stopped RUN go on; one whose process has left goes on with the next `campaign send`."""
    return _steer(run, "run", "released")


@click.command("stop")
@run_argument()
def stop_command(run: str) -> ExitCode:
    """Finish the letters in flight and hold RUN (exit 5) until `campaign resume`."""
    return _steer(run, "stop", "stopped")


@click.command("cancel")
@run_argument()
def cancel_command(run: str) -> ExitCode:
    """Finish the letters in flight and end RUN for good; the rest are cancelled."""
    from campaign.pipeline.upkeep import cancel, find_run

    by_its_process, code = cancel(find_run(run))
    click.echo(
        "cancelled; its process is finishing" if by_its_process else "cancelled; the rest are in failed.csv", err=True
    )
    return ExitCode.DONE if by_its_process or code is ExitCode.SOME_FAILED else code


def _steer(run: str, state: State, word: str) -> ExitCode:
    from campaign.pipeline.upkeep import find_run, steer

    _say(word, steer(find_run(run), state=state))
    return ExitCode.DONE


def _say(word: str, obeyed: bool) -> None:
    click.echo(word if obeyed else f"{word}; {NOT_RUNNING}", err=True)
