"""The lock on a journal is worth nothing if the file was replaced or removed before it was granted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.errors import UnfinishedError
from campaign.ledger.journal import journal_file
from campaign.ledger.journal.journal_file import JournalFile


def _replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"")
    path.with_name("new").replace(path)


@pytest.mark.parametrize("meanwhile", [Path.unlink, _replace])
def test_a_journal_that_goes_while_its_lock_is_waited_for_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Path], None]
) -> None:
    path = tmp_path / "1-0-5.journal"
    path.write_bytes(b"")

    def lock(*_: int) -> bool:
        meanwhile(path)
        return True

    monkeypatch.setattr(journal_file, "lock", lock)
    with pytest.raises(UnfinishedError):
        JournalFile(path)
