"""Reads linked and imported local style sheets, only from under the root."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import partial
from html import unescape
from pathlib import Path

from campaign.compose.files.read_under_root import kept_back, read_beneath
from campaign.compose.html.css.css_rules import Reader
from campaign.errors import ConfigError

LONGEST_SHEET = 1_000_000  #: octets
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


class LocalSheets:
    """The local sheets of one campaign. Relative names are looked up in ``folders``, in order.

    ``private`` are files and folders that are never read as sheets.
    """

    def __init__(self, root: Path, folders: tuple[Path, ...], private: Iterable[Path] = ()) -> None:
        self._root, self._folders, self._private = root, folders, tuple(path.resolve() for path in private)
        self._sheets: dict[tuple[str, Path | None], tuple[str, Path]] = {}
        self._fingerprints: dict[str, str] = {}

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of every sheet read so far, by its path under the root."""
        return dict(sorted(self._fingerprints.items()))

    def read(self, reference: str, beside: Path | None = None) -> tuple[str, Reader] | None:
        """The text of a local sheet, and the reader for its imports, which are first looked up in its own folder.

        ``beside`` is the folder of the importing sheet. None if the reference leads to the network. Raises ConfigError.
        """
        name = unescape(reference).strip()
        if _REMOTE.match(name) and not name.lower().startswith("file:"):
            return None
        if (name, beside) not in self._sheets:
            self._sheets[name, beside] = self._load(name, beside)
        text, folder = self._sheets[name, beside]
        return text, partial(self.read, beside=folder)

    def _load(self, name: str, beside: Path | None) -> tuple[str, Path]:
        for folder in (beside, *self._folders) if beside else self._folders:
            path = (folder / name).resolve()
            if name.startswith("/") or not path.is_relative_to(self._root) or not path.is_file():
                continue
            if kept_back(path, self._root, self._private):
                raise ConfigError(
                    f"The file {name!r} is not for letters, and no style sheet.",
                    evidence="hidden files, secrets, and the campaign's own files are never put into one",
                    next_step="put style sheets into a folder of their own, and link them there",
                )
            return self._text(path), path.parent
        if "{{" in name or "{%" in name:
            raise ConfigError(
                f"The template leaves it to the row which style sheet it reads: {name!r}.",
                next_step="name the sheets there are, and choose between them with {% if %}",
            )
        raise ConfigError(
            f"The template asks for the style sheet {name!r}, which is not there.",
            evidence=[f"looked in {folder}" for folder in dict.fromkeys(self._folders)],
            next_step="correct the name; sheets outside compose.root are never read",
        )

    def _text(self, path: Path) -> str:
        inside = path.relative_to(self._root)
        try:
            octets = read_beneath(self._root, inside, LONGEST_SHEET)
            text = octets.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The style sheet {inside} cannot be used.",
                evidence=str(error),
                next_step=f"save {inside} as UTF-8 text",
            ) from None
        self._fingerprints[inside.as_posix()] = hashlib.sha256(octets).hexdigest()
        return text
