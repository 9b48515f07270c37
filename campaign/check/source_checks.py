"""Checks of the files that feedback is read from: whether `campaign collect` could open each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from campaign.check.findings import Findings
from campaign.config.feedback import FeedbackSourceSection
from campaign.pipeline.command_context import Job

MAILDIR_FOLDERS = ("new", "cur", "tmp")
_FILES = ("mbox", "postfix-log", "events")


def check_sources(job: Job, findings: Findings) -> None:
    """Report each Maildir, mbox, log and password file of a source that is missing or closed to this user."""
    for section in job.settings.feedback.source:
        if problem := next(_problems(section, job.settings.base), ""):
            findings.add(
                "warning",
                "feedback-source",
                f"{section.url} cannot be read, so `campaign collect` will fail: {problem}",
                where="feedback.source",
                remedy="correct the path, or create it before the first collect",
            )


def _problems(section: FeedbackSourceSection, base: Path) -> Iterator[str]:
    kind, _, name = section.url.partition(":")
    path = (base / name).absolute()
    if kind == "maildir":
        for folder in (path, *(path / one for one in MAILDIR_FOLDERS)):
            yield from _closed(folder, os.R_OK | os.W_OK | os.X_OK, folder.is_dir(), "folder")
    elif kind in _FILES:
        yield from _closed(path, os.R_OK, path.is_file(), "file")
    if section.password_file is not None:
        secret = (base / section.password_file).absolute()
        yield from _closed(secret, os.R_OK, secret.is_file(), "file")


def _closed(path: Path, rights: int, exists: bool, kind: str) -> Iterator[str]:
    if not exists:
        yield f"there is no {kind} {path}"
    elif not os.access(path, rights):
        yield f"this user has no right to use {path}"
