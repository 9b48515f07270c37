"""``campaign collect``: read what came back about letters that were sent."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import campaign_file, lesson
from campaign.exit_codes import ExitCode


@click.command(
    "collect",
    epilog=lesson(
        "campaign collect newsletter.toml",
        "campaign collect newsletter.toml maildir:bounces",
        "campaign collect newsletter.toml - < bounce.eml",
        codes="0 all was read, 65 a source cannot be read, 75 one cannot be reached or was asked just now, or another "
        "collect is at work, 77 a mailbox or a provider refused our login",
        more="docs/feedback.md",
    ),
)
@campaign_file()
@click.argument("source", nargs=-1, metavar="[SOURCE]...")
@json_option()
@click.option("--quiet", is_flag=True, help="Print only errors.")
def collect_command(file: Path, source: tuple[str, ...], as_json: bool, quiet: bool) -> ExitCode:
    """Read the bounces, complaints and unsubscribes that came back, and act on them.

    By default every [[feedback.source]] of FILE is read. SOURCE is the url of one of them, or - for one message on
    standard input. Addresses that are dead, complained or unsubscribed get no further letter; letters in doubt that
    were delivered after all are settled.
    """
    from campaign.config import load
    from campaign.pipeline.collect.collect import collect
    from campaign.report.live.console import Console

    collected = collect(load(file), source, Console(quiet=quiet or as_json))
    if as_json:
        print_json(collected.tally.facts())
    return collected.code
