"""From a provider's request to the event: verified, stored, collected, counted once, and forged ones nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from campaign.config import load
from campaign.config.listen.listen_file import load_listen
from campaign.ledger.feedback.feedback_store import read_events
from campaign.listen.app import create_app
from campaign.listen.listen_state import open_state
from campaign.pipeline.collect.collect import collect
from campaign.report.live.console import Console
from tests.support.sent import SentCampaign

LISTEN = """
[listen]
events = "events"
[[listen.webhook]]
provider = "sendgrid"
key_file = "sendgrid.key"
[[listen.webhook]]
provider = "mailgun"
secret_file = "mailgun.secret"
[[listen.webhook]]
provider = "resend"
secret_file = "resend.secret"
path = "0123456789abcdef0123456789abcdef"
[[listen.webhook]]
provider = "postmark"
user = "postmark"
password_file = "postmark.secret"
"""
PEOPLE = ("ada@example.com", "bob@example.com", "cy@example.com", "di@example.com")
IDS = (
    "LRzXl_NHStOGhQ4kofSm_A",
    "unused-0001-mailgun-keeps-ours",
    "56761188-7520-42d8-8898-ff6fc54ce618",
    "883953f4-6105",
)
SIGNER = ec.generate_private_key(ec.SECP256R1())
Sent = tuple[str, bytes, dict[str, str]]


def sendgrid() -> Sent:
    event = {
        "event": "spamreport",
        "email": PEOPLE[0],
        "sg_message_id": f"{IDS[0]}.filterdrecv-p3-1.0",
        "sg_event_id": "1",
    }
    body, stamp = json.dumps([event]).encode() + b"\r\n", str(int(time.time()))
    signature = base64.b64encode(SIGNER.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    name = "x-twilio-email-event-webhook"
    return "/webhooks/sendgrid", body, {f"{name}-signature": signature, f"{name}-timestamp": stamp}


def mailgun(message_id: str) -> Sent:
    stamp, token = str(int(time.time())), "t" * 50
    signature = hmac.new(b"key-mailgun", (stamp + token).encode(), hashlib.sha256).hexdigest()
    event = {"event": "unsubscribed", "id": "2", "message": {"headers": {"message-id": message_id}}}
    parts = {"timestamp": stamp, "token": token, "signature": signature}
    return "/webhooks/mailgun", json.dumps({"signature": parts, "event-data": event}).encode(), {}


def resend() -> Sent:
    bounce = {"type": "Permanent", "subType": "General", "message": "smtp; 550 5.1.1 user unknown"}
    data = {"email_id": IDS[2], "to": [PEOPLE[2]], "bounce": bounce}
    body, stamp = json.dumps({"type": "email.bounced", "data": data}).encode(), str(int(time.time()))
    signature = base64.b64encode(hmac.digest(b"k" * 24, f"msg_1.{stamp}.".encode() + body, "sha256")).decode()
    headers = {"svix-id": "msg_1", "svix-timestamp": stamp, "svix-signature": f"v1,{signature}"}
    return "/webhooks/resend/0123456789abcdef0123456789abcdef", body, headers


def postmark(letter: str = IDS[3], reader: str = PEOPLE[3]) -> Sent:
    body = {"RecordType": "Delivery", "MessageID": letter, "Recipient": reader}
    pair = base64.b64encode(b"postmark:hunter2").decode()
    return "/webhooks/postmark", json.dumps(body).encode(), {"authorization": f"Basic {pair}"}


class Host:
    """The application, asked without a network."""

    def __init__(self, folder: Path) -> None:
        (folder / "listen.toml").write_text(LISTEN)
        public = SIGNER.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        whsec = "whsec_" + base64.b64encode(b"k" * 24).decode()
        secrets = {"mailgun.secret": "key-mailgun", "resend.secret": whsec, "postmark.secret": "hunter2"}
        for name, content in {**secrets, "sendgrid.key": base64.b64encode(public).decode()}.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(content)
        self.app = create_app(open_state(load_listen(folder / "listen.toml")))

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        answers: list[Any] = []
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(key.encode(), one.encode()) for key, one in headers.items()],
            "client": ("192.0.2.1", 1),
            "server": ("127.0.0.1", 80),
            "scheme": "http",
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            answers.append(message)

        await self.app(scope, receive, send)
        return int(answers[0]["status"])


@pytest.fixture
def gazette(tmp_path: Path) -> SentCampaign:
    gazette = SentCampaign(tmp_path)
    gazette.send(*PEOPLE, replies={one: f"Ok: queued as {name}" for one, name in zip(PEOPLE, IDS, strict=True)})
    gazette.job(more='[[feedback.source]]\nurl = "listen:events"\n')
    return gazette


def collected(gazette: SentCampaign) -> dict[str, tuple[str, str]]:
    """Outcome and key of each event, by address."""
    collect(load(gazette.file, {}), (), Console(io.StringIO(), quiet=True))
    events = list(read_events(gazette.runs))
    found = {one.address: (str(one.outcome), one.matched_by) for one in events}
    assert len(found) == len(events)
    return found


async def test_what_providers_send_comes_home_and_counts_once(gazette: SentCampaign) -> None:
    host = Host(gazette.folder)
    sent = [sendgrid(), mailgun(gazette.message_id(gazette.newest(), PEOPLE[1])), resend(), postmark()]
    sent.append(postmark("of-other-mail-of-the-account-1", PEOPLE[0]))
    assert [await host.post(*one) for one in sent] == [200] * 5
    expected = {
        PEOPLE[0]: ("complaint", "reply-id"),
        PEOPLE[1]: ("unsubscribe", "message-id"),
        PEOPLE[2]: ("hard", "reply-id"),
        PEOPLE[3]: ("delivered", "reply-id"),
    }
    assert collected(gazette) == expected
    again = Host(gazette.folder)  # started again, it remembers nothing
    assert [await again.post(*one) for one in sent] == [200] * 5
    assert collected(gazette) == expected


@pytest.mark.parametrize("make", [sendgrid, lambda: mailgun("x@example.com"), resend, postmark])
async def test_a_forged_request_is_stored_nowhere(gazette: SentCampaign, make: Callable[[], Sent]) -> None:
    host, (path, body, headers) = Host(gazette.folder), make()
    forged = {key: one[:-3] + ("AAA" if one[-3:] != "AAA" else "BBB") for key, one in headers.items()}
    body = body if headers else body.replace(b'"token": "t', b'"token": "u')
    assert await host.post(path, body, forged) in (400, 401)
    assert not [file for file in (gazette.folder / "events").glob("*") if file.stat().st_size]
    assert await host.post("/webhooks/resend", body, headers) == 404
