"""The files of a ledger directory besides plans, journals and the store of feedback, rid of one person.

Tables keep their rows, so counts still hold: a row of the person is emptied, in ``failed.csv`` it is dropped. Letters
of rehearsals and previews that contain the address are deleted. In all other texts the address is masked.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from campaign.audience.plan.plan_codec import SCREENED
from campaign.ledger import run_folder
from campaign.ledger.feedback import feedback_store, suppressed_csv
from campaign.ledger.forget_recipient import mask_lines
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_file import unwritable
from campaign.pipeline.collect.collect_lock import FOLDER as COLLECT
from campaign.pipeline.operate.forget.known_person import KnownPerson
from campaign.pipeline.start.sample_letter import ADDRESS as READER
from campaign.pipeline.start.sample_letter import NAME as SAMPLE
from campaign.system.atomic_file import atomic_file, sync_folder

TABLES = frozenset({SCREENED, "failed.csv", "in-doubt.csv"})
#: Files that have a way of their own.
_OWN_WAY = frozenset({run_folder.PLAN, journal_reader.NAME})
_LEFTOVER = re.compile(r"\.(?:.+\.[0-9a-f]{16}\.new|gathering\.part.*)")
_PREVIEW, _MAILBOX = "preview", "mailbox"
_LARGEST_CELL = 1 << 27


def erase_from_files(
    directory: Path, person: KnownPerson, *, dry_run: bool, leave: Collection[Path] = ()
) -> Counter[str]:
    """Rid the files below ``directory`` of the person; returns how many of each kind changed.

    The kinds are ``table rows``, ``letters``, ``texts`` (files) and ``leftovers`` (of killed processes). With
    ``dry_run`` nothing is written. What lies below ``leave`` is not touched. Raises StorageError.
    """
    done: Counter[str] = Counter()
    eraser = _Eraser(person, dry_run)
    for path in own_files(directory):
        if any(folder in path.parents for folder in leave):
            continue
        try:
            kind, count = eraser.erase(path, directory)
        except OSError as error:
            raise unwritable(path, error) from error
        done[kind] += count
    return +done


def own_files(directory: Path) -> Iterator[Path]:
    """The regular files below ``directory`` that this program wrote, by the places where it writes, in order."""
    for folder, below, names in os.walk(directory):
        below.sort()
        place = Path(folder)
        for name in sorted(names):
            path = place / name
            if is_ours(path, directory) and path.is_file() and not path.is_symlink():
                yield path


def is_ours(path: Path, directory: Path) -> bool:
    """Whether this program wrote the file: all in a run's folder, and files of known names elsewhere."""
    inside = path.relative_to(directory).parts
    if len(inside) == 1:
        ours = (feedback_store.NAME, suppressed_csv.NAME, f"{Path(feedback_store.NAME).stem}-torn-tail-")
        return path.name.startswith(ours) or bool(_LEFTOVER.fullmatch(path.name))
    if inside[0] in (COLLECT, "pacing") or _LEFTOVER.fullmatch(path.name) or inside[1:2] == (_PREVIEW,):
        return True
    return any(run_folder.has_run(folder) for folder in path.parents if directory in folder.parents)


class _Eraser:
    """Treats one file after another."""

    def __init__(self, person: KnownPerson, dry_run: bool) -> None:
        self._person, self._mask, self._dry_run = person, person.mask, dry_run
        self._previews: dict[Path, bool] = {}

    def erase(self, path: Path, directory: Path) -> tuple[str, int]:
        """The kind of the file and how much of it changed."""
        inside = path.relative_to(directory).parts
        if _LEFTOVER.fullmatch(path.name):
            return "leftovers", self._remove_leftover(path)
        if inside[1:2] == (_PREVIEW,) and not run_folder.has_run(path.parent):
            return "letters", self._remove(path) if self._preview_shows_them(path.parent) else 0
        if _MAILBOX in inside[1:-1] or path.name == SAMPLE:
            theirs = self._is_letter_of_theirs(path)
            return "letters", self._remove(path) if theirs else 0
        if path.name in TABLES:
            return "table rows", self._erase_rows(path)
        if path.name in _OWN_WAY or (len(inside) == 1 and path.name in (feedback_store.NAME, suppressed_csv.NAME)):
            return "texts", 0
        return "texts", self._mask_text(path)

    def _is_letter_of_theirs(self, path: Path) -> bool:
        if path.name == SAMPLE and self._person.address == READER:
            return False  # it is the made-up reader's
        return self._mask.in_letter(path.read_bytes())

    def _preview_shows_them(self, folder: Path) -> bool:
        """A preview is deleted whole, as its page shows all letters; `campaign preview` makes it again."""
        if folder not in self._previews:
            files = (one for one in folder.iterdir() if one.is_file() and not one.is_symlink())
            self._previews[folder] = any(self._mask.in_letter(one.read_bytes()) for one in files)
        return self._previews[folder]

    def _remove(self, path: Path) -> int:
        if not self._dry_run:
            path.unlink()
            sync_folder(path.parent)
        return 1

    def _remove_leftover(self, path: Path) -> int:
        """Remove a temporary file, unless its writer is alive."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self._remove(path)
        except BlockingIOError:
            return 0
        finally:
            os.close(descriptor)

    def _mask_text(self, path: Path) -> int:
        return int(mask_lines(path, self._mask.masked_line, dry_run=self._dry_run) > 0)

    def _erase_rows(self, path: Path) -> int:
        """How many rows of a table were emptied, dropped or masked. A file that is no CSV is masked."""
        limit = csv.field_size_limit(_LARGEST_CELL)
        try:
            changed = sum(after != before for before, after in self._rows(path))
            if changed and not self._dry_run:
                with atomic_file(path) as file:
                    for _, after in self._rows(path):
                        file.write(after.encode("utf-8", "surrogateescape"))
        except csv.Error:
            return self._mask_text(path)
        finally:
            csv.field_size_limit(limit)  # the limit is the whole process's; lists are read with the module's own
        return changed

    def _rows(self, path: Path) -> Iterator[tuple[str, str]]:
        """The text of each row, before and after; the headings are masked like any other cells."""
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
            for before, cells in _records(lines):
                yield before, self._row(path.name, before, cells)

    def _row(self, table: str, before: str, cells: list[str]) -> str:
        theirs = any(map(self._person.is_theirs, cells))
        if theirs and table == "failed.csv":
            return ""
        if theirs and table == SCREENED:
            cells = [*cells[:1], "0", "", *cells[3:4], ""]
        elif theirs:
            cells = ["" if self._person.is_theirs(cell) else cell for cell in cells]
        masked = [self._masked_cell(cell) for cell in cells]
        return _csv_row(masked, before) if theirs or masked != cells else before

    def _masked_cell(self, cell: str) -> str:
        octets = cell.encode("utf-8", "surrogateescape")
        return self._mask.masked(octets).decode("utf-8", "surrogateescape")


def _records(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Each record of a CSV file as it is written, and its cells."""
    read: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            read.append(line)
            yield line

    for cells in csv.reader(noted()):
        yield "".join(read), cells
        read.clear()


def _csv_row(cells: list[str], before: str) -> str:
    """The row in CSV (RFC 4180), with the line end that it had."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n" if before.endswith("\r\n") else "\n").writerow(cells)
    return text.getvalue()
