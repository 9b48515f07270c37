"""A list in several files: those of a folder, or those that a pattern such as ``lists/*.csv`` matches, in sorted order.

All have the same columns. Rows are numbered through; `RowPlace` says which line of which file a number means.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from campaign.audience.sources.row_chunks import Chunk, Source
from campaign.audience.sources.source_file import bare_suffix, identity, open_source_file
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError

#: Files of one list, at most.
MOST_FILES = 4096
#: Files that a message names.
NAMED = 5
TEXT_FILES, PARQUET = frozenset({".csv", ".tsv", ".tab"}), frozenset({".parquet"})
_WILD = frozenset("*?[")
Open = Callable[[Path, str], Source]


def names_files(text: str, base: Path) -> bool:
    """Whether ``text`` is a folder, or a pattern and not the name of a file that is there."""
    if "://" in text or "\0" in text:
        return False
    path = base / text
    return path.is_dir() or (not _WILD.isdisjoint(text) and not path.exists())


def matching_files(text: str, base: Path) -> list[Path]:
    """The files that a pattern matches, whatever their kind; none if ``text`` is no pattern."""
    if _WILD.isdisjoint(text) or not names_files(text, base):
        return []
    return list(_matches(text, base, folder=False))


def files_named(text: str, base: Path, key: str = "audience.source") -> list[Path]:
    """The files of a folder or a pattern, sorted by their paths. Raises InputError or ConfigError."""
    folder = (base / text).is_dir()
    found = sorted(_matches(text, base, folder=folder))
    if not found:
        raise InputError(
            f"{key} names {text}, and no file is there.",
            evidence="of a folder, files that end in .csv, .tsv or .parquet are read" if folder else (),
            next_step=f"check it; it is relative to the campaign file's folder {base}",
        )
    if len(found) > MOST_FILES:
        raise InputError(
            f"{key} names {text}, which is more than {MOST_FILES:,} files.",
            evidence=f"{len(found):,} files",
            next_step="join some of them, or name fewer by a pattern",
        )
    kinds = Counter(bare_suffix(path) for path in found)
    if not (kinds.keys() <= TEXT_FILES or kinds.keys() <= PARQUET):
        raise ConfigError(
            f"{key} names {text}, which are files of several kinds, or of one that stands alone.",
            evidence=", ".join(f"{count:,} {kind or 'without an ending'}" for kind, count in kinds.most_common(NAMED)),
            next_step='name those of one kind, which may be .csv, .tsv or .parquet, by a pattern such as "lists/*.csv"',
        )
    return found


def _matches(text: str, base: Path, *, folder: bool) -> Iterator[Path]:
    """Files that are not hidden; of a folder all that may be lists, so that none of another kind is left out unseen."""
    if folder:
        found = (base / text).iterdir()
    elif Path(text).is_absolute():
        found = Path(Path(text).anchor).glob(str(Path(text).relative_to(Path(text).anchor)))
    else:
        found = base.glob(text)
    may_be_lists = TEXT_FILES | PARQUET | {".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".jsonl", ".ndjson", ".json"}
    for path in found:
        if path.name.startswith(".") or not path.is_file():
            continue
        if not folder or bare_suffix(path) in may_be_lists:
            yield path


class FileSet:
    """The rows of several files one after another. ``open_file`` opens one, under the name that messages use."""

    def __init__(self, settings: AudienceSection, base: Path, key: str, open_file: Open) -> None:
        self.name, self._settings = settings.source, settings
        self._paths = files_named(settings.source, base, key)
        names = [os.path.relpath(path, base) for path in self._paths]
        first = open_file(self._paths[0], names[0])
        self._sources = [first]
        for path, name in zip(self._paths[1:], names[1:], strict=True):
            self._sources.append(one := open_file(path, name))
            if one.columns != first.columns:
                raise _differs(name, one.columns, names[0], first.columns)
        self.columns, self.value_type = first.columns, first.value_type
        self.notes: tuple[str, ...] = (*first.notes, f"{len(names):,} files")
        self._names = names

    @cached_property
    def files(self) -> tuple[tuple[str, int], ...]:
        """Each file with the number from which its rows are counted: a line of it plus that is the row's number."""
        found, before = [], 0
        for name, path in zip(self._names, self._paths, strict=True):
            found.append((name, before))
            before += _most_lines(path, self._settings)
        return tuple(found)

    def identity(self) -> dict[str, str | int]:
        """How many files, their bytes, and one SHA-256 over their names and theirs."""
        whole, size = hashlib.sha256(), 0
        for name, path in zip(self._names, self._paths, strict=True):
            one = identity(path)
            whole.update(f"{name}\0{one['sha256']}\n".encode(errors="surrogateescape"))
            size += int(one["bytes"])
        return {"files": len(self._paths), "bytes": size, "sha256": whole.hexdigest()}

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Those of the first file."""
        return self._sources[0].first_rows()

    def chunks(self) -> Iterator[Chunk]:
        """The rows of all files, numbered through. Raises InputError if a file has become longer meanwhile."""
        ends = [*(before for _, before in self.files[1:]), None]
        for source, (_, before), end in zip(self._sources, self.files, ends, strict=True):
            for chunk in source.chunks():
                chunk.lines = [line + before for line in chunk.lines]
                chunk.bad = [replace(bad, line=bad.line + before) for bad in chunk.bad]
                last = max((*chunk.lines[-1:], *(bad.line for bad in chunk.bad)), default=0)
                if end is not None and last > end:
                    raise InputError(
                        f"{source.name} changed while it was read.", next_step="run the same command again"
                    )
                yield chunk


def _differs(name: str, columns: Sequence[str], first: str, expected: Sequence[str]) -> InputError:
    lacking = [repr(one) for one in expected if one not in columns]
    surplus = [repr(one) for one in columns if one not in expected]
    evidence = [f"it lacks {', '.join(lacking)}"] if lacking else []
    evidence += [f"it has {', '.join(surplus)} besides"] if surplus else []
    return InputError(
        f"{name} has other columns than {first}.",
        evidence=evidence or [f"in another order: {', '.join(columns)}", f"expected: {', '.join(expected)}"],
        next_step="give both the same header; or send from one list at a time",
    )


def _most_lines(path: Path, settings: AudienceSection) -> int:
    """How many lines a file has, at most."""
    if bare_suffix(path) in PARQUET:
        from campaign.audience.sources.typed_files.dataframe import parquet_rows

        return parquet_rows(path)
    with open_source_file(path, settings.compression) as stream:
        return 1 + sum(block.count(b"\n") + block.count(b"\r") for block in iter(lambda: stream.read(1 << 20), b""))
