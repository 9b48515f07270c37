"""From and Reply-To whose display name or address is a template, filled in for each row.

What a rendered name or address may be is decided by `header_values.py`, as for every header. Mailboxes without a
template never come here: they are encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from campaign.compose.template.template import Page, RowRefused
from campaign.config.units import bare_address, is_template
from campaign.model import Mailbox


class MailboxTemplate:
    """``setting`` is its key, such as ``campaign.from``; ``open_source`` opens a template of the campaign file.

    Raises ConfigError for a template that is not valid, or that names what no row has.
    """

    def __init__(self, written: Mailbox, setting: str, open_source: Callable[[str, str], Page]) -> None:
        self._setting = setting
        self._name, self._address = open_source(written.name, setting), open_source(written.address, setting)

    def of(self, variables: Mapping[str, Any]) -> Mailbox:
        """The mailbox of one row. Raises RowRefused where its address is none."""
        address = self._address.text(variables).strip(" ")
        try:
            return Mailbox(self._name.text(variables), bare_address(address))
        except ValueError:
            raise RowRefused(f"{self._setting} gives {address[:60]!r} for this row, which is no address") from None


def templated(written: Mailbox | None, setting: str, open_source: Callable[[str, str], Page]) -> MailboxTemplate | None:
    """None where nothing in it is a template."""
    if written is None or not (is_template(written.name) or is_template(written.address)):
        return None
    return MailboxTemplate(written, setting, open_source)
