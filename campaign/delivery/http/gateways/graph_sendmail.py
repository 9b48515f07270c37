"""Microsoft Graph: sendMail with the letter as MIME in base64. See learn.microsoft.com/graph/api/user-sendmail."""

from __future__ import annotations

import base64
from urllib.parse import quote

from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest, told_by
from campaign.delivery.http.gateway_api import GatewayAccount
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.model import Letter, Reply


class GraphApi:
    """Graph, for the mailbox of ``user``."""

    def __init__(self, preset: GatewayPreset, user: str) -> None:  # noqa: ARG002 - there is one Graph
        self._target = f"/v1.0/users/{quote(user, safe='@')}/sendMail"

    def letter_request(self, letter: Letter, secret: str, now: float) -> GatewayRequest:  # noqa: ARG002
        """The letter in base64, as text/plain."""
        headers = {"Authorization": f"Bearer {secret}", "Accept": "application/json", "Content-Type": "text/plain"}
        return GatewayRequest("POST", self._target, headers, base64.b64encode(letter.content))

    def letter_reply(self, answer: GatewayAnswer) -> Reply | None:
        """202 without a body, or an error with its code."""
        if answer.status == 202 and not answer.body.strip():
            return Reply(202, "", told_by("request", answer.headers.get("request-id")))
        error = (answer.members() or {}).get("error")
        if not isinstance(error, dict) or not error.get("code") or not 400 <= answer.status < 500:
            return None
        return Reply(answer.status, "", told_by(error["code"], error.get("message")))

    def account_request(self, secret: str, now: float) -> GatewayRequest | None:  # noqa: ARG002
        """Nothing: Mail.Send does not include reading."""
        return None

    def account(self, answer: GatewayAnswer) -> GatewayAccount | None:  # noqa: ARG002
        """Never asked for."""
        return None


GATEWAY = GraphApi
