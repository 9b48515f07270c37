"""``campaign suppression``: the addresses left out because of feedback, the evidence, and how to release one."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import campaign_file, lesson
from campaign.exit_codes import ExitCode

if TYPE_CHECKING:  # the module is loaded when the command runs
    from campaign.pipeline.command_context import Job

NEWEST = 10


@click.command(
    "suppression",
    epilog=lesson(
        "campaign suppression newsletter.toml",
        "campaign suppression newsletter.toml --why ada@example.com",
        "campaign suppression newsletter.toml --release ada@example.com",
        "campaign suppression newsletter.toml --export left-out.csv",
        codes="0 shown or done, 65 ADDRESS is invalid or not left out, 73 the store cannot be used, "
        "74 the record of what came back is damaged",
        more="docs/ledger.md",
    ),
)
@campaign_file()
@click.option("--why", "asked", metavar="ADDRESS", help="Show all feedback about this address, and how it counts.")
@click.option("--release", metavar="ADDRESS", help="Write to this address again, in every campaign of the ledger.")
@click.option("--export", metavar="PATH", help="Write all addresses left out now as CSV; - for standard output.")
@json_option()
def suppression_command(
    file: Path, asked: str | None, release: str | None, export: str | None, as_json: bool
) -> ExitCode:
    """Show which addresses get no letter because of bounces, complaints and unsubscribes, and why.

    These hold for all campaigns of FILE's ledger. The campaign's own lists (audience.suppress) are not among them.
    """
    from campaign.config import load
    from campaign.pipeline.command_context import prepare
    from campaign.pipeline.workers.feedback.shared_feedback import feedback_shared

    if sum(option is not None for option in (asked, release, export)) > 1:
        raise click.UsageError("Use one of --why, --release and --export at a time.")
    if as_json and export == "-":
        raise click.UsageError("Use one of --json and --export - at a time: both print to standard output.")
    job, now = prepare(load(file)), time.time()
    if export is not None:
        with feedback_shared(job):
            _export(job, export, now)
        if as_json:
            print_json({"written": export})
        return ExitCode.DONE
    with feedback_shared(job):
        lines, facts = _answer(job, asked, release, now)
    if as_json:
        print_json(facts)
    else:
        _echo(lines)
    return ExitCode.DONE


def _answer(job: Job, asked: str | None, release: str | None, now: float) -> tuple[list[str], dict[str, Any]]:
    """The answer in lines, and as facts."""
    from campaign.pipeline.operate import suppression_answers, suppression_words

    if asked is not None:
        answer = suppression_answers.explain_suppression(job, asked, now)
        return suppression_words.answer_lines(job, answer), suppression_words.answer_facts(answer)
    if release is not None:
        undone = suppression_answers.release_address(job, release, now)
        return suppression_words.release_lines(release, undone), suppression_words.release_facts(undone)
    found = suppression_answers.suppression_overview(job, now, NEWEST)
    return suppression_words.overview_lines(job, found), suppression_words.overview_facts(found)


def _export(job: Job, path: str, now: float) -> None:
    from campaign.pipeline.operate.suppression_answers import suppression_table
    from campaign.system.atomic_file import atomic_file

    if path == "-":
        sys.stdout.writelines(suppression_table(job, now))
        return
    with atomic_file(Path(path)) as file:
        file.writelines(line.encode() for line in suppression_table(job, now))
    click.echo(f"written: {path}", err=True)


def _echo(lines: Sequence[str]) -> None:
    """Data, without anything from a stranger that could steer a terminal."""
    from campaign.report.formatting import printable
    from campaign.report.live.terminal_width import fitted, width_of
    from campaign.report.printed_commands import typeable

    for line in lines:
        click.echo(fitted(printable(typeable(line)), width_of(sys.stdout)))
