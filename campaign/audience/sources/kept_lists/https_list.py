"""A list from an ``https://`` address, kept in the ledger's folder with its ETag: unchanged, it is not fetched again.

A process asks the server once, and reads one copy from then on, even if another process fetches a newer one.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from campaign.errors import ConfigError, StorageError
from campaign.system.atomic_file import atomic_file, make_folders, write_atomically

#: The folder of fetched lists in that of the ledger. It is hidden, so no letter may contain what is in it.
FOLDER = ".fetched-lists"
KINDS = {
    "text/csv": ".csv",
    "text/plain": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.apache.parquet": ".parquet",
}
_SHEET = re.compile(r"/spreadsheets/d/(e/)?([\w-]+)(?:/(\w+))?/?$")
_ENDING = re.compile(r"\.\w{2,8}(?:\.gz|\.zst)?$")
_OPEN = ExitStack()
_PLACE: list[Path] = []


def keep_lists_in(directory: Path) -> None:
    """Keep fetched lists in this folder of a ledger from now on; without it only for as long as the process lives."""
    _PLACE[:] = [directory / FOLDER]


@atexit.register
def release_lists() -> None:
    """Close the files that `fetched_list` opened, and remove the links to them."""
    _fetched.cache_clear()
    _OPEN.close()


def fetched_list(source: str, key: str = "audience.source") -> Path:
    """A file with the list of an https address. Raises ConfigError, InputError, StorageError."""
    return _fetched(list_address(source, key))


def is_web_address(text: str) -> bool:
    """Whether ``text`` begins with http:// or https://."""
    return text.lower().startswith(("http://", "https://"))


def shown_source(source: str) -> str:
    """A source as a report names it: of a web address only the server, as whoever has the rest can read the list."""
    return f"https://{urlsplit(source).hostname}/…" if is_web_address(source) else source


def list_address(source: str, key: str = "audience.source") -> str:
    """The address to fetch: of a Google Sheet that of its export as CSV. Raises ConfigError."""
    parts = urlsplit(source.strip())
    if parts.scheme.lower() != "https":
        raise ConfigError(
            f"{key} is an http:// address, and anybody on the way could change the list.",
            next_step="write https://; or download the list, and name the file",
        )
    if parts.username is not None or not parts.hostname:
        raise ConfigError(
            f"{key} has a login in its address, where every listing and log would show it.",
            next_step="make the list readable by its address alone; or download it, and name the file",
        )
    if parts.hostname == "docs.google.com" and (sheet := _SHEET.match(parts.path)):
        return _exported(sheet, parts.query, parts.fragment)
    return urlunsplit(("https", *parts[1:4], ""))


def _exported(sheet: re.Match[str], query: str, fragment: str) -> str:
    """The address of one sheet as CSV, the first if the link names none."""
    published, name, _ = sheet.groups()
    given = {**parse_qs(fragment), **parse_qs(query)}
    asked = {"output" if published else "format": "csv"}
    if "gid" in given:
        asked["gid"] = given["gid"][-1]
    if published and "gid" in given:
        asked["single"] = "true"
    path = f"/spreadsheets/d/e/{name}/pub" if published else f"/spreadsheets/d/{name}/export"
    return urlunsplit(("https", "docs.google.com", path, urlencode(asked), ""))


@lru_cache(maxsize=8)
def _fetched(address: str) -> Path:
    from campaign.audience.sources.kept_lists import public_https  # with its libraries, which few campaigns need

    with _storable(address):
        folder = _PLACE[0] if _PLACE else Path(_OPEN.enter_context(tempfile.TemporaryDirectory(prefix="campaign-")))
        make_folders(folder)
        stem = hashlib.sha256(address.encode()).hexdigest()[:24]
        body, notes = folder / f"{stem}.list", folder / f"{stem}.json"
        known = _known(body, notes)
        asked = {"Accept-Encoding": "identity", "User-Agent": "campaign", "Accept": "text/csv, */*;q=0.5"}
        if known.get("etag"):
            asked["If-None-Match"] = known["etag"]
        with public_https.https_request(address, asked, public_https.NETWORK) as answer:
            if not answer.unchanged:
                with atomic_file(body) as file:
                    public_https.save(answer, file)
                known = {"etag": answer.headers.get("etag", ""), "type": answer.headers.get("content-type", "")}
                known["sha256"] = _digest(body)
                write_atomically(notes, json.dumps(known).encode())
        return _opened(body, _file_name(address, known["type"]))


def _known(body: Path, notes: Path) -> dict[str, str]:
    """What was noted about the copy; nothing if the copy is not the one that was fetched."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        found: dict[str, Any] = json.loads(notes.read_bytes())
        if found.get("sha256") == _digest(body):
            return {name: str(found.get(name, "")) for name in ("etag", "type", "sha256")}
    return {}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_name(address: str, kind: str) -> str:
    """A name with the ending that says what the list is: that of the address, or of the type that the server names."""
    last = urlsplit(address).path.rpartition("/")[2]
    safe = re.sub(r"[^\w.-]", "_", last)[-80:].lstrip(".") or "list"
    known = KINDS.get(kind.partition(";")[0].strip().lower(), "")
    return safe if _ENDING.search(safe) or not known else f"{safe}{known}"


def _opened(body: Path, name: str) -> Path:
    """A link to the open file, which stays as it is when the copy is replaced."""
    file = _OPEN.enter_context(body.open("rb"))
    link = Path(_OPEN.enter_context(tempfile.TemporaryDirectory(prefix="campaign-"))) / name
    link.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
    return link


@contextmanager
def _storable(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The list of {urlsplit(address).hostname} cannot be kept while it is read.",
            evidence=str(error),
            next_step="see to the disk and the folder of the ledger (space, rights), then run the same command again",
        ) from None
