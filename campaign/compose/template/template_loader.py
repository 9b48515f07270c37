"""Reads template files from beside the first one or from under the root, each once, and refuses private files.

`includes.py` finds the templates that a letter needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from jinja2 import BaseLoader, Environment, TemplateNotFound

from campaign.compose.files.read_under_root import kept_back
from campaign.errors import ConfigError


class Loader(BaseLoader):
    """Reads templates beside the first one or under the root; symbolic links must end inside the root.

    Each file is read once, so a change during a run does not reach a letter. While ``sealed``, other files are treated
    as missing: everything that rows can need was read before the first row.
    """

    def __init__(self, folders: Iterable[Path], root: Path, private: Iterable[Path]) -> None:
        self.folders, self.root, self.private = tuple(folders), root, tuple(path.resolve() for path in private)
        self.read: dict[str, bytes] = {}
        self.sealed = False
        self._known: dict[str, tuple[str, str, None]] = {}

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:  # noqa: ARG002 - Jinja's
        """Text and path of a template, for Jinja. Raises TemplateNotFound, ConfigError."""
        if template not in self._known:
            path = None if self.sealed else self._found(template)
            if path is None:
                raise TemplateNotFound(template)
            self._known[template] = self.text(path), str(path), None
        return self._known[template]

    def text(self, path: Path) -> str:
        """The template in ``path`` (resolved, under the root). Raises ConfigError."""
        if kept_back(path, self.root, self.private):
            raise ConfigError(
                f"The file {path.relative_to(self.root)} is not for letters.",
                evidence="hidden files, secrets, and the campaign's own files are never put into one",
                next_step="put templates into a folder of their own, and name them there",
            )
        try:
            octets = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"The template {path.name} cannot be read.",
                evidence=f"{path}: {error.strerror}",
                next_step=f"give this user the right to read {path}",
            ) from error
        text = decoded(octets, path)
        self.read[path.relative_to(self.root).as_posix()] = octets
        return text

    def _found(self, template: str) -> Path | None:
        paths = [(folder / template).resolve() for folder in self.folders]
        return next((path for path in paths if path.is_relative_to(self.root) and path.is_file()), None)


def decoded(octets: bytes, path: Path) -> str:
    """The text of a template file. Raises ConfigError where it is not UTF-8 or holds control characters."""
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"The template {path.name} is not UTF-8.", evidence=f"{path}:{line}", next_step=f"save {path} as UTF-8"
        ) from None
    if found := re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigError(
            f"The template {path.name} holds a control character (U+{ord(found[0]):04X}).",
            evidence=f"{path}:{line}",
            next_step="delete that character; a tab, or nothing, may stand in its place",
        )
    return text
