"""``campaign test``: send real rows to yourself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import Count, campaign_file, lesson
from campaign.exit_codes import ExitCode

if TYPE_CHECKING:  # the modules are loaded when the command runs
    from campaign.config import Settings
    from campaign.model import Outcome


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
    type=Count(),
    multiple=True,
    help="Use this row of the list, numbered as in `check`; may be repeated.",
)
@click.option("--relay", default="", metavar="URL", help="Use this relay instead of the campaign file's.")
@json_option()
def test_command(file: Path, to: str, rows: tuple[int, ...], relay: str, as_json: bool) -> ExitCode:
    """Send FILE's letter for a real row to ADDRESS. No one in the list gets it; its unsubscribe link does nothing."""
    from campaign.config import load
    from campaign.pipeline.command_context import Options, lay_over, prepare
    from campaign.pipeline.preview import send_tests
    from campaign.report.live.console import Console

    settings = lay_over(load(file), Options(relay=relay))
    sent = send_tests(prepare(settings), Console(), to=to, rows=rows)
    if as_json:
        print_json({"letters": [letter_facts(row, outcome, settings) for row, outcome in sent.letters]})
    return sent.code


def letter_facts(row: int, outcome: Outcome, settings: Settings) -> dict[str, Any]:
    """What became of one test letter."""
    from campaign.report.formatting import printable, without_addresses

    said = printable(outcome.reason)
    return {
        "row": row,
        "verdict": outcome.verdict.value,
        "code": outcome.code or None,
        "enhanced_code": outcome.enhanced,
        "reason": said if settings.report.show_addresses else without_addresses(said),
        "relay": outcome.relay,
    }
