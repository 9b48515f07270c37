"""`sample.eml`: the run's letter for a made-up recipient, for the report, which is shared with others.

It is made once, when the run begins, as the templates may have changed by the time of a report. It contains no value of
any recipient: text is the column's name in marks («name»), numbers are 1, dates the first day of 2030. It is not
signed, holds no attachments, and its unsubscribe link does nothing. If no such letter can be made, there is no sample.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from campaign.audience.plan.plan_reader import Plan
from campaign.compose.composer import Composer
from campaign.compose.mime.read_back import read_letter
from campaign.errors import ConfigError
from campaign.ledger.journal.journal_file import write_whole
from campaign.model import Letter, Recipient, Value
from campaign.report.facts import SampleLetter

NAME = "sample.eml"
LARGEST = 4_000_000  #: octets of HTML, with its pictures, that a report includes
ADDRESS = "reader@example.com"
A_DAY = date(2030, 1, 1)
_DATE, _NUMBER = re.compile(r"\d{4}-\d\d-\d\d(?!\d)"), re.compile(r"-?\d+(\.\d+)?")


def write_sample(folder: Path, plan: Plan, composer: Composer, at: float) -> None:
    """Write the sample, if one can be made. Raises StorageError."""
    brief = composer.brief
    settings = brief.settings.model_copy(update={"attachments": [], "dkim": None})
    identity = replace(brief.identity, test=True)
    with contextlib.suppress(ConfigError):
        plain = Composer(replace(brief, settings=settings, identity=identity), composer.inlining, composer.files)
        for read_cells in (False, True):
            letter = plain.compose(made_up(plan.recipient(0), read_cells=read_cells), float(int(at)))
            if isinstance(letter, Letter):
                write_whole(folder / NAME, letter.content)
                return


def made_up(pattern: Recipient, *, read_cells: bool) -> Recipient:
    """A recipient with the columns of ``pattern`` and none of its values.

    ``read_cells``: text that reads as a date or a number becomes one, as the templates may compute with it.
    """
    row = {name: _made_up(name, value, read_cells) for name, value in pattern.row.items()}
    return Recipient(0, ADDRESS, ADDRESS, "", 1, row)


def _made_up(name: str, value: Value, read_cells: bool) -> Value:
    if isinstance(value, list):
        return [_made_up(name, one, read_cells) for one in value[:1]]
    if isinstance(value, dict):
        return {key: _made_up(key, one, read_cells) for key, one in value.items()}
    if isinstance(value, datetime):
        return datetime(A_DAY.year, A_DAY.month, A_DAY.day, tzinfo=value.tzinfo)
    if isinstance(value, date):
        return A_DAY
    if isinstance(value, int | float):
        return type(value)(1)
    return (_alike(value) if read_cells and value else "") or f"«{name}»"


def _alike(text: str) -> str:
    """A made-up date or number for one written as text; empty for other text."""
    if _DATE.match(text):
        return A_DAY.isoformat()
    return "1" if _NUMBER.fullmatch(text) else ""


def read_sample(folder: Path) -> SampleLetter | None:
    """The sample as a report shows it; None for a run without one, such as one of an earlier release."""
    try:
        seen = read_letter((folder / NAME).read_bytes())
    except (OSError, ValueError, LookupError):
        return None
    name, address = seen.sender
    html = seen.standalone_html
    sender = f"{name} <{address}>" if name else address
    return SampleLetter(seen.header("Subject"), sender, html if len(html) <= LARGEST else "", seen.text)
