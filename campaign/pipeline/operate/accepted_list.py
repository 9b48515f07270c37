"""Reading accepted Message-IDs for `campaign resolve`, from a list, a relay's log, or a Maildir.

In a Maildir only ``new`` and ``cur`` count, its own and those of its subfolders: a file in ``tmp`` may be a letter that
was cut off before its final dot and so was never accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from campaign.errors import InputError
from campaign.ledger.run_folder import has_journal

LARGEST_LIST = 200_000_000  # octets of a file of Message-IDs
_DELIVERED = ("new", "cur")


def accepted_message_ids(source: Path) -> Iterator[str]:
    """Every ``<...@...>`` in a text file, such as a relay's log, or in the letters of a Maildir.

    In any other folder all files are read, and Maildirs inside it as Maildirs. Raises InputError.
    """
    try:
        for file in _files(source) if source.is_dir() else [source]:
            if file.stat().st_size > LARGEST_LIST:
                raise InputError(
                    f"{file} has over {LARGEST_LIST:,} octets.",
                    next_step="give a file with the lines of this run alone",
                )
            with file.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    yield from _bracketed(line)
    except OSError as error:
        raise InputError(
            f"{source} cannot be read.",
            evidence=error.strerror or str(error),
            next_step="name a list of Message-IDs, the relay's log, or a Maildir that you may read",
        ) from error


def refuse_run_files(source: Path) -> None:
    """Raise InputError for files that a run wrote: they do not prove acceptance.

    A rehearsal's letters carry the Message-IDs of the real ones.
    """
    path = source.resolve()
    if any(has_journal(one) for one in (path, *path.parents)):
        raise InputError(
            f"{source} lies in the folder of a run, so it does not say what a relay took.",
            evidence="letters in the embedded mailbox are a rehearsal, and in-doubt.csv lists those in question",
            next_step="name the relay's log, a list of Message-IDs, or a Maildir that the relay delivered to",
        )


def _files(folder: Path) -> Iterator[Path]:
    """The files that count in ``folder`` and below it. Links to folders are not followed."""
    maildir = _is_maildir(folder)
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if not path.is_symlink() and (not maildir or path.name in _DELIVERED or _is_maildir(path)):
                yield from _files(path)
        elif path.is_file() and not maildir:
            yield path


def _is_maildir(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in _DELIVERED)


def _bracketed(line: str) -> Iterable[str]:
    parts = line.split("<")[1:]
    found = [f"<{part.partition('>')[0]}>" for part in parts if ">" in part and "@" in part]
    bare = line.strip()
    return found or ([f"<{bare}>"] if "@" in bare and " " not in bare else [])
