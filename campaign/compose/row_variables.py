"""The variables of templates for one row: its columns, and what the program adds to them."""

from __future__ import annotations

from typing import Any

from campaign.compose.files.campaign_files import CampaignFiles
from campaign.compose.template.template import LOCALE, RowRefused
from campaign.compose.tokens.unsubscribe_token import UnsubscribeTokens
from campaign.errors import ConfigError
from campaign.model import Identity, Recipient

#: The variables of templates besides the row's columns.
EXTRAS = ("campaign", "edition", "unsubscribe_token", "unsubscribe_url")


class RowVariables:
    """For one campaign. ``column`` is the column that the unsubscribe token stands for; empty: the address.

    Raises ConfigError if ``column`` is none of ``columns``, or for an unusable secret.
    """

    def __init__(self, identity: Identity, files: CampaignFiles, column: str, columns: tuple[str, ...]) -> None:
        if column and column not in columns:
            raise ConfigError(
                f"compose.unsubscribe_id names the column {column!r}, which no row has.",
                evidence=f"columns: {', '.join(columns)}",
                next_step="name one of these, or leave unsubscribe_id out: then the token stands for the address",
            )
        self._identity, self._files, self._column = identity, files, column
        self._tokens = UnsubscribeTokens(identity.secret)

    def of(self, recipient: Recipient) -> dict[str, Any]:
        """The variables of this row. Raises RowRefused if it has no ID, locale or link that can be used."""
        identity, page = self._identity, self._files.unsubscribe
        variables: dict[str, Any] = {**recipient.row, "campaign": identity.campaign, "edition": identity.edition}
        variables["unsubscribe_token"] = self._tokens.token(identity, self._subject_of(recipient))
        variables[LOCALE] = self._files.locale_of(variables)
        variables["unsubscribe_url"] = url = page.text(variables).strip() if page else ""
        if page and not url.startswith("https://"):
            raise RowRefused(f"compose.unsubscribe gives {url[:60]!r} for this row, which is no https link")
        return variables

    def _subject_of(self, recipient: Recipient) -> str:
        """The recipient's ID in the unsubscribe token. Raises RowRefused if its column is empty."""
        found = recipient.row.get(self._column) if self._column else recipient.address
        value = "" if found is None else str(found)
        if not value.strip():
            raise RowRefused(f"the column {self._column} is empty, and the unsubscribe token stands for it")
        return value
