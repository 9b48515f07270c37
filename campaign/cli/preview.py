"""``campaign preview``: look at the letters."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import Row, campaign_file, lesson
from campaign.exit_codes import ExitCode


@click.command(
    "preview",
    epilog=lesson(
        "campaign preview newsletter.toml",
        "campaign preview newsletter.toml --to ada@example.com",
        codes="0 the page is written, 65 a row makes no letter, 78 a template or the campaign file is wrong",
        more="docs/compose.md",
    ),
)
@campaign_file()
@click.option(
    "--row",
    "rows",
    type=Row(),
    multiple=True,
    help="Show the letter of this row of the list, numbered as in `check`; may be repeated.",
)
@click.option("--to", default="", metavar="ADDRESS", help="Show the letter of this recipient.")
@json_option()
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to (default: next to the runs)."
)
def preview_command(file: Path, rows: tuple[int | str, ...], to: str, output: Path | None, as_json: bool) -> ExitCode:
    """Write some of FILE's letters as .eml files and one gallery page, and print where it is. Nothing is sent.

    Without --row and --to it shows the first row, the longest and the shortest name, one letter of each form, and some
    others, twelve at most. Each is shown in the inbox, wide, narrow, dark, without pictures, as text, with attachments.
    """
    from campaign.config import load
    from campaign.pipeline.command_context import prepare
    from campaign.pipeline.preview import preview_letters
    from campaign.report.live.console import Console

    page, letters = preview_letters(prepare(load(file)), Console(), rows=rows, to=to, output=output)
    if as_json:
        shown = [
            {"row": one.row, "label": one.label, "differs": one.detail, "file": str(page.parent / one.eml_name)}
            for one in letters
        ]
        print_json({"page": str(page), "letters": shown})
        return ExitCode.DONE
    click.echo("open this page in a browser:", err=True)
    click.echo(page)
    return ExitCode.DONE
