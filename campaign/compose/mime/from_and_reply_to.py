"""From and Reply-To with templates in the display name or address, rendered for each row.

`header_values.py` checks the rendered names and addresses like all other headers. Mailboxes without a template are
encoded once, and not by this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from campaign.compose.template.template import Page, RowRefused
from campaign.config.units import bare_address, is_template
from campaign.model import Mailbox


class MailboxTemplate:
    """A mailbox with templates. ``setting`` is its key, such as ``campaign.from``.

    ``open_source`` opens a template of the campaign file. Raises ConfigError for a template that is not valid, or that
    uses a variable that no row has.
    """

    def __init__(self, written: Mailbox, setting: str, open_source: Callable[[str, str], Page]) -> None:
        self._setting = setting
        self._name, self._address = open_source(written.name, setting), open_source(written.address, setting)

    def of(self, variables: Mapping[str, Any]) -> Mailbox:
        """The mailbox of one row. Raises RowRefused if its address is not valid."""
        address = self._address.text(variables).strip(" ")
        try:
            return Mailbox(self._name.text(variables), bare_address(address))
        except ValueError:
            raise RowRefused(f"{self._setting} gives {address[:60]!r} for this row, which is no address") from None


def templated(written: Mailbox | None, setting: str, open_source: Callable[[str, str], Page]) -> MailboxTemplate | None:
    """The template for ``written``; None if it contains no template code."""
    if written is None or not (is_template(written.name) or is_template(written.address)):
        return None
    return MailboxTemplate(written, setting, open_source)
