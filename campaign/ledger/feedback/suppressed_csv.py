"""``suppressed.csv``: the addresses that no campaign of this ledger writes to now, for people and spreadsheets.

The events in `feedback_store.py` are authoritative; this file is derived from them and replaced atomically. People add
lines to it by hand, so it is also read: with other columns, with or without a heading, with commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from campaign.errors import StorageError
from campaign.ledger.journal.journal_file import unwritable
from campaign.system.atomic_file import atomic_file
from campaign.system.formula_guard import guard, unguard
from campaign.system.own_files import open_own

NAME = "suppressed.csv"
COLUMNS = ("address", "reason", "code", "since", "campaign")
#: Headings that a person may use for the column of addresses.
HEADINGS = frozenset({"address", "email", "e-mail", "mail", "email address", "e-mail address", "recipient"})
_LOCK, _WITH_COMMENTS = ".suppressed.lock", " with comments"
_DELIMITERS = ",;\t"
_PLACES = [*range(len(COLUMNS))]

#: Detects changes of a file: inode, size, time; ``None`` if there is no file.
Signature = tuple[int, int, int] | None


class SuppressedRow(NamedTuple):
    """One line: the address, the reason in words, a reply's code, the time (POSIX seconds), and the campaign."""

    address: str
    reason: str = ""
    code: str = ""
    at: float = 0.0
    campaign: str = ""


class ListedLine(NamedTuple):
    """A line of the file. ``row.address`` is empty for a comment, ``row.at`` is 0 if no time is given."""

    number: int
    text: str
    row: SuppressedRow


class _ChangedError(Exception):
    """The file was changed meanwhile."""


def signature(directory: Path) -> Signature:
    """The signature of the file now, which `rewrite_list` compares."""
    try:
        return _signature_of((directory / NAME).stat())
    except FileNotFoundError:
        return None


def _signature_of(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mtime_ns


def is_as_drawn_up(directory: Path, *, comments: bool = True) -> bool:
    """Whether the list is unchanged since `rewrite_list` wrote it; also true if there is none.

    Without ``comments``, true only for a list that has none.
    """
    found = signature(directory)
    wanted = {f"{found}", f"{found}{_WITH_COMMENTS}"} if comments else {f"{found}"}
    try:
        return found is None or (directory / _LOCK).read_text(encoding="ascii") in wanted
    except (OSError, UnicodeError):
        return False


def read_list(directory: Path) -> Iterator[ListedLine]:
    """Every line except the heading and blank ones, each parsed separately; none if no file. Raises StorageError."""
    path = directory / NAME
    try:
        with path.open("rb") as file:
            encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with path.open(encoding=encoding, errors="surrogateescape", newline="") as lines:
            yield from _lines(lines)
    except FileNotFoundError:
        return
    except (OSError, UnicodeError) as error:
        raise StorageError(
            f"{path} cannot be read.",
            evidence=str(error),
            next_step="see whose file it is and that it is text, then run the same command again",
        ) from error


def _lines(lines: Iterable[str]) -> Iterator[ListedLine]:
    delimiter, places = "", _PLACES
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        if text.startswith("#"):
            yield ListedLine(number, text, SuppressedRow(""))
            continue
        if not delimiter:  # the first line determines the delimiter
            delimiter = max(_DELIMITERS, key=text.count)
            folded = [cell.strip().casefold() for cell in _cells(text, delimiter)]
            if named := HEADINGS.intersection(folded):
                found = {"address": next(cell for cell in folded if cell in named)}
                places = [folded.index(name) if (name := found.get(one, one)) in folded else -1 for one in COLUMNS]
                continue
        yield ListedLine(number, text, _row(_cells(text, delimiter), places))


def _cells(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter), [])


def _row(cells: Sequence[str], places: Sequence[int]) -> SuppressedRow:
    if len(cells) != len(COLUMNS) or places != _PLACES:
        cells = [cells[at] if 0 <= at < len(cells) else "" for at in places]
    address, reason, code, since, campaign = map(str.strip, cells)
    try:
        at = datetime.fromisoformat(since).timestamp() if since.endswith("Z") else 0.0
    except ValueError:
        at = 0.0
    return SuppressedRow(address, unguard(reason), code, at, campaign)


@contextmanager
def list_locked(directory: Path) -> Iterator[None]:
    """A lock for writing the list: other processes wait. Raises StorageError."""
    path = directory / _LOCK
    try:
        descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def rewrite_list(directory: Path, rows: Iterable[SuppressedRow], kept: Iterable[str], seen: Signature) -> bool:
    """Replace the list atomically: ``rows``, then the lines ``kept`` unchanged.

    False if it has changed since ``seen``; then it is left unchanged. Raises StorageError, also if the file is a link
    or another user's.
    """
    path, kept = directory / NAME, list(kept)
    try:
        if seen is not None:
            os.close(open_own(path, os.O_RDONLY))
        with atomic_file(path) as file:
            file.write((",".join(COLUMNS) + "\n").encode())
            for row in rows:
                file.write(row_text(row).encode("utf-8", "surrogateescape"))
            for text in kept:
                file.write(f"{text}\n".encode("utf-8", "surrogateescape"))
            _refuse_change(directory, seen)
            file.flush()
            drawn_up = _signature_of(os.fstat(file.fileno()))
    except _ChangedError:
        return False
    except OSError as error:
        raise unwritable(path, error) from error
    with suppress(OSError, StorageError):  # the list is then read once more than necessary
        _note(directory, f"{drawn_up}{_WITH_COMMENTS if kept else ''}")
    return True


def _note(directory: Path, drawn_up: str) -> None:
    """Note in the lock file the signature of the list as written."""
    descriptor = open_own(directory / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(descriptor, drawn_up.encode())
    finally:
        os.close(descriptor)


def _refuse_change(directory: Path, seen: Signature) -> None:
    if signature(directory) != seen:
        raise _ChangedError


def row_text(row: SuppressedRow) -> str:
    """The line, including its line feed."""
    since = datetime.fromtimestamp(row.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = guard(" ".join(row.reason.split()))  # untrusted text; the address must stay unchanged
    text = io.StringIO()
    # Readers take a line that begins with # as a comment, and an address may begin with it.
    writer = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if row.address.startswith("#") else csv.QUOTE_MINIMAL
    )
    writer.writerow([row.address, reason, row.code, since, row.campaign])
    return text.getvalue()
