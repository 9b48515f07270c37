"""``campaign report``: write the HTML report and the summary again."""

from __future__ import annotations

import json
import sys

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import lesson, meant_run, run_argument
from campaign.exit_codes import ExitCode


@click.command(
    "report",
    epilog=lesson(
        "campaign report newsletter.toml",
        codes="0 written, 73 it cannot be written, 74 the journal is damaged, 78 there is no run",
        more="docs/report.md",
    ),
)
@run_argument(required=False)
@json_option("Print summary.json instead of the tally.")
def report_command(run: str, as_json: bool) -> ExitCode:
    """Write RUN's report.html, summary.json and failed.csv again, and print the tally.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file; by default, the newest run
    below runs/.
    """
    from campaign.pipeline.operate.manage import report
    from campaign.report.live.terminal_width import fitted, width_of
    from campaign.report.printed_commands import typeable
    from campaign.report.summary import tally

    folder = meant_run(run)
    facts = report(folder)
    if as_json:
        print_json(json.loads((folder / "summary.json").read_bytes()), indent=2)
    else:
        click.echo(fitted(typeable(tally(facts)), width_of(sys.stdout)))
    return ExitCode.DONE
