"""Stored requests as a source of feedback: each record is read once, and a file that is read and closed is removed.

The progress file has, for each file, how far it was read. If removing a file fails, it is removed next time. A webhook
whose body is no event of its provider ends no reading: it is reported at the end, and its file is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from campaign.errors import InputError, StorageError
from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.listened.listened_record import ListenedRecord, RecordError, parse_record
from campaign.feedback.listened.listened_store import CHUNK, ListenedStore, StoredFile
from campaign.feedback.providers.provider_payload import provider_notices
from campaign.model import FeedbackOutcome
from campaign.system.atomic_file import make_folders, write_atomically
from campaign.system.disk_advice import look_at_folder


class _Progress(msgspec.Struct):
    """How far a file was read. ``kept``: it holds a record that could not be read."""

    offset: int = 0
    kept: bool = False


class _End(NamedTuple):
    """Where reading a file ended: behind the last record with an event, and behind the last record."""

    told: int
    offset: int
    file: StoredFile


class ListenedSource:
    """A `FeedbackSource`: the records of ``store`` that ``progress_file`` does not count as read."""

    def __init__(self, store: ListenedStore, progress_file: Path) -> None:
        self.name = store.name
        self._store, self._progress_file = store, progress_file
        self._progress: dict[str, _Progress] = {}
        self._ends: dict[str, _End] = {}
        self._bad: list[str] = []

    def size(self) -> int | None:
        """Always ``None``: records are not counted in advance."""
        return None

    def receive(self) -> Iterator[Received]:
        """An item for each click and each event of a webhook. Raises InputError after the last one if some were bad."""
        files = self._files()
        loaded = _load(self._progress_file)
        self._progress = {one.name: loaded.get(one.name, _Progress()) for one in files}
        self._store.expect([one.name for one in files if one.size and not self._progress[one.name].offset])
        for file in files:
            yield from self._file(file)
        self._settle()
        if self._bad:
            raise InputError(
                f"{self.name} holds {len(self._bad)} requests that are no events; all others were read.",
                evidence=self._bad[:5],
                next_step="report this: the files are kept where they are, and nothing else waits for them",
            )

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Save how far each file was read, and remove those that are done. Raises StorageError and the store's."""
        for one in handled:
            name, end = one.receipt
            state = self._progress[name]
            state.offset = max(state.offset, end)
        self._settle()

    def close(self) -> None:
        """Close the store. Never raises."""
        self._store.close()

    def _file(self, file: StoredFile) -> Iterator[Received]:
        """The rest of a file."""
        offset = told = self._progress[file.name].offset
        while offset < file.size and (chunk := self._read(file.name, offset)):
            whole, feed, rest = chunk.rpartition(b"\n")
            if not feed:
                if len(rest) >= CHUNK:
                    raise self._damaged(file.name, offset, "a line is too long")
                break  # the torn end of a request that was never answered
            for line in whole.split(b"\n"):
                for item in self._items(file.name, line, offset):
                    yield item
                    told = item.receipt[1]
                offset += len(line) + 1
        self._ends[file.name] = _End(told, offset, file)

    def _items(self, name: str, line: bytes, start: int) -> Iterator[Received]:
        """The items of one record; only the last one's receipt is behind the record."""
        try:
            record = parse_record(line)
        except RecordError as error:
            raise self._damaged(name, start, str(error)) from None
        end = start + len(line) + 1
        if record.kind == "one-click":
            yield Received(_identity("one-click", record.id), (_unsubscribe(record),), (name, end))
            return
        events = self._events(name, record)
        for number, (identity, notice) in enumerate(events, start=1):
            receipt = (name, end if number == len(events) else start)
            yield Received(_identity(record.provider, identity), (notice,), receipt)

    def _events(self, name: str, record: ListenedRecord) -> list[tuple[str, FeedbackNotice]]:
        found = []
        try:
            for event in provider_notices(record.provider, record.body):
                found.append(event)  # noqa: PERF402 - those before the bad one count
        except (EventError, KeyError) as error:
            self._bad.append(f"{name}, record {record.id} of {record.provider}: {error}")
            self._progress[name].kept = True
        return found

    def _settle(self) -> None:
        """Pass over records without events, save the progress, then remove the files that are done."""
        done = []
        for name, end in self._ends.items():
            state = self._progress[name]
            if state.offset >= end.told:
                state.offset = end.offset
                if end.file.closed and not state.kept:
                    done.append(end.file)
        self._save()
        self._remove(done)

    def _files(self) -> Sequence[StoredFile]:
        try:
            return self._store.files()
        except OSError as error:
            raise self._unreadable(error) from None

    def _read(self, name: str, offset: int) -> bytes:
        try:
            return self._store.read(name, offset)
        except OSError as error:
            raise self._unreadable(error) from None

    def _remove(self, files: Sequence[StoredFile]) -> None:
        try:
            gone = self._store.remove(files)
        except OSError as error:
            raise StorageError(
                f"{self.name} cannot be cleared of what was collected.",
                evidence=error.strerror or str(error),
                next_step="let this user write there, then run the same command again: nothing counts twice",
            ) from None
        for file in files:
            del self._ends[file.name]
            if file.name in gone:
                del self._progress[file.name]

    def _save(self) -> None:
        try:
            make_folders(self._progress_file.parent)
            read = {name: one for name, one in self._progress.items() if one.offset or one.kept}
            write_atomically(self._progress_file, msgspec.json.encode(read))
        except OSError as error:
            raise StorageError(
                f"How far {self.name} has been read cannot be written down.",
                evidence=f"{self._progress_file}: {error.strerror or error}",
                next_step=f"{look_at_folder(self._progress_file.parent)}; then run the same command again",
            ) from None

    def _damaged(self, name: str, offset: int, why: str) -> InputError:
        return InputError(
            f"{self.name} holds a file that is damaged.",
            evidence=f"{name}, octet {offset}: {why}",
            next_step="move that file away, then run the same command again: the other files are read",
        )

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(
            f"{self.name} cannot be read.",
            evidence=error.strerror or str(error),
            next_step="name the folder that `events` in the listen file names, or a copy of it",
        )


def _unsubscribe(record: ListenedRecord) -> FeedbackNotice:
    return FeedbackNotice(FeedbackOutcome.UNSUBSCRIBE, at=record.at, unsubscribe_tokens=(record.token,))


def _identity(kind: str, name: str) -> str:
    return hashlib.sha256(f"listen {kind} {name}".encode()).hexdigest()[:32]


def _load(path: Path) -> dict[str, _Progress]:
    """What was read; nothing if the file is missing or not ours: then all is read again, and known by its ids."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, _Progress])
    except (OSError, msgspec.MsgspecError, RecursionError):
        return {}
