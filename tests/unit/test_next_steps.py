"""The next step of an error is something to type: a command with the name in question, not advice alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.audience.encodings.text_decoding import BLOCK
from campaign.audience.plan.plan_writer import _file
from campaign.audience.sources.csv_parser import numbered_lines
from campaign.audience.sources.source_file import open_source_file
from campaign.compose.mime.file_parts import _no_image
from campaign.delivery.control_file import _write
from campaign.delivery.pacing.pacing_file import _cannot
from campaign.errors import CampaignError
from campaign.feedback.mailboxes.mailbox_progress import write_mailbox_progress
from campaign.system.disk_advice import look_at_folder


def taken_folder(place: Path) -> Path:
    """A path below a file, where nothing can be written."""
    (place / "a file").touch()
    return place / "a file" / "below"


def plan(place: Path) -> None:
    with _file(taken_folder(place)):
        pass


def growing_list(place: Path) -> None:
    path = place / "list.csv"
    path.touch()
    with open_source_file(path):
        path.write_text("more")


CASES: list[tuple[Callable[[Path], object], str]] = [
    (plan, "ls -ld '{place}/a file'; df -h '{place}/a file'"),
    (lambda place: _write(taken_folder(place), b""), "df -h '{place}/a file'"),
    (lambda place: write_mailbox_progress(taken_folder(place), {}), "df -h '{place}/a file'; then run the same"),
    (lambda place: list(numbered_lines(["x" * (BLOCK + 1)], "list.csv")), "file list.csv"),
    (growing_list, "fuser -v {place}/list.csv"),
]


@pytest.mark.parametrize(("fails", "typed"), CASES)
def test_an_error_names_what_to_type(tmp_path: Path, fails: Callable[[Path], object], typed: str) -> None:
    with pytest.raises(CampaignError) as raised:
        fails(tmp_path)
    assert typed.format(place=tmp_path) in raised.value.next_step


def test_errors_that_are_made_apart_name_it_too(tmp_path: Path) -> None:
    assert look_at_folder(tmp_path) in _cannot(tmp_path / "pacing", OSError(28, "No space left on device")).next_step
    assert "`convert logo.bmp logo.png`" in _no_image("logo.bmp", b"BM").next_step
