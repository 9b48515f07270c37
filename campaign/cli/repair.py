"""``campaign repair``: save what can be saved of a damaged journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import lesson, meant_run, run_argument
from campaign.exit_codes import ExitCode

if TYPE_CHECKING:  # loaded when the command runs
    from campaign.ledger.repair import Repaired


@click.command(
    "repair",
    epilog=lesson(
        "campaign repair newsletter.toml --dry-run",
        codes="0 repaired, or nothing to repair, 74 nothing can be saved, 75 a process serves the run",
        more="docs/ledger.md",
    ),
)
@run_argument()
@click.option("--dry-run", is_flag=True, help="Only say what would be saved and who would be in doubt.")
@json_option()
def repair_command(run: str, dry_run: bool, as_json: bool) -> ExitCode:
    """Keep every intact line of RUN's journal. Recipients whom lost lines may concern become in doubt, not unsent.

    RUN is a run folder, a folder above it (then its newest run), or the campaign file. If it is in a store, it is
    repaired there; after a fail-over whoever the store may have lost becomes in doubt.
    """
    from campaign.report.printed_commands import typeable

    done = _repaired(run, dry_run=dry_run)
    if as_json:
        facts = {"lines": done.lines, "lost": done.lost, "in_doubt": done.in_doubt, "failed_over": done.failed_over}
        print_json({"run": str(done.folder), "dry_run": dry_run, **facts})
        return ExitCode.DONE
    for line in _told(done, dry_run=dry_run):
        click.echo(typeable(line), err=True)
    return ExitCode.DONE


def _repaired(named: str, *, dry_run: bool) -> Repaired:
    """Repair the run that was meant, where it is kept."""
    from campaign.config import load
    from campaign.ledger.journal import journal_reader
    from campaign.ledger.postgres.runs.copy_mark import is_copy
    from campaign.ledger.repair import Repaired, inspect_journal, repair
    from campaign.pipeline.command_context import prepare

    settings = load(Path(named)) if named.endswith(".toml") else None
    if settings and settings.ledger.store:
        from campaign.pipeline.workers.upkeep.repair_store import repair_newest

        if done := repair_newest(prepare(settings), dry_run=dry_run):
            return done
    folder = meant_run(named)
    if is_copy(folder):
        from campaign.pipeline.workers.upkeep.repair_store import repair_stored_run

        return repair_stored_run(folder, dry_run=dry_run)
    path = folder / journal_reader.NAME
    salvage = inspect_journal(path) if dry_run else repair(path)
    return Repaired(folder, len(salvage.lines), salvage.lost, len(salvage.doubtful))


def _told(done: Repaired, *, dry_run: bool) -> Iterator[str]:
    """The outcome in lines, and what to type next."""
    if not done.lost and not done.failed_over:
        yield "No line is damaged; nothing needs repair."
        return
    if done.failed_over:
        yield "the store failed over, and lines that it had confirmed may be missing"
    shown, more = ", ".join(done.lost[:10]), " ..." if len(done.lost) > 10 else ""
    line = "line " if done.lost and done.lost[0].isdecimal() else ""
    where = f" ({line}{shown}{more})" if done.lost else ""
    yield f"{done.lines:,} sound lines, {len(done.lost):,} lost{where}"
    yield f"{done.in_doubt:,} recipients {'would be' if dry_run else 'are'} in doubt"
    after = "campaign send FILE serves the others; campaign resolve settles doubts"
    if done.failed_over:
        after = (
            "campaign resolve settles doubts by the relay's log; then campaign retry FILE --in-doubt serves the others"
        )
    yield f"Next: {f'campaign repair {done.folder}' if dry_run else after}"
