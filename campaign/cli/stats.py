"""``campaign stats``: compare the editions of a campaign."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import campaign_file, lesson
from campaign.exit_codes import ExitCode

if TYPE_CHECKING:  # the module is loaded when the command runs
    from campaign.pipeline.operate.edition_stats import EditionStats

PAGE = "editions.html"


@click.command(
    "stats",
    epilog=lesson(
        "campaign stats newsletter.toml",
        "campaign stats newsletter.toml --csv editions.csv",
        "campaign stats newsletter.toml --chart editions.svg",
        codes="0 shown, 73 a file cannot be written, 74 the store of feedback or every journal is damaged, "
        "78 there is no run",
        more="docs/report.md",
    ),
)
@campaign_file()
@json_option()
@click.option("--csv", "table", metavar="PATH", help="Write the figures as CSV; - for standard output.")
@click.option("--chart", metavar="PATH", help="Path of the page; if it ends in .svg, the file has only the charts.")
def stats_command(file: Path, as_json: bool, table: str | None, chart: str | None) -> ExitCode:
    """Compare the editions of FILE's campaign: recipients, accepted, bounced, complained, unsubscribed, duration.

    It also writes a page with charts: editions.html in the campaign's folder below runs/. Rehearsals are left out.
    Bounced, complained and unsubscribed are shares of the accepted, as far as `campaign collect` has read them.
    """
    from campaign.config import load
    from campaign.pipeline.operate.edition_stats import edition_stats

    if as_json and table == "-":
        raise click.UsageError("Use one of --json and --csv - at a time: both print to standard output.")
    if chart and not chart.endswith((".svg", ".html")):
        raise click.UsageError("--chart takes a name that ends in .svg or .html.")
    settings = load(file)
    stats = edition_stats(settings)
    if chart is None and not as_json and table is None:
        chart = str(settings.base / settings.ledger.directory / stats.campaign / PAGE)
    if table and table != "-":
        _write(Path(table), stats.csv())
    if chart and as_json:
        _write(Path(chart), _chart(stats, chart))
    _answer(stats, as_json=as_json, table=table)
    if chart and not as_json:
        _write(Path(chart), _chart(stats, chart))
    for sentence in stats.unread:
        _talk(sentence)
    return ExitCode.DONE


def _answer(stats: EditionStats, *, as_json: bool, table: str | None) -> None:
    from campaign.report.live.terminal_width import width_of

    if table == "-":
        click.echo(stats.csv(), nl=False)
    if as_json:
        print_json(stats.facts())
    elif table is None:
        click.echo(stats.table(width_of(sys.stdout)))


def _chart(stats: EditionStats, path: str) -> str:
    from campaign.report.html.editions_page import editions_page, editions_svg

    draw = editions_svg if path.endswith(".svg") else editions_page
    return draw(stats.campaign, stats.editions)


def _write(path: Path, text: str) -> None:
    from campaign.errors import StorageError
    from campaign.report.live.console import path_text
    from campaign.system.atomic_file import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise StorageError(
            f"{path.name} cannot be written.",
            evidence=f"{path}: {error.strerror or error}",
            next_step="free space, correct the permissions, or name another path: --chart PATH, --csv PATH",
        ) from error
    _talk(f"written: {path_text(path)}")


def _talk(sentence: str) -> None:
    from campaign.report.formatting import printable

    click.echo(printable(sentence), err=True)
