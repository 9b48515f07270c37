"""``campaign forget``: erase a person from everything that the ledger keeps."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import campaign_file, lesson
from campaign.exit_codes import ExitCode


@click.command(
    "forget",
    epilog=lesson(
        "campaign forget newsletter.toml ada@example.com --dry-run",
        "campaign forget newsletter.toml ada@example.com",
        codes="0 forgotten, or found nowhere, 65 ADDRESS is invalid, 73 the store cannot be used, "
        "74 a journal is damaged, 75 a process is at work, or something is left",
        more="docs/privacy.md",
    ),
)
@campaign_file()
@click.argument("address", metavar="ADDRESS")
@click.option("--dry-run", is_flag=True, help="Only show what would be erased.")
@json_option()
def forget_command(file: Path, address: str, dry_run: bool, as_json: bool) -> ExitCode:
    """Erase the person with this ADDRESS from all runs of all campaigns in FILE's ledger directory.

    The person is erased from plans, journals, reports, tables, letters of rehearsals and feedback. A letter that still
    waits is withdrawn; no one else is affected. A suppressed person stays so, by a hash. Your own list is not changed.
    With a store the person is erased there, too, and other machines erase their copies at their next command.
    """
    from campaign.config import load
    from campaign.pipeline.operate.forget.forget_person import forget
    from campaign.pipeline.operate.forget.forget_words import forget_facts, forget_lines
    from campaign.report.formatting import printable
    from campaign.report.live.terminal_width import fitted, width_of
    from campaign.report.printed_commands import typeable

    result = forget(load(file), address, dry_run=dry_run)
    if as_json:
        print_json(forget_facts(result))
        return result.code
    for line in forget_lines(result):
        click.echo(fitted(printable(typeable(line)), width_of(sys.stdout)))
    return result.code
