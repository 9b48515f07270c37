"""``campaign status``: where a run stands, also while it runs."""

from __future__ import annotations

import json
import time

import click

from campaign.cli.options import DurationType, lesson, run_argument
from campaign.exit_codes import ExitCode


@click.command(
    "status",
    epilog=lesson(
        "campaign status newsletter.toml",
        "campaign status newsletter.toml --watch 5s",
        codes="0 shown, 74 the journal is damaged, 78 there is no run",
        more="docs/report.md",
    ),
)
@run_argument(required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.option(
    "--watch",
    type=DurationType(),
    is_flag=False,
    flag_value="2s",
    metavar="[EVERY]",
    help="Again and again until the run is left, every 2s or as said.",
)
def status_command(run: str, as_json: bool, watch: float | None) -> ExitCode:
    """Show where RUN stands, also while it runs.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file; by default, whatever is newest
    below runs/.
    """
    from campaign.pipeline.upkeep import find_run, standing

    folder = find_run(run)
    while True:
        now = standing(folder)
        tally = now.history.tally()
        if as_json:
            in_flight = len(now.history.pending) if now.running else 0
            facts = {
                "run": str(folder),
                "running": now.running,
                "finished": now.history.finished,
                "passes": now.history.passes,
                "in_flight": in_flight,
                "verdicts": tally,
            }
            click.echo(json.dumps(facts))
        else:
            click.echo(_table(str(folder), now.running, now.history.finished, tally))
        if watch is None or not now.running:
            return ExitCode.DONE
        time.sleep(max(watch, 0.2))


def _table(folder: str, running: bool, finished: bool, tally: dict[str, int]) -> str:
    state = "running" if running else "finished" if finished else "unfinished, no process serves it"
    rows = [f"  {name.replace('_', ' '):<14}{count:>10,}" for name, count in tally.items() if count]
    return "\n".join([f"{folder}: {state}", *rows, f"  {'planned':<14}{sum(tally.values()):>10,}"])
