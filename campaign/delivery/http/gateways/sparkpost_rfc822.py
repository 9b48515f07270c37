"""SparkPost: a transmission with email_rfc822. See developers.sparkpost.com/api/transmissions."""

from __future__ import annotations

import json

from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest, told_by
from campaign.delivery.http.gateway_api import GatewayAccount
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.model import Letter, Reply

TRANSMISSIONS, ACCOUNT = "/api/v1/transmissions", "/api/v1/account"
#: Nothing of the letter is replaced or rewritten.
UNTOUCHED = {"perform_substitutions": False, "open_tracking": False, "click_tracking": False}


class SparkpostApi:
    """SparkPost, in either of its regions."""

    def __init__(self, preset: GatewayPreset, user: str) -> None:
        pass  # the key says who sends

    def letter_request(self, letter: Letter, secret: str, now: float) -> GatewayRequest:  # noqa: ARG002
        """A transmission to one recipient."""
        transmission = {
            "options": UNTOUCHED,
            "recipients": [{"address": {"email": letter.recipient}}],
            "content": {"email_rfc822": letter.content.decode("utf-8", "surrogateescape")},
        }
        if letter.sender:
            transmission["return_path"] = letter.sender
        headers = {**_login(secret), "Content-Type": "application/json"}
        return GatewayRequest("POST", TRANSMISSIONS, headers, json.dumps(transmission).encode())

    def letter_reply(self, answer: GatewayAnswer) -> Reply | None:
        """200 with the number of recipients accepted, or errors with their codes."""
        members = answer.members()
        if members is None:
            return None
        results, errors = members.get("results"), members.get("errors")
        if answer.status == 200 and isinstance(results, dict):
            accepted, rejected = results.get("total_accepted_recipients"), results.get("total_rejected_recipients")
            if accepted == 1 and results.get("id"):
                return Reply(200, "", told_by(results["id"]))
            if accepted == 0 and rejected == 1:
                return Reply(400, "", "recipient rejected: 0 accepted, 1 rejected")
            return None
        if not (isinstance(errors, list) and errors and isinstance(errors[0], dict) and 400 <= answer.status < 500):
            return None
        first = errors[0]
        return Reply(answer.status, "", told_by(first.get("code"), first.get("message"), first.get("description")))

    def account_request(self, secret: str, now: float) -> GatewayRequest | None:  # noqa: ARG002
        """Status and quota. A key that may only send is refused, and then nothing is known."""
        return GatewayRequest("GET", f"{ACCOUNT}?include=usage", _login(secret))

    def account(self, answer: GatewayAnswer) -> GatewayAccount | None:
        """Whether the account is active, and what is left of the day."""
        results = (answer.members() or {}).get("results")
        if not isinstance(results, dict):
            return None
        status = told_by(results.get("status")) or "unknown"
        day = ((results.get("usage") or {}) if isinstance(results.get("usage"), dict) else {}).get("day")
        used, most = (day.get("used"), day.get("limit")) if isinstance(day, dict) else (None, None)
        advice = "see Account in SparkPost's control panel"
        obstacles = () if status == "active" else ((f"the account is {status}", advice),)
        if not isinstance(used, int) or not isinstance(most, int) or most <= 0:
            return GatewayAccount(facts=(f"the account is {status}",), obstacles=obstacles)
        facts = (f"the account is {status}", f"{most:,} letters a day, {used:,} of them used")
        return GatewayAccount(facts=facts, obstacles=obstacles, left=float(max(0, most - used)))


def _login(secret: str) -> dict[str, str]:
    return {"Authorization": secret, "Accept": "application/json"}


GATEWAY = SparkpostApi
