"""``campaign status``: show the state of a run, also while it runs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import DurationType, lesson, meant_run, run_argument
from campaign.exit_codes import ExitCode

if TYPE_CHECKING:  # the module is loaded when the command runs
    from collections.abc import Iterator

    from campaign.ledger.postgres.runs.stored_runs import StoredStanding
    from campaign.pipeline.operate.run_standing import Standing


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
@json_option("Print one JSON object instead of a table; with --watch one a line.")
@click.option(
    "--watch",
    type=DurationType(),
    is_flag=False,
    flag_value="2s",
    metavar="[EVERY]",
    help="Repeat until no process serves the run, every 2s or at this interval.",
)
def status_command(run: str, as_json: bool, watch: float | None) -> ExitCode:
    """Show the state of RUN, also while it runs.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file; by default, the newest run
    below runs/.
    """
    from campaign.pipeline.operate.run_standing import run_standing
    from campaign.report.live.console import can_repaint
    from campaign.report.live.terminal_width import fitted, width_of

    folder = meant_run(run)
    while True:
        now = run_standing(folder)
        if as_json:
            print_json(_facts(folder, now))
        else:
            if watch is not None and sys.stdout.isatty() and can_repaint(os.environ):
                click.clear()
            click.echo(fitted(_table(folder, now), width_of(sys.stdout)))
        if watch is None or not now.running:
            return ExitCode.DONE
        time.sleep(max(watch, 0.2))


def _facts(folder: Path, now: Standing) -> dict[str, object]:
    history = now.history
    return {
        "run": str(folder),
        "running": now.running,
        "state": now.state,
        "reason": now.reason or None,
        "rate": now.rate if now.running else None,
        "finished": history.finished,
        "passes": history.passes,
        "in_flight": len(history.pending) if now.running else 0,
        "next_pass": now.next_due or None,
        "verdicts": history.tally(),
        **({} if now.stored is None else _stored_facts(now.stored)),
    }


def _stored_facts(stored: StoredStanding) -> dict[str, object]:
    """What a run in a store has besides: its shards and its workers."""
    return {
        "shards": {
            "all": stored.shards,
            "done": stored.done,
            "held": stored.held,
            "silent": stored.silent,
        },
        "canary": stored.canary or None,
        "workers": [
            {
                "name": one.name,
                "shards": one.shards,
                "rate": round(one.rate, 2),
                "waiting": one.waiting or None,
                "silent_seconds": round(one.silent, 1),
                "append_ms": round(one.append_ms, 1),
            }
            for one in stored.workers
        ],
    }


def _table(folder: Path, now: Standing) -> str:
    """The verdicts that occur, with their share."""
    from campaign.report import formatting

    tally, due = now.history.tally(), now.next_due
    planned = sum(tally.values())
    parts = [
        *([now.reason] if now.state == "waiting" else [now.state, now.reason]),
        formatting.rate_text(now.rate) if now.running else "",
        f"next pass at {formatting.clock(due)}" if due else "",
    ]
    rows = [
        f"  {formatting.verdict(name):<14}{count:>10,}  {formatting.percentage(count, planned):>7}"
        for name, count in tally.items()
        if count
    ]
    stored = [] if now.stored is None else _stored_lines(now.stored)
    total = f"  {'planned':<14}{planned:>10,}"
    return "\n".join([f"{folder}: {', '.join(filter(None, parts))}", *rows, total, *stored])


def _stored_lines(stored: StoredStanding) -> Iterator[str]:
    """The shards of a run in a store, and its workers."""
    from campaign.report import formatting

    silent = f", {stored.silent:,} of them silent: taken over when 30 s are up" if stored.silent else ""
    yield f"  shards        {stored.done:>10,} of {stored.shards:,} done, {stored.held:,} held{silent}"
    if stored.canary:
        yield f"  canary        {stored.canary:>10,} go first, the rest waits"
    for one in stored.workers:
        told = f"waiting: {one.waiting}" if one.waiting else formatting.rate_text(one.rate)
        yield f"  worker {one.name}: {formatting.counted(one.shards, 'shard')}, {told}, store {one.append_ms:.0f} ms"
