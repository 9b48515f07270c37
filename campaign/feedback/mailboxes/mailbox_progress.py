"""The progress file of a mailbox that cannot move messages: which of them are done.

Losing it costs only time: messages are read again, and their ids show that they were counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from campaign.errors import StorageError
from campaign.system.atomic_file import make_folders, write_atomically
from campaign.system.disk_advice import look_at_folder

#: A larger file, in octets, is not ours; 100,000 POP3 ids of 70 octets stay well below.
LARGEST_FILE = 64 << 20


def read_mailbox_progress(path: Path) -> dict[str, Any]:
    """The saved progress; empty if there is no file, or an invalid one. Raises StorageError."""
    try:
        with path.open("rb") as file:
            noted = json.loads(file.read(LARGEST_FILE))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        return {}
    except OSError as error:
        raise StorageError(
            f"{path}, which says how far a source of feedback was read, cannot be read.",
            evidence=error.strerror or str(error),
            next_step=f"see to the rights of {path}, then run the same command again",
        ) from None
    return noted if isinstance(noted, dict) else {}


def write_mailbox_progress(path: Path, noted: dict[str, Any]) -> None:
    """Save ``noted`` durably. Raises StorageError."""
    try:
        make_folders(path.parent)
        write_atomically(path, json.dumps(noted, separators=(",", ":")).encode("ascii"))
    except OSError as error:
        raise StorageError(
            f"{path}, which says how far a source of feedback was read, cannot be written.",
            evidence=error.strerror or str(error),
            next_step=f"{look_at_folder(path.parent)}; then run the same command again: nothing is counted twice",
        ) from None
