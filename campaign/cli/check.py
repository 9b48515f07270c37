"""``campaign check``: everything short of sending."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from campaign.cli.options import campaign_file
from campaign.exit_codes import ExitCode


@click.command("check")
@campaign_file()
@click.option("--json", "as_json", is_flag=True, help="Findings and figures as one JSON object.")
@click.option("--no-relay", is_flag=True, help="Do not greet the relay.")
@click.option("--relay", default="", metavar="URL", help="Use this relay instead of the campaign file's.")
def check_command(file: Path, as_json: bool, no_relay: bool, relay: str) -> ExitCode:
    """Read, screen and render every row of FILE's list, inspect the letters, greet the relay. Nothing is sent.

    Exits 0 only if `send` would be sound.
    """
    from campaign.config import load
    from campaign.pipeline.checking import check
    from campaign.pipeline.console import Console
    from campaign.pipeline.job import Options, lay_over, prepare
    from campaign.report.wording import duration

    job = prepare(lay_over(load(file), Options(relay=relay)))
    findings, digest = check(job, Console(), relay=not no_relay)
    if as_json:
        click.echo(json.dumps({**findings.render_json(), "digest": asdict(digest)}, ensure_ascii=False, indent=2))
    else:
        click.echo(findings.render_text())
        books = asdict(digest.books)
        click.echo("  ".join(f"{name} {count:,}" for name, count in books.items() if count or name == "planned"))
        least = "as fast as the relay takes them" if digest.seconds is None else f"at least {duration(digest.seconds)}"
        click.echo(f"{digest.books.planned:,} letters of {digest.shapes} shapes, {least} (rate: {digest.rate})")
        click.echo(f"the first: {', '.join(digest.samples)}")
        click.echo(f"Next: campaign {'send' if findings.sound else 'check'} {file}")
    return ExitCode.DONE if findings.sound else ExitCode.BAD_CONFIG
