"""Notifications of Amazon SNS: an RSA signature whose certificate Amazon serves, and the handshake of a subscription.

Certificate and handshake are fetched only from the SNS host of the configured topic's region. SNS does not repeat a
request after 4xx, so what may pass, such as a certificate out of reach, is answered 503.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import Certificate, load_pem_x509_certificate

from campaign.config.listen.listen_webhook import TOPIC
from campaign.listen.signatures.amazon_fetch import FetchError
from campaign.listen.signatures.webhook_request import WebhookRefused, WebhookRequest, refuse_old

#: Seconds that a time stamp may differ from our clock: SNS repeats a request for an hour.
TOLERANCE = 24 * 3600.0
#: Seconds after a failed fetch during which nothing is fetched: strangers must not make us fetch all the time.
FETCH_PAUSE = 10.0
#: Certificates that are kept.
MOST_CERTIFICATES = 8

_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_HANDSHAKE = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _HANDSHAKE,
    "UnsubscribeConfirmation": _HANDSHAKE,
}
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,128}\.pem")

Fetch = Callable[[str], bytes]


class SnsSignature:
    """A `WebhookScheme` for one topic. ``fetch`` gets a document by its URL, or raises FetchError."""

    def __init__(self, topic: str, fetch: Fetch) -> None:
        found = TOPIC.fullmatch(topic)
        if found is None:
            raise ValueError(f"{topic!r} is no ARN of a topic")
        suffix = ".cn" if found[1] == "aws-cn" else ""
        self._topic, self._host = topic, f"sns.{found[2]}.amazonaws.com{suffix}"
        self._fetch = fetch
        self._fetching = threading.Lock()
        self._certificates: dict[str, Certificate] = {}
        self._next_fetch = 0.0

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> WebhookRequest:  # noqa: ARG002
        """The request, with its MessageId as id; a handshake is answered. Raises WebhookRefused."""
        message = _texts(body)
        kind = message.get("Type", "")
        if kind not in _SIGNED or not message.get("MessageId"):
            raise WebhookRefused(HTTPStatus.BAD_REQUEST, "It is no message of Amazon SNS; raw delivery must be off.")
        if message.get("TopicArn") != self._topic:
            raise WebhookRefused(HTTPStatus.FORBIDDEN, "It is of another topic than the one in the listen file.")
        refuse_old(_seconds(message.get("Timestamp", "")), now, TOLERANCE, HTTPStatus.BAD_REQUEST)
        self._check_signature(message, now)
        if kind == "Notification":
            return WebhookRequest(message["MessageId"])
        if kind == "SubscriptionConfirmation":
            self._confirm(message.get("SubscribeURL", ""))
        return WebhookRequest(message["MessageId"], answer=b"")

    def _check_signature(self, message: dict[str, str], now: float) -> None:
        algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}.get(message.get("SignatureVersion", ""))  # noqa: S303
        certificate = self._certificate(message.get("SigningCertURL", ""), now)
        key = certificate.public_key()
        if algorithm is None or not isinstance(key, rsa.RSAPublicKey):
            raise WebhookRefused(HTTPStatus.FORBIDDEN, "Its signature is of a version that SNS does not document.")
        try:
            signature = base64.b64decode(message.get("Signature", ""), validate=True)
            key.verify(signature, _signed_text(message), padding.PKCS1v15(), algorithm)
        except (InvalidSignature, ValueError):
            raise WebhookRefused(HTTPStatus.FORBIDDEN, "Its signature does not fit Amazon's certificate.") from None

    def _certificate(self, url: str, now: float) -> Certificate:
        """The certificate at ``url``, fetched once, if it is valid now."""
        parts = _address(url)
        if parts.scheme != "https" or parts.netloc != self._host or not _CERTIFICATE.fullmatch(parts.path):
            raise WebhookRefused(HTTPStatus.FORBIDDEN, "Its certificate is not at Amazon SNS in the topic's region.")
        found = self._certificates.get(parts.path) or self._fetched_certificate(parts.path, now)
        at = dt.datetime.fromtimestamp(now, dt.UTC)
        if not found.not_valid_before_utc <= at <= found.not_valid_after_utc:
            raise WebhookRefused(HTTPStatus.FORBIDDEN, "Amazon's certificate is not valid now.")
        return found

    def _fetched_certificate(self, path: str, now: float) -> Certificate:
        if now < self._next_fetch or not self._fetching.acquire(blocking=False):  # no thread waits for another's fetch
            raise WebhookRefused(HTTPStatus.SERVICE_UNAVAILABLE, "Amazon's certificate is not here yet.")
        try:
            found = load_pem_x509_certificate(self._fetch(f"https://{self._host}{path}"))
        except (FetchError, ValueError):
            self._next_fetch = now + FETCH_PAUSE
            raise WebhookRefused(HTTPStatus.SERVICE_UNAVAILABLE, "Amazon's certificate cannot be fetched.") from None
        finally:
            self._fetching.release()
        if len(self._certificates) >= MOST_CERTIFICATES:
            self._certificates.clear()
        self._certificates[path] = found
        return found

    def _confirm(self, url: str) -> None:
        """Confirm the subscription by fetching ``url``, if it does that and nothing else."""
        parts = _address(url)
        asked = parse_qs(parts.query)
        if (
            parts.scheme != "https"
            or parts.netloc != self._host
            or parts.path not in ("", "/")
            or asked.get("Action") != ["ConfirmSubscription"]
            or asked.get("TopicArn") != [self._topic]
        ):
            raise WebhookRefused(HTTPStatus.FORBIDDEN, "Its SubscribeURL is not that of the topic.")
        try:
            self._fetch(f"https://{self._host}/?{parts.query}")
        except FetchError:
            raise WebhookRefused(HTTPStatus.SERVICE_UNAVAILABLE, "The subscription cannot be confirmed.") from None


def _address(url: str) -> SplitResult:
    """The parts of a URL; empty ones if it is none."""
    try:
        return urlsplit(url if url.isascii() and url.isprintable() else "")
    except ValueError:
        return urlsplit("")


def _texts(body: bytes) -> dict[str, str]:
    """The texts of the message: all that is signed is text."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    return {key: one for key, one in found.items() if isinstance(one, str)} if isinstance(found, dict) else {}


def _signed_text(message: dict[str, str]) -> bytes:
    return "".join(f"{key}\n{message[key]}\n" for key in _SIGNED[message["Type"]] if key in message).encode()


def _seconds(stamp: str) -> str:
    try:
        return str(int(dt.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()))
    except (ValueError, OverflowError):
        return ""
