"""``campaign retry``: serve only those who failed."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.json_output import LINES, json_option, run_console
from campaign.cli.options import DurationType, campaign_file, lesson
from campaign.exit_codes import ExitCode


@click.command(
    "retry",
    epilog=lesson(
        "campaign retry newsletter.toml",
        "campaign retry newsletter.toml --in-doubt",
        codes="as for send",
        more="docs/guide.md, section 4",
    ),
)
@campaign_file()
@click.option("--in-doubt", is_flag=True, help="Also resend letters in doubt, with the same bytes.")
@click.option("--accept-changes", is_flag=True, help="Continue although templates, settings or the rendering changed.")
@click.option("--relay", default="", metavar="URL", help="Use this relay instead of the campaign file's.")
@click.option("--max-duration", type=DurationType(), help="Stop after this long, such as 2h, with exit 75.")
@click.option("--quiet", is_flag=True, help="Print only errors.")
@json_option(LINES)
def retry_command(
    file: Path, in_doubt: bool, accept_changes: bool, relay: str, max_duration: float | None, quiet: bool, as_json: bool
) -> ExitCode:
    """Send again to recipients of FILE's edition who were rejected, unrenderable, cancelled or expired.

    Rows are read again from the source, so correct them there first.
    """
    from campaign.config import load
    from campaign.pipeline.command_context import Options
    from campaign.pipeline.send import retry

    options = Options(
        in_doubt="resend" if in_doubt else None,
        accept_changes=accept_changes,
        relay=relay,
        max_duration=max_duration,
        quiet=quiet,
    )
    settings = load(file)
    console = run_console(settings, as_json=as_json, quiet=quiet)
    return console.leave(retry(settings, options, console))
