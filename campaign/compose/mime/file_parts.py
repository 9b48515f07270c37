"""Builds finished MIME parts of images and attachments, only from regular files under one root.

A name from a template or a row is resolved, and must lie under the root after following all links. The file is then
opened without following any link, and its type is decided by content, not by name. Nothing here uses the network.
"""

from __future__ import annotations

import hashlib
import os
import re
from binascii import b2a_base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import msgspec

from campaign.compose.files.read_under_root import kept_back, read_beneath
from campaign.compose.lru_cache import LruCache
from campaign.compose.mime.header_values import HeaderRefused, block, disposition, refuse_controls
from campaign.compose.mime.media_types import attachment_type, image_type, is_svg
from campaign.compose.mime.transfer_encoding import base64_lines
from campaign.config.compose import ComposeSection
from campaign.errors import ConfigError

CACHE = 64_000_000  #: octets of encoded attachments, and of pictures, that are cached for the next letters
MOST_FILES = 10_000  #: of each
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|\\\\")


class ResourceError(ConfigError):
    """An image or attachment that cannot become part of a letter. ``what`` alone can serve as a row's reason."""


class Image(msgspec.Struct, frozen=True):
    """An image ready for a letter.

    ``cid`` is its Content-ID without brackets, derived from the content, so equal images are one part. ``part`` is the
    complete MIME part (headers, empty line, base64), ending in CRLF, without boundaries. ``size`` is the file's size.
    """

    cid: str
    part: bytes
    data_uri: str
    size: int


class Resources:
    """The files under ``root`` that letters may contain. Raises ConfigError if ``root`` is not a folder.

    ``private`` names files and whole folders under the root that no letter may contain: a row that names the secret,
    the list or the journal as its attachment must not get it. Hidden files, private keys, and files with the suffix
    ``.secret`` or ``.password`` are always refused.
    """

    def __init__(self, root: Path, settings: ComposeSection, private: Iterable[Path] = ()) -> None:
        self._root = root.resolve()
        self._private = tuple(path.resolve() for path in private)
        self._longest = settings.max_attachment_size
        self._images: LruCache[Path, Image] = LruCache(MOST_FILES, CACHE)
        self._attachments: LruCache[str, bytes] = LruCache(MOST_FILES, CACHE)
        self._fingerprints: dict[str, str] = {}
        if not self._root.is_dir():
            raise ConfigError(
                f"There is no folder {self._root}.", next_step="set compose.root to the folder that holds the files"
            )

    def image(self, reference: str, base_folder: Path) -> Image:
        """The image that an ``src`` names, relative to ``base_folder`` or else to the root; encoded once.

        Raises ResourceError for names outside the root, network links, and formats other than PNG, JPEG, GIF and WebP.
        """
        name = unquote(reference, errors="surrogateescape")
        folder = base_folder.resolve()
        file = self._found(name, [folder, self._root] if folder.is_relative_to(self._root) else [self._root])
        image = self._images.get(file)
        if image is None:
            content = self._read(file, name)
            image = _image(name, content)
            self._images.keep(file, image, len(image.part) + len(image.data_uri))
            if len(self._fingerprints) < MOST_FILES:  # there may be any number of pictures for single rows
                self._fingerprint(file, content)
        return image

    def attachment(self, name: str, *, constant: bool = False) -> bytes:
        """The complete MIME part of the file ``name`` under the root, ending in CRLF, without boundaries.

        ``constant``: every letter has it. One such call adds it to the `fingerprints`. The most recently used parts are
        cached, up to 64 MB. Raises ResourceError.
        """
        part = self._attachments.get(name)
        if part is not None and not constant:
            return part
        file = self._found(name, [self._root])
        content = self._read(file, name)
        part = _attachment(name, content)
        if constant:
            self._fingerprint(file, content)
        self._attachments.keep(name, part, len(part))
        return part

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the images used so far (10,000 at most) and of constant attachments, by path under the root."""
        return dict(sorted(self._fingerprints.items()))

    def _fingerprint(self, file: Path, content: bytes) -> None:
        self._fingerprints[file.relative_to(self._root).as_posix()] = hashlib.sha256(content).hexdigest()

    def _found(self, name: str, folders: list[Path]) -> Path:
        """The real path of ``name`` under the root. Raises ResourceError."""
        _refuse_name(name)
        for folder in folders:
            file = Path(os.path.realpath(folder / name))
            if os.path.lexists(file):
                break
        else:
            raise ResourceError(
                f"There is no file {_shown(name)}.",
                evidence=[f"looked in {folder}" for folder in dict.fromkeys(folders)],
                next_step="correct the name, or put the file there",
            )
        if not file.is_relative_to(self._root):
            raise _outside(name, self._root)
        if kept_back(file, self._root, self._private):
            raise _kept_back(name)
        return file

    def _read(self, file: Path, name: str) -> bytes:
        try:
            return read_beneath(self._root, file.relative_to(self._root), self._longest)
        except OSError as error:
            raise ResourceError(
                f"The file {_shown(name)} cannot be put into a letter: {error.strerror}.",
                evidence=str(file),
                next_step="correct the file, or raise compose.max_attachment_size where it is meant to be that large",
            ) from None


def _shown(name: str) -> str:
    return repr(name if len(name) <= 120 else f"{name[:120]}…")


def _image(name: str, content: bytes) -> Image:
    kind = image_type(content)
    if kind is None:
        raise _no_image(name, content)
    digest = hashlib.sha256(content).hexdigest()
    cid = f"{digest[:32]}@image"
    part = _part(name, kind, content, [("Content-ID", f"<{cid}>")], "inline")
    encoded = b2a_base64(content, newline=False).decode("ascii")
    return Image(cid, part, f"data:{kind};base64,{encoded}", len(content))


def _attachment(name: str, content: bytes) -> bytes:
    if b"PRIVATE KEY-----" in content:
        raise _kept_back(name)
    kind = attachment_type(content, Path(name).suffix)
    return _part(name, kind, content, [], "attachment")


def _part(name: str, kind: str, content: bytes, extra: list[tuple[str, str]], use: str) -> bytes:
    try:
        where = disposition("inline" if use == "inline" else "attachment", Path(name).name)
    except HeaderRefused as refused:
        raise ResourceError(
            f"The file {_shown(name)} cannot be named in a letter: {refused}.", next_step="rename the file"
        ) from None
    head = block(
        [
            ("Content-Type", kind),
            ("Content-Transfer-Encoding", "base64"),
            *extra,
            ("Content-Disposition", where),
        ]
    )
    return b"\r\n".join([head, base64_lines(content), b""] if content else [head, b""])


def _refuse_name(name: str) -> None:
    if _SCHEME.match(name):
        raise ResourceError(
            f"{_shown(name)} is not the name of a file under the root.",
            next_step='put the file into the folder and name it relatively, or set compose.images = "link"',
        )
    if not name or name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise _refused(name, "absolute paths, '..' and backslashes are refused")
    try:
        refuse_controls("name", name, 4_096)
    except HeaderRefused as refused:
        raise _refused(name, str(refused)) from None


def _refused(name: str, evidence: str) -> ResourceError:
    return ResourceError(
        f"{_shown(name)} is not a name that files of a letter may have.",
        evidence=evidence,
        next_step="name the file relatively to compose.root",
    )


def _outside(name: str, root: Path) -> ResourceError:
    return ResourceError(
        f"The file {_shown(name)} leads out of the root.",
        evidence=f"a link on its way leaves {root}",
        next_step="copy the file into the root, or set compose.root to a folder that holds both",
    )


def _kept_back(name: str) -> ResourceError:
    return ResourceError(
        f"The file {_shown(name)} is not for letters.",
        evidence="hidden files, keys, secrets, and the campaign's own files are never put into one",
        next_step="put what letters may contain into a folder of its own, and set compose.root to it",
    )


def _no_image(name: str, content: bytes) -> ResourceError:
    if is_svg(content):
        return ResourceError(
            f"The image {_shown(name)} is SVG, which may carry scripts and which most mail readers do not show.",
            next_step=f"convert it, such as with `rsvg-convert -o {Path(name).stem}.png {name}`, and name that file",
        )
    return ResourceError(
        f"The image {_shown(name)} is neither PNG, JPEG, GIF nor WebP.",
        evidence=f"it begins with {content[:16]!r}",
        next_step=f"convert it, such as with `convert {name} {Path(name).stem}.png`, and name that file",
    )
