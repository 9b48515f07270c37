"""``campaign move``: bring a campaign's runs from files into its store."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import campaign_file, lesson
from campaign.exit_codes import ExitCode


@click.command(
    "move",
    epilog=lesson(
        "campaign move newsletter.toml --dry-run",
        "campaign move newsletter.toml",
        codes="0 moved, or nothing to move, 73 the store cannot be used, 74 a journal is damaged, "
        "75 a process is at work, 78 ledger.store is not set, or an edition is in both",
        more="docs/scale.md",
    ),
)
@campaign_file()
@click.option("--dry-run", is_flag=True, help="Only show what would be moved.")
@json_option()
def move_command(file: Path, dry_run: bool, as_json: bool) -> ExitCode:
    """Move all runs of FILE's campaign from its ledger directory into the store that ledger.store names.

    Runs of all editions go there, finished and unfinished, with letters in doubt, and what came back. Their folders are
    copies from then on. Nobody is lost or served twice; after a kill, type it again.
    """
    from campaign.config import load
    from campaign.pipeline.workers.campaign_store import needed_store

    settings = load(file)
    needed_store(settings)  # before what needs its library is loaded
    from campaign.pipeline.workers.upkeep.move_campaign import move
    from campaign.pipeline.workers.upkeep.move_words import move_facts, move_lines
    from campaign.report.formatting import printable
    from campaign.report.live.terminal_width import fitted, width_of
    from campaign.report.printed_commands import typeable

    result = move(settings, dry_run=dry_run)
    if as_json:
        print_json(move_facts(result))
        return ExitCode.DONE
    for line in move_lines(result):
        click.echo(fitted(printable(typeable(line)), width_of(sys.stdout)))
    return ExitCode.DONE
