"""Shell completion: campaign files for FILE, run folders for RUN.

Only computed when the shell asks. Without a match, the shell continues with its own files and folders. Nothing is
parsed beyond the headline of a campaign file, and no journal is read: completing must not take longer than typing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

HEAD = 65_536  # octets searched for the section of a campaign file
MOST_FOLDERS = 2_000  # searched for runs, after which typing is quicker
_SECTION = re.compile(r"^\s*\[campaign\]", re.MULTILINE)


def campaign_files(typed: str) -> list[str]:
    """Campaign files that begin with ``typed``, in the folder it names."""
    folder, start = os.path.split(typed)
    try:
        names = sorted(path.name for path in Path(folder or ".").glob("*.toml") if path.name.startswith(start))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if _is_campaign(Path(folder, name))]  # noqa: PTH118 - as typed


def _is_campaign(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _SECTION.search(file.read(HEAD)) is not None
    except OSError:
        return False


def run_folders(typed: str) -> list[str]:
    """Run folders that begin with ``typed``, the newest names first; below ``runs`` if nothing is typed."""
    top = Path(os.path.split(typed)[0] or ".") if typed else Path("runs")
    return sorted((run for run in map(str, _runs_below(top)) if run.startswith(typed)), reverse=True)


def _runs_below(top: Path) -> Iterator[Path]:
    from campaign.ledger.journal.journal_reader import NAME as JOURNAL

    for count, (folder, inner, names) in enumerate(os.walk(top)):
        if count >= MOST_FOLDERS:
            return
        if JOURNAL in names:
            inner.clear()
            yield Path(folder)
        inner[:] = [name for name in inner if not name.startswith(".")]


class CampaignFileType(click.Path):
    """A path that completes to campaign files."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Campaign files, or else the shell's own completions."""
        found = [CompletionItem(file) for file in campaign_files(incomplete)]
        return found or super().shell_complete(ctx, param, incomplete)


class RunType(click.ParamType[str]):
    """A run as people name it; completes to run folders and campaign files."""

    name = "run"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        """The text as typed: the pipeline finds the run."""
        return str(value)

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Run folders, then campaign files, or else the shell's own completions."""
        found = [*run_folders(incomplete), *campaign_files(incomplete)]
        return [CompletionItem(one) for one in found] or [CompletionItem(incomplete, type="file")]
