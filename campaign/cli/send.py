"""``campaign send``: start or continue a run."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.json_output import LINES, json_option, run_console
from campaign.cli.options import Count, DurationType, campaign_file, lesson
from campaign.exit_codes import ExitCode


@click.command(
    "send",
    epilog=lesson(
        "campaign send newsletter.toml",
        "campaign send newsletter.toml --limit 100",
        codes="0 all accepted, 3 some failed, 4 some in doubt, 5 held, 75 run the same command again",
        more="docs/delivery.md, docs/ledger.md; docs/troubleshooting.md for every message",
    ),
)
@campaign_file()
@click.option(
    "--limit",
    type=Count(),
    help="Send to at most this many recipients, then exit 75; without it, the same command serves the rest.",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Abandon an unfinished run and start a new one; recipients already served stay served.",
)
@click.option("--again", is_flag=True, help="Serve everyone in this edition once more, with new Message-IDs.")
@click.option("--in-doubt", type=click.Choice(["hold", "resend", "skip"]), help="What to do with letters in doubt.")
@click.option("--accept-changes", is_flag=True, help="Continue although templates, settings or the rendering changed.")
@click.option("--run", default="", metavar="DIR", help="Name the run's folder inside the ledger's directory.")
@click.option("--relay", default="", metavar="URL", help="Use this relay instead of the campaign file's.")
@click.option("--max-duration", type=DurationType(), help="Stop after this long, such as 2h, with exit 75.")
@click.option("--no-wait", is_flag=True, help="Before not_before, exit 75 instead of waiting.")
@click.option("--quiet", is_flag=True, help="Print only errors.")
@json_option(LINES)
def send_command(file: Path, no_wait: bool, quiet: bool, as_json: bool, **options: object) -> ExitCode:
    """Send to everyone in FILE's list who has not had this edition yet; continue an unfinished run.

    A first Ctrl-C finishes and records the letters in flight; a second stops at once.
    """
    from campaign.config import load
    from campaign.pipeline.command_context import Options
    from campaign.pipeline.send import send

    if options["fresh"] and options["again"]:
        raise click.UsageError("--fresh and --again exclude each other.")
    asked = Options(wait=not no_wait, quiet=quiet, **options)  # type: ignore[arg-type] # click has checked each of them
    settings = load(file)
    console = run_console(settings, as_json=as_json, quiet=quiet)
    return console.leave(send(settings, asked, console))
