"""Amazon SES, API version 2: SendEmail with a raw message, and GetAccount.

docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html, API_GetAccount.html
"""

from __future__ import annotations

import base64
import json

from campaign.config.units import Rate
from campaign.delivery.credentials.aws_keys import keys_of
from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest, told_by
from campaign.delivery.http.gateway_api import GatewayAccount
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.model import Letter, Reply
from campaign.system.aws_signature import SigningScope, sign_request

SENDING, ACCOUNT = "/v2/email/outbound-emails", "/v2/email/account"
SANDBOX = (
    "the account is in the sandbox: it sends to verified addresses only",
    "choose `Request production access` under `Account dashboard` in the Amazon SES console",
)
PAUSED = ("sending is switched off for this account", "see `Account dashboard` in the Amazon SES console")


class SesApi:
    """SES in the region of ``preset``."""

    def __init__(self, preset: GatewayPreset, user: str) -> None:  # noqa: ARG002 - the keys say who sends
        self._host = preset.url.partition("://")[2]
        self._scope = SigningScope(preset.place, "ses")

    def letter_request(self, letter: Letter, secret: str, now: float) -> GatewayRequest:
        """SendEmail with Content.Raw; Destination is the envelope."""
        rest: dict[str, object] = {"Destination": {"ToAddresses": [letter.recipient]}}
        if letter.sender:
            rest["FeedbackForwardingEmailAddress"] = letter.sender
        # Base64 needs no quoting, and a letter may be large.
        data = base64.b64encode(letter.content)
        body = b'{"Content": {"Raw": {"Data": "%s"}}, %s' % (data, json.dumps(rest).encode()[1:])
        return self._signed("POST", SENDING, body, secret, now)

    def letter_reply(self, answer: GatewayAnswer) -> Reply | None:
        """200 with a MessageId, or an error with its type."""
        members = answer.members()
        if members is None:
            return None
        if answer.status == 200:
            found = members.get("MessageId")
            return Reply(200, "", told_by(found)) if isinstance(found, str) and found else None
        kind = str(answer.headers.get("x-amzn-errortype") or members.get("__type") or members.get("code") or "")
        kind = kind.partition(":")[0].rpartition("#")[2]
        if not kind or not 400 <= answer.status < 500:
            return None
        return Reply(answer.status, "", told_by(kind, members.get("message") or members.get("Message")))

    def account_request(self, secret: str, now: float) -> GatewayRequest | None:
        """GetAccount."""
        return self._signed("GET", ACCOUNT, b"", secret, now)

    def account(self, answer: GatewayAnswer) -> GatewayAccount | None:
        """Sandbox, quota and rate."""
        members = answer.members()
        quota = (members or {}).get("SendQuota")
        if members is None or not isinstance(quota, dict):
            return None
        day, sent, second = (_number(quota, key) for key in ("Max24HourSend", "SentLast24Hours", "MaxSendRate"))
        obstacles = [] if members.get("SendingEnabled", True) else [PAUSED]
        cautions = [] if members.get("ProductionAccessEnabled", True) else [SANDBOX]
        status = str(members.get("EnforcementStatus", "HEALTHY"))
        if status == "SHUTDOWN":
            obstacles.append(("Amazon has shut this account's sending down", PAUSED[1]))
        elif status != "HEALTHY":
            cautions.append((f"Amazon reviews this account's sending ({told_by(status)})", PAUSED[1]))
        limits = [Rate(second, 1.0)] if second > 0 else []
        limits += [Rate(day, 86400.0)] if day > 0 else []  # -1: no limit
        return GatewayAccount(
            facts=(f"{second:g} letters/s", f"{day:,.0f} in 24 h, {sent:,.0f} of them used" if day > 0 else "no quota"),
            limits=tuple(limits),
            obstacles=tuple(obstacles),
            cautions=tuple(cautions),
            left=max(0.0, day - sent) if day > 0 else None,
        )

    def _signed(self, method: str, path: str, body: bytes, secret: str, now: float) -> GatewayRequest:
        headers = {"Host": self._host, "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        signed = sign_request(headers, body, keys_of(secret), self._scope, now, method=method, path=path)
        return GatewayRequest(method, path, signed, body)


def _number(quota: dict[str, object], key: str) -> float:
    value = quota.get(key, 0)
    return float(value) if isinstance(value, int | float) else 0.0


GATEWAY = SesApi
