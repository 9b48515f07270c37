"""The Gmail API: users.messages.send with the letter as media.

developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send
"""

from __future__ import annotations

from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest, told_by
from campaign.delivery.http.gateway_api import GatewayAccount
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.model import Letter, Reply

SENDING = "/upload/gmail/v1/users/me/messages/send?uploadType=media"


class GmailApi:
    """The Gmail API, for the mailbox that the token belongs to."""

    def __init__(self, preset: GatewayPreset, user: str) -> None:
        pass  # the token says who sends

    def letter_request(self, letter: Letter, secret: str, now: float) -> GatewayRequest:  # noqa: ARG002
        """The letter itself as the body."""
        headers = {
            "Authorization": f"Bearer {secret}",
            "Accept": "application/json",
            "Content-Type": "message/rfc822",
        }
        return GatewayRequest("POST", SENDING, headers, letter.content)

    def letter_reply(self, answer: GatewayAnswer) -> Reply | None:
        """200 with an id, or an error with its reason."""
        members = answer.members()
        if members is None:
            return None
        if answer.status == 200:
            found = members.get("id")
            return Reply(200, "", told_by(found)) if isinstance(found, str) and found else None
        error = members.get("error")
        if not isinstance(error, dict) or not 400 <= answer.status < 500:
            return None
        several = error.get("errors")
        first = several[0] if isinstance(several, list) and several and isinstance(several[0], dict) else {}
        return Reply(answer.status, "", told_by(first.get("reason") or error.get("status"), error.get("message")))

    def account_request(self, secret: str, now: float) -> GatewayRequest | None:  # noqa: ARG002
        """Nothing: the permission to send does not include reading."""
        return None

    def account(self, answer: GatewayAnswer) -> GatewayAccount | None:  # noqa: ARG002
        """Never asked for."""
        return None


GATEWAY = GmailApi
