"""``campaign repair``: save what can be saved of a damaged journal."""

from __future__ import annotations

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import lesson, meant_run, run_argument
from campaign.exit_codes import ExitCode


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

    RUN is a run folder, a folder above it (then its newest run), or the campaign file.
    """
    from campaign.ledger.journal import journal_reader
    from campaign.ledger.repair import inspect_journal, repair
    from campaign.report.printed_commands import typeable

    folder = meant_run(run)
    path = folder / journal_reader.NAME
    salvage = inspect_journal(path) if dry_run else repair(path)
    if as_json:
        facts = {"lines": len(salvage.lines), "lost": salvage.lost, "in_doubt": len(salvage.doubtful)}
        print_json({"run": str(folder), "dry_run": dry_run, **facts})
        return ExitCode.DONE
    if not salvage.lost:
        click.echo("No line is damaged; nothing needs repair.", err=True)
        return ExitCode.DONE
    shown = ", ".join(salvage.lost[:10])
    more = " ..." if len(salvage.lost) > 10 else ""
    click.echo(f"{len(salvage.lines):,} sound lines, {len(salvage.lost):,} lost (line {shown}{more})", err=True)
    click.echo(f"{len(salvage.doubtful):,} recipients {'would be' if dry_run else 'are'} in doubt", err=True)
    step = (
        f"campaign repair {folder}"
        if dry_run
        else "campaign send FILE serves the others; campaign resolve settles doubts"
    )
    click.echo(typeable(f"Next: {step}"), err=True)
    return ExitCode.DONE
