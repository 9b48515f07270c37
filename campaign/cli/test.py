"""``campaign test``: send real rows to yourself."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import Row, campaign_file, lesson
from campaign.exit_codes import ExitCode


@click.command(
    "test",
    epilog=lesson(
        "campaign test newsletter.toml --to me@example.com",
        codes="0 the relay accepted them, 3 not all of them, 69 no relay can be used, 75 none can be reached now, "
        "77 the login was refused",
        more="docs/guide.md",
    ),
)
@campaign_file()
@click.option("--to", required=True, metavar="ADDRESS", help="The address that gets the test letters.")
@click.option(
    "--row",
    "rows",
    type=Row(),
    multiple=True,
    help="Use this row of the list, numbered as in `check`; may be repeated.",
)
@click.option("--relay", default="", metavar="URL", help="Use this relay instead of the campaign file's.")
@json_option()
def test_command(file: Path, to: str, rows: tuple[int | str, ...], relay: str, as_json: bool) -> ExitCode:
    """Send FILE's letter for a real row to ADDRESS. No one in the list gets it; its unsubscribe link does nothing."""
    from campaign.config import load
    from campaign.pipeline.command_context import Options, lay_over, prepare
    from campaign.pipeline.preview import send_tests
    from campaign.report.live.console import Console

    settings = lay_over(load(file), Options(relay=relay))
    sent = send_tests(prepare(settings), Console(), to=to, rows=rows)
    if as_json:
        print_json({"letters": sent.facts(show_addresses=settings.report.show_addresses)})
    return sent.code
