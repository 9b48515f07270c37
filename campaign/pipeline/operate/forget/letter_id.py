"""The Message-ID of a planned recipient's letter, also where the recipient was forgotten and only that was kept."""

from __future__ import annotations

from campaign.audience.plan.forgotten_rows import is_forgotten, kept_message_id
from campaign.compose.mime.header_values import message_id
from campaign.model import Identity, Recipient


def letter_id(identity: Identity, domain: str, recipient: Recipient) -> str:
    """``<…@domain>``; empty for a forgotten recipient whose letter was not in doubt."""
    if not is_forgotten(recipient):
        return message_id(identity, domain, recipient.key)
    kept = kept_message_id(recipient.key)
    return f"<{kept}@{domain}>" if kept else ""
