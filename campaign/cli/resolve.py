"""``campaign resolve``: settle letters in doubt from the relay's log."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import lesson, meant_run, run_argument
from campaign.exit_codes import ExitCode


@click.command(
    "resolve",
    epilog=lesson(
        "campaign resolve newsletter.toml --accepted /var/log/mail.log",
        codes="0 no letter is in doubt any more, 4 some are, 65 LIST cannot be read, 75 a process serves the run",
        more="docs/ledger.md",
    ),
)
@run_argument()
@click.option(
    "--accepted",
    required=True,
    type=click.Path(path_type=Path),
    metavar="LIST",
    help="Message-IDs the relay accepted: a list, its log, or a Maildir.",
)
@json_option()
def resolve_command(run: str, accepted: Path, as_json: bool) -> ExitCode:
    """Settle RUN's letters in doubt whose Message-ID is in LIST: the relay accepted them. The others stay in doubt.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file.
    """
    from campaign.pipeline.operate.manage import resolve
    from campaign.report.printed_commands import typeable

    folder = meant_run(run)
    settled, left = resolve(folder, accepted)
    if as_json:
        print_json({"run": str(folder), "settled": settled, "in_doubt": left})
        return ExitCode.IN_DOUBT if left else ExitCode.DONE
    click.echo(f"{settled:,} settled as accepted, {left:,} still in doubt", err=True)
    if left:
        click.echo(typeable("Next: to send those again with the same bytes, campaign retry FILE --in-doubt"), err=True)
    return ExitCode.IN_DOUBT if left else ExitCode.DONE
