"""Writes the files of a first campaign: campaign file, template, schema, ``.gitignore``; nothing is overwritten."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from campaign.audience.sources.kept_lists.https_list import is_web_address
from campaign.compose.html.markdown_mjml import markdown, mjml
from campaign.config import SCHEMA
from campaign.errors import ConfigError
from campaign.ledger.journal.journal_file import unwritable
from campaign.pipeline.begin.campaign_file_text import NewCampaign, campaign_file_text
from campaign.pipeline.begin.found_list import is_database
from campaign.pipeline.begin.starter_letter import SUFFIXES, starter_text
from campaign.system.atomic_file import make_folders, write_atomically

#: What a repository should not keep: the secret, and the runs with their addresses.
IGNORED = ("campaign.secret", "runs/")
READABLE = 0o644
#: What a form of template is converted by; each needs a library of its own.
CONVERTERS: Mapping[str, Callable[[], object]] = {"markdown": markdown, "mjml": mjml}


class Begun(msgspec.Struct, frozen=True):
    """The files that were written, the campaign file first, and those that were there and are kept as they are."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]


def begin_campaign(new: NewCampaign, folder: Path) -> Begun:
    """Write the files of ``new`` into ``folder``. Raises ConfigError if the campaign or its template is there."""
    file, template = folder / f"{new.name}.toml", folder / f"{new.name}{SUFFIXES[new.form]}.j2"
    if convert := CONVERTERS.get(new.form):
        convert()  # so that a missing library is told before anything is written
    own = {
        file: campaign_file_text(new, template.name),
        template: starter_text(new.starter, new.form, new.found, new.mailbox),
    }
    shared = {
        folder / SCHEMA.name: SCHEMA.read_text(encoding="utf-8"),
        folder / ".gitignore": "".join(f"{line}\n" for line in IGNORED),
    }
    if there := [path for path in own if os.path.lexists(path)]:
        raise _already_there(there, file)
    kept = tuple(path for path in shared if os.path.lexists(path))
    texts = {**own, **{path: text for path, text in shared.items() if path not in kept}}
    _write_all(folder, texts)
    return Begun(tuple(texts), kept)


def uninstalled_forms() -> dict[str, str]:
    """The forms of templates whose library is not installed, each with the command that installs it."""
    lacking = {}
    for form, convert in CONVERTERS.items():
        try:
            convert()
        except ConfigError as error:
            lacking[form] = error.next_step
    return lacking


def lacks_ignored(file: Path) -> list[str]:
    """The lines of `IGNORED` that a ``.gitignore`` of the operator's own does not have."""
    try:
        lines = {line.strip().strip("/") for line in file.read_text(encoding="utf-8", errors="replace").splitlines()}
    except OSError:
        return list(IGNORED)
    return [line for line in IGNORED if line.strip("/") not in lines]


def source_from(source: str, folder: Path) -> str:
    """The list as a campaign file in ``folder`` names it; ``source`` is relative to the current folder."""
    scheme = "sqlite:///"
    if source.startswith(scheme):
        path, mark, query = source.removeprefix(scheme).partition("?")
        return f"{scheme}{_moved(path, folder)}{mark}{query}"
    return source if is_database(source) or is_web_address(source) else _moved(source, folder)


def _moved(path: str, folder: Path) -> str:
    whole = Path(path).absolute()
    if whole.is_relative_to(folder.absolute()) or not Path(path).is_absolute():
        return os.path.relpath(whole, folder.absolute())
    return path


def _write_all(folder: Path, texts: Mapping[Path, str]) -> None:
    """Write every file, or none: those written before one fails are removed again."""
    written: list[Path] = []
    path = folder
    try:
        make_folders(folder)
        for path, text in texts.items():
            write_atomically(path, text.encode(), mode=READABLE, keep_first=True)
            written.append(path)
    except OSError as error:
        for one in written:
            one.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise _already_there([path], next(iter(texts))) from None
        raise unwritable(path, error) from error


def _already_there(there: list[Path], file: Path) -> ConfigError:
    return ConfigError(
        f"{there[0]} is already there, and nothing is overwritten.",
        evidence=[f"{path} too" for path in there[1:]],
        next_step=f"give this campaign another name with --name NAME, or go on with {file}: campaign check {file}",
    )
