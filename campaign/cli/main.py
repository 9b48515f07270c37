"""The group of commands, each imported only when used so that light ones start fast, and the end of every command.

Commands return an `ExitCode` or raise a `CampaignError`; the user sees only an exit code and a message.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import traceback
from types import FrameType

import click

from campaign import __version__
from campaign.errors import CampaignError, ConfigError, close_matches, install_extra
from campaign.exit_codes import ExitCode, of_error
from campaign.pipeline.serve.gc_tuning import THRESHOLDS
from campaign.report.formatting import printable
from campaign.report.printed_commands import NAME, program, typeable

#: Command -> its module in this folder, and its line in the help, in the order of a campaign's life.
COMMANDS = {
    "init": ("init", "Write a first campaign for a list, and a letter to begin with."),
    "check": ("check", "Check data, every letter and the relay; send nothing."),
    "preview": ("preview", "Write some letters as .eml files and a page to look at."),
    "test": ("test", "Send real rows to yourself."),
    "send": ("send", "Send to the list, or continue an unfinished run."),
    "retry": ("retry", "Send again to those who failed."),
    "status": ("status", "Show the state of a run, also while it runs."),
    "set": ("control", "Change a run's rate or connections while it runs."),
    "pause": ("control", "Pause a run: start no more letters for now."),
    "resume": ("control", "Continue a paused or stopped run."),
    "stop": ("control", "Finish letters in flight and hold the run."),
    "cancel": ("control", "Finish letters in flight and end the run permanently."),
    "collect": ("collect", "Read bounces, complaints and unsubscribes."),
    "listen": ("listen", "Take unsubscribes and webhooks on a public host."),
    "suppression": ("suppression", "Show which addresses are left out, and why."),
    "forget": ("forget", "Erase a person from everything that the ledger keeps."),
    "move": ("move", "Bring the runs from files into a store."),
    "resolve": ("resolve", "Settle letters in doubt from the relay's log."),
    "repair": ("repair", "Save what can be saved of a damaged journal."),
    "report": ("report", "Write the HTML report and the summary again."),
    "stats": ("stats", "Compare the editions of a campaign."),
    "explain": ("explain", "Explain a finding, an exit code, a message or a key."),
    "schema": ("schema", "Print the schema of the campaign file, for an editor."),
    "unsubscribe-token": ("unsubscribe_token", "Show which recipient an unsubscribe link stands for."),
}


class Commands(click.Group):
    """Imports a command's module only when the command is used."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """All commands, in the order of a campaign's life."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """One command, imported now."""
        if name not in COMMANDS:
            return None
        module, line = COMMANDS[name]
        command = getattr(importlib.import_module(f"campaign.cli.{module}"), f"{name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)  # noqa: S101 - an internal error, caught by the first test that runs it
        command.short_help = line
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed, or an error that suggests one."""
        typed = args[0]
        if typed not in COMMANDS and not ctx.resilient_parsing:
            close = close_matches(typed, COMMANDS, n=1, cutoff=0.5)
            meant = f"campaign send {typed}" if typed.endswith(".toml") else f"campaign {close[0]}" if close else ""
            ctx.fail(f"There is no command {typed!r}" + (f"; did you mean: {meant}" if meant else "."))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="campaign")
@click.pass_context
def cli(context: click.Context) -> None:
    """Send a campaign to everyone on a list, exactly once each.

    \b
    A first campaign:
    campaign init                     writes newsletter.toml
    campaign check newsletter.toml    sends nothing
    campaign preview newsletter.toml  shows some letters
    campaign test newsletter.toml --to me@example.com
    campaign send newsletter.toml     after a stop, goes on

    Exit codes: 0 all served, 3 some failed, 4 some in doubt, 5 held, 75 run it again later; docs/contract.md
    lists all of them.
    """  # noqa: D301 - click needs a real backspace before text that it must not wrap
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False


def main() -> None:
    """Run the command line and exit with the contract's code."""
    open_standard_streams()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for some takes longer than most commands
    gc.set_threshold(*THRESHOLDS)  # what is imported and read at the start is not garbage
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except SystemExit as left:
        # 1: click, if the pipe of our output was closed
        code = ExitCode.DONE if left.code == 1 else failed(_stopped(), left.code)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last resort is an exit code too
        code = failed(*failure_of(error))
    let_go_of_streams()
    gc.freeze()  # else Python looks for garbage in all that was imported when it ends: a fifth of a short run
    sys.exit(int(code or 0))


def failure_of(error: BaseException) -> tuple[CampaignError, ExitCode]:
    """The error as the user is told it, and its exit code."""
    if isinstance(error, ModuleNotFoundError) and error.name == "psycopg":  # of a store, whose modules all import it
        error = ConfigError("A store needs a library that is not installed.", next_step=install_extra("postgresql"))
    if isinstance(error, CampaignError):
        say(str(error))
        return error, of_error(error)
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return _stopped(), ExitCode.INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return wrong_command_line(error), ExitCode.USAGE
    if isinstance(error, OSError):
        told = CampaignError(
            "Something could not be read or written.",
            evidence=str(error),
            next_step="see to it, then run the same command again",
        )
        say(str(told))
        return told, ExitCode.CANNOT_WRITE
    traceback.print_exception(error)
    told = CampaignError(
        f"An internal error ended this: {type(error).__name__}: {error}.",
        next_step="run the same command again, it continues; please report the lines above",
    )
    say(str(told))
    return told, ExitCode.INTERNAL


def wrong_command_line(error: click.ClickException) -> CampaignError:
    """The sentence of click, and the command that shows what can be typed."""
    context = getattr(error, "ctx", None)
    typed = f"{NAME} {context.info_name}" if context and context.parent else program()
    return CampaignError(error.format_message(), next_step=f"{typed} --help")


def _stopped() -> CampaignError:
    return CampaignError("A signal stopped this command.", next_step="run the same command again")


def failed(error: CampaignError, code: ExitCode | int | str | None) -> ExitCode | int | str | None:
    """Print the failure as JSON too, if that was asked for; returns ``code``."""
    if isinstance(code, int) and code:
        from campaign.cli.json_output import print_failure

        print_failure(error, code, sys.argv[1:])
    return code


def open_standard_streams() -> None:
    """Open standard streams that a scheduler closed; else the next file, even the journal, would get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as we live
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - likewise


def let_go_of_streams() -> None:
    """Flush; a closed pipe must not change the exit code when the interpreter flushes for the last time."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str) -> None:
    """Print to stderr, without control characters from a list or a relay."""
    with contextlib.suppress(OSError):
        click.echo("\n".join(printable(line) for line in typeable(text).split("\n")), err=True)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM before anything is sent: exit like an exception, so that partial files are removed."""
    sys.exit(int(ExitCode.TERMINATED))
