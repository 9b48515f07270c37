"""Mailgun: messages.mime, and the state of the domain.

documentation.mailgun.com/docs/mailgun/api-reference: POST /v3/{domain_name}/messages.mime, GET /v4/domains/{name}
"""

from __future__ import annotations

import base64
import hashlib

from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest, told_by
from campaign.delivery.http.gateway_api import GatewayAccount
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.model import Letter, Reply

#: The whole body of the answer to a wrong key.
FORBIDDEN = b"Forbidden"


class MailgunApi:
    """Mailgun for the domain of ``preset``."""

    def __init__(self, preset: GatewayPreset, user: str) -> None:  # noqa: ARG002 - the key says who sends
        self._domain = preset.place

    def letter_request(self, letter: Letter, secret: str, now: float) -> GatewayRequest:  # noqa: ARG002
        """A form with the recipient and the letter as a file; links are not rewritten."""
        border = hashlib.sha256(letter.content).hexdigest().encode()  # no content holds its own hash
        parts = [
            b'Content-Disposition: form-data; name="to"\r\n\r\n' + letter.recipient.encode(),
            b'Content-Disposition: form-data; name="o:tracking"\r\n\r\nno',
            b'Content-Disposition: form-data; name="message"; filename="message.eml"\r\n'
            b"Content-Type: message/rfc822\r\n\r\n" + letter.content,
        ]
        body = b"".join(b"--%s\r\n%s\r\n" % (border, part) for part in parts) + b"--%s--\r\n" % border
        headers = {**_login(secret), "Content-Type": f"multipart/form-data; boundary={border.decode('ascii')}"}
        return GatewayRequest("POST", f"/v3/{self._domain}/messages.mime", headers, body)

    def letter_reply(self, answer: GatewayAnswer) -> Reply | None:
        """200 with an id, or an error with a message."""
        if answer.status == 401 and answer.body.strip() == FORBIDDEN:
            return Reply(401, "", "Forbidden")
        members = answer.members()
        if members is None or not isinstance(members.get("message"), str):
            return None
        if answer.status == 200:
            found = members.get("id")
            return Reply(200, "", told_by(found)) if isinstance(found, str) and found else None
        return Reply(answer.status, "", told_by(members["message"])) if 400 <= answer.status < 500 else None

    def account_request(self, secret: str, now: float) -> GatewayRequest | None:  # noqa: ARG002
        """The domain."""
        return GatewayRequest("GET", f"/v4/domains/{self._domain}", _login(secret))

    def account(self, answer: GatewayAnswer) -> GatewayAccount | None:
        """Whether the domain is active and verified."""
        domain = (answer.members() or {}).get("domain")
        if not isinstance(domain, dict):
            return None
        state = told_by(domain.get("state"))
        advice = f"see Sending > Domains > {self._domain} in Mailgun's control panel"
        obstacles = () if state == "active" else ((f"the domain {self._domain} is {state or 'not active'}", advice),)
        if domain.get("is_disabled"):
            obstacles = ((f"the domain {self._domain} is disabled", advice),)
        sandbox = domain.get("type") == "sandbox"
        cautions = ((f"{self._domain} is a sandbox: it sends to authorised addresses only", advice),) if sandbox else ()
        return GatewayAccount(facts=(f"the domain is {state}",), obstacles=obstacles, cautions=cautions)


def _login(secret: str) -> dict[str, str]:
    return {
        "Authorization": f"Basic {base64.b64encode(f'api:{secret}'.encode()).decode('ascii')}",
        "Accept": "application/json",
    }


GATEWAY = MailgunApi
