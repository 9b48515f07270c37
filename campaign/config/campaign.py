"""The ``[campaign]`` section: what is sent, as whom, and when."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field

from campaign.config.base_section import Section
from campaign.config.units import MailboxText, ReturnPathText, SenderText

FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class CampaignSection(Section):
    """The campaign, its edition and its sender. Within one edition no recipient is served twice."""

    name: FolderName = Field(description="name of the campaign: letters, digits, dot, dash, underscore")
    edition: str = Field("", description="the issue: text, or a date pattern such as %Y-%m, filled in at the start")
    sender: SenderText = Field(
        alias="from", description="the From header: 'Name <address>'; all but the domain may be templates"
    )
    reply_to: MailboxText | None = Field(None, description="the Reply-To header, which may hold templates")
    return_path: ReturnPathText | None = Field(
        None,
        description="envelope sender, where bounces go (default: from); {token} before the @ identifies the recipient",
    )
    secret_file: Path = Field(
        Path("campaign.secret"),
        description="signs Message-IDs and unsubscribe tokens; created at first use, or CAMPAIGN_SECRET",
    )
    not_before: AwareDatetime | None = Field(None, description="before this the run waits (or exits 75 with --no-wait)")
    not_after: AwareDatetime | None = Field(None, description="after this nothing more is sent, and the rest expire")

    def edition_at(self, now: datetime) -> str:
        """The edition with its date pattern filled in from ``now`` (aware, local time zone)."""
        return now.strftime(self.edition)
