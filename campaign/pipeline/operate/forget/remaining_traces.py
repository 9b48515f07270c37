"""What still names a person after they were forgotten: files below the ledger's directory, and the campaign's own list.

The list is the operator's. It is not changed; each line that names the person is told with its file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from campaign.audience.columns.column_types import text_cell
from campaign.audience.sources.kept_lists.https_list import FOLDER
from campaign.audience.sources.row_chunks import RowPlace
from campaign.audience.sources.source_factory import open_source
from campaign.errors import CampaignError
from campaign.ledger.journal import journal_reader
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.forget.known_person import KnownPerson
from campaign.pipeline.operate.forget.run_files import is_ours
from campaign.pipeline.start.sample_letter import ADDRESS as READER
from campaign.pipeline.start.sample_letter import NAME as SAMPLE

WAITS = "letters of other people that still have to be sent name this address; forget it again once they are sent"
_SETTING = "the campaign's own settings name this address, such as from or reply_to"
_COPY = "a copy of your own list: take the address out of the list, then forget it again"
_NOT_OURS = "no file of this program; it was not changed"


def traces_left(directory: Path, person: KnownPerson, waiting: Collection[Path], notes: list[str]) -> dict[str, str]:
    """The files below ``directory`` that still name the person, each with the reason.

    ``waiting`` are plans whose letters have yet to be sent to others. ``notes`` gets a sentence for each link to a
    folder, which is not followed.
    """
    left = {}
    for folder, below, names in os.walk(directory):
        links = [Path(folder) / name for name in below if (Path(folder) / name).is_symlink()]
        notes += [f"{link} is a link, so it was not followed" for link in links]
        for path in sorted(Path(folder) / name for name in names):
            if path.is_symlink() or not path.is_file() or not _names(path, person):
                continue
            left[str(path)] = WAITS if path in waiting else _reason(path, directory)
    return left


def _reason(path: Path, directory: Path) -> str:
    if path.parent == directory / FOLDER:
        return _COPY
    if not is_ours(path, directory):
        return _NOT_OURS
    return _SETTING if path.name == journal_reader.NAME else "it could not be erased"


def listed_lines(job: Job, person: KnownPerson, notes: list[str]) -> Iterator[str]:
    """``people.csv:7`` for each line of the campaign's own list that has the address; ``notes`` gets a failure."""
    audience, base = job.settings.audience, job.settings.base
    try:
        source = open_source(audience, base)
        column = source.columns.index(source.settings.address)
        for chunk in source.chunks():
            for line, row in zip(chunk.lines, chunk.rows, strict=True):
                if person.is_theirs(str(text_cell(row[column]))):
                    yield str(RowPlace.of(line, source.files)) if source.files else f"{source.name}:{line}"
    except CampaignError as error:
        notes.append(f"the campaign's own list could not be searched: {error.what}")


def _names(path: Path, person: KnownPerson) -> bool:
    if path.name == SAMPLE and person.address == READER:
        return False
    mask = person.mask
    if mask.found(os.fsencode(path.name)) or mask.found(os.fsencode(path.stem)):
        return True
    if path.suffix == ".eml" or "mailbox" in path.parts:
        return mask.in_letter(path.read_bytes())
    with path.open("rb") as file:
        return any(map(mask.found, file))
