"""What may be answered to the questions of `campaign init`, and the answers that are offered."""

from __future__ import annotations

import re
from pathlib import Path

from campaign.audience.sources.kept_lists.https_list import fetched_list, is_web_address
from campaign.audience.sources.source_factory import DATABASE_FILES, DUCKDB_FILES, FRAMES, JSON_LINES, TEXT, WORKBOOKS
from campaign.audience.sources.source_file import bare_suffix, locate
from campaign.config.audience import AudienceSection
from campaign.config.campaign import CampaignSection
from campaign.config.units import sender_template
from campaign.delivery.relays.relay import find
from campaign.errors import ConfigError, InputError
from campaign.pipeline.begin.found_list import OPTION, compression_of, is_database, is_set, is_text
from campaign.pipeline.begin.text_encoding import EncodingSample, readings

DEFAULT_SENDER = "News <news@example.com>"
#: Suffixes of files that are offered as the list; a .txt, .json or .db file is as often something else.
_LISTS = (TEXT | WORKBOOKS | FRAMES | JSON_LINES | DATABASE_FILES | DUCKDB_FILES) - {".txt", ".db"}
_NAME = re.compile(
    next(one.pattern for one in CampaignSection.model_fields["name"].metadata if hasattr(one, "pattern"))
)


def lists_in(folder: Path) -> list[Path]:
    """The files in ``folder`` that look like lists."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in files if path.is_file() and bare_suffix(path) in _LISTS and path.name[0] != "."]


def wanted_list(source: str, query: str, address: str, encoding: str) -> AudienceSection:
    """The section of the campaign file that was asked for. Raises InputError if there is no such file."""
    if source == "-":
        raise InputError(
            "init cannot look at a list on standard input.",
            next_step=f'save it to a file, name that with {OPTION} FILE, and write source = "-" afterwards',
        )
    if not is_database(source) and "://" not in source and not Path(source).exists() and not is_set(source):
        others = ", ".join(map(str, lists_in(Path(source).parent)))
        raise InputError(
            f"There is no list {source}.",
            evidence=f"there is: {others}" if others else (),
            next_step=f"name one that is there with {OPTION} FILE",
        )
    keys = {"source": source, "compression": compression_of(source), "encoding": encoding, "query": query}
    given = {key: value for key, value in {**keys, "address": address}.items() if value}
    return AudienceSection(**given)


def encodings_to_choose(wanted: AudienceSection) -> list[EncodingSample]:
    """The encodings that the list may be in; empty if none needs to be chosen. Raises InputError if there is none."""
    if wanted.encoding or not is_text(wanted.source) or is_set(wanted.source):
        return []
    web = is_web_address(wanted.source)
    path = fetched_list(wanted.source, OPTION) if web else locate(wanted.source, Path(), OPTION)
    return readings(path, wanted.compression)


def unchosen(source: str, found: list[EncodingSample]) -> InputError:
    """The error for a list whose encoding nobody has chosen."""
    return InputError(
        f"{source} is not UTF-8, and its encoding is not given.",
        evidence=[f"as {one.encoding}: {one.line}" for one in found],
        next_step=f"if a line above reads right, add its name, such as --encoding {found[0].encoding}",
    )


def usable_list(text: str) -> str:
    """A database, or a file that is there. Raises ValueError."""
    try:
        wanted_list(text, "", "", "")
    except InputError as error:
        raise ValueError(_in_one_line(error.what, *error.evidence)) from None
    return text


def usable_name(text: str) -> str:
    """A name of a campaign. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a campaign: letters, digits, dot, dash and underscore, at most 64")
    return text


def usable_sender(text: str) -> str:
    """A From. Raises ValueError with an example."""
    sender_template(text)
    return text


def usable_relay(text: str) -> str:
    """A relay's URL or preset, or ``mailbox``. Raises ValueError with what is wrong."""
    if text != "mailbox":
        try:
            find(text)
        except ConfigError as error:
            raise ValueError(_in_one_line(error.what, *error.evidence, error.next_step)) from None
    return text


def _in_one_line(sentence: str, *more: str) -> str:
    return "; ".join([sentence.removesuffix("."), *more]).replace("?; ", "? ")
