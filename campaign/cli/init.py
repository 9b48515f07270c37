"""``campaign init``: write a first campaign file and a letter for a list. The questions are in `questions.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import lesson
from campaign.exit_codes import ExitCode

if TYPE_CHECKING:  # the modules are loaded when the command runs
    from campaign.pipeline.begin.begin_campaign import Begun
    from campaign.pipeline.begin.campaign_file_text import NewCampaign

STARTERS = ("newsletter", "notice", "invoice")
FORMS = ("html", "markdown", "mjml")


@click.command(
    "init",
    epilog=lesson(
        "campaign init",
        'campaign init gazette --list people.csv --from "Ada <news@example.com>" --template notice',
        codes="0 written, 2 an option is missing and there is no terminal to ask, 65 the list cannot be read or has no "
        "column of addresses, 78 a file is already there",
        more="docs/guide.md begins with it.",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".", metavar="[FOLDER]")
@click.option("--list", "source", default="", metavar="FILE", help="The list, or a database URL (default: asked).")
@click.option("--query", default="", metavar="SQL", help="The select statement, if the list is a database.")
@click.option("--address", default="", metavar="COLUMN", help="The column of addresses (default: found).")
@click.option("--encoding", default="", help="What a text file is in, if not UTF-8 (default: asked, or the likeliest).")
@click.option("--from", "sender", default="", metavar="MAILBOX", help="Who sends: 'Name <address>' (default: asked).")
@click.option("--relay", default="", help="What sends: a URL or a preset (default: mailbox, a rehearsal).")
@click.option("--name", default="", help="Name of the campaign and of its files (default: that of the template).")
@click.option(
    "--template", "starter", type=click.Choice(STARTERS), help="The letter to begin with (default: newsletter)."
)
@click.option("--format", "form", type=click.Choice(FORMS), help="What its template is written in (default: html).")
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults for everything that is not given.")
@json_option()
def init_command(folder: Path, as_json: bool, **given: Any) -> ExitCode:
    """Look at a list and write into FOLDER what a first campaign needs: a campaign file and a letter. Nothing is sent.

    On a terminal it asks for what is not given. The columns, the encoding and the row of the header are found by
    reading the list. No file is overwritten.
    """
    from campaign.cli.questions import Questions
    from campaign.pipeline.begin.begin_campaign import begin_campaign
    from campaign.report.live.console import Console

    console = Console()
    new = Questions(given, console.tell, terminal=has_terminal()).new_campaign(folder)
    begun = begin_campaign(new, folder)
    for line in notes(new, begun):
        console.tell(line)
    if as_json:
        print_json(begun_facts(new, begun))
        return ExitCode.DONE
    console.tell("Next:")
    for line in commands(str(begun.written[0]), new.relay):
        click.echo(line)
    return ExitCode.DONE


def has_terminal() -> bool:
    """Whether somebody can be asked: the questions go to stderr, the answers come from stdin."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def begun_facts(new: NewCampaign, begun: Begun) -> dict[str, Any]:
    """What was found and written, for programs."""
    found = new.found
    return {
        "file": str(begun.written[0]),
        "written": [str(path) for path in begun.written],
        "kept": [str(path) for path in begun.kept],
        "list": {
            "source": new.source,
            "columns": list(found.headers),
            "address": found.headers[found.address],
            "display_name": None if found.display is None else found.headers[found.display],
            "recipients": found.planned,
            "left_out": sum(found.aside.values()),
            "more": bool(found.more),
        },
        "next": list(next_commands(str(begun.written[0]), new.relay)),
    }


def notes(new: NewCampaign, begun: Begun) -> Iterator[str]:
    """What was written, what was kept, and what to look at first."""
    from campaign.pipeline.begin.begin_campaign import lacks_ignored
    from campaign.pipeline.begin.starter_letter import shown_columns
    from campaign.report.live.console import path_text

    yield f"wrote {', '.join(map(path_text, begun.written))}"
    for path in begun.kept:
        lacking = lacks_ignored(path) if path.name == ".gitignore" else []
        yield f"kept {path_text(path)} as it is" + (f"; add to it: {' '.join(lacking)}" if lacking else "")
    if shown := shown_columns(new.starter, new.found):
        names = ", ".join(new.found.headers[at] for at in shown)
        yield f"the letter shows these columns: {names}; take out what its readers should not see"
    if not new.found.planned:
        yield f"{new.source} has nobody to write to yet: add a row before you check"


def next_commands(file: str, relay: str) -> dict[str, str]:
    """The commands to type next, each with what it does."""
    from campaign.report.printed_commands import command_text, typeable

    rehearsal = "" if relay == "mailbox" else "mailbox"
    typed = {
        command_text("check", file): "everything short of sending",
        command_text("preview", file): "look at the letters in a browser",
        command_text("send", file, rehearsal): "a rehearsal: nobody gets a letter",
    }
    return {typeable(command): meaning for command, meaning in typed.items()}


def commands(file: str, relay: str) -> list[str]:
    """The commands to type next: check, preview, and a rehearsal."""
    lines = next_commands(file, relay)
    width = max(map(len, lines))
    return [f"{command:<{width}}  # {meaning}" for command, meaning in lines.items()]
