"""Messages of Amazon SNS: signed with a certificate that only Amazon's host of the topic's region may serve."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from campaign.listen.signatures.amazon_fetch import FetchError
from campaign.listen.signatures.sns_signature import FETCH_PAUSE, MOST_CERTIFICATES, TOLERANCE, SnsSignature
from campaign.listen.signatures.webhook_request import WebhookRefused

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-events"
HOST = "https://sns.eu-west-1.amazonaws.com"
PEM_URL = f"{HOST}/SimpleNotificationService-0123abcd.pem"
NOW = dt.datetime(2026, 11, 28, 8, 0, tzinfo=dt.UTC).timestamp()
SUBSCRIBE = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"


@cache
def amazon() -> tuple[rsa.RSAPrivateKey, bytes]:
    """A key and its certificate, as Amazon would serve it."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    valid = (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = builder.serial_number(1).not_valid_before(valid[0]).not_valid_after(valid[1]).sign(key, hashes.SHA256())
    return key, made.public_bytes(serialization.Encoding.PEM)


def signed(version: str = "2", **fields: str) -> dict[str, str]:
    """A notification as SNS signs it: the signed text is written here as Amazon documents it."""
    message = {
        "Type": "Notification",
        "MessageId": "da41e39f-ea4d-435a-b922-c6aae3915ebe",
        "TopicArn": TOPIC,
        "Message": '{"notificationType": "Bounce"}',
        "Timestamp": "2026-11-28T08:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": PEM_URL,
        **fields,
    }
    keys = ["Message", "MessageId"]
    keys += ["Subject"] if "Subject" in message else []
    keys += ["SubscribeURL"] if "SubscribeURL" in message else []
    keys += ["Timestamp"] + (["Token"] if "Token" in message else []) + ["TopicArn", "Type"]
    text = "".join(f"{one}\n{message[one]}\n" for one in keys).encode()
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    message["Signature"] = base64.b64encode(amazon()[0].sign(text, padding.PKCS1v15(), algorithm)).decode()
    return message


def handshake(url: str = SUBSCRIBE, kind: str = "SubscriptionConfirmation") -> dict[str, str]:
    return signed(Type=kind, SubscribeURL=url, Token="2336412f37", Message="You have chosen to subscribe")


class Amazon:
    """Serves the certificate and takes confirmations, or is out of reach."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.reachable = True
        self.serves: Callable[[str], bytes] = lambda _: amazon()[1]

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if not self.reachable:
            raise FetchError("no route to host")
        return self.serves(url)


@pytest.fixture
def fake() -> Amazon:
    return Amazon()


@pytest.fixture
def scheme(fake: Amazon) -> SnsSignature:
    return SnsSignature(TOPIC, fake.fetch)


def octets(message: dict[str, str]) -> bytes:
    return json.dumps(message).encode()


def refusal(scheme: SnsSignature, content: dict[str, str] | bytes, now: float = NOW) -> int:
    with pytest.raises(WebhookRefused) as refused:
        scheme.verify({}, content if isinstance(content, bytes) else octets(content), now)
    return refused.value.status


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("fields", [{}, {"Subject": "Amazon SES Email Event Notification"}])
def test_a_notification_is_taken_in_both_versions_of_the_signature(
    scheme: SnsSignature, version: str, fields: dict[str, str]
) -> None:
    found = scheme.verify({}, octets(signed(version, **fields)), NOW)
    assert (found.id, found.answer) == ("da41e39f-ea4d-435a-b922-c6aae3915ebe", None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Message", '{"notificationType": "bounce"}'),
        ("MessageId", "da41e39f-ea4d-435a-b922-c6aae3915ebf"),
        ("Timestamp", "2026-11-28T08:00:00.001Z"),
        ("Subject", "added"),
        ("SignatureVersion", "1"),
        ("SignatureVersion", "3"),
        ("Signature", base64.b64encode(b"x" * 256).decode()),
        ("Signature", "not base64!"),
        ("Type", "UnsubscribeConfirmation"),
    ],
)
def test_each_altered_form_is_refused(scheme: SnsSignature, key: str, value: str) -> None:
    assert refusal(scheme, {**signed(), key: value}) == 403


def test_another_topic_is_refused_though_amazon_signed_it(scheme: SnsSignature, fake: Amazon) -> None:
    assert refusal(scheme, signed(TopicArn=TOPIC.replace("ses-events", "of-a-stranger"))) == 403
    assert fake.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        PEM_URL.replace("https", "http"),
        PEM_URL.replace("eu-west-1", "us-east-1"),
        PEM_URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
        PEM_URL.replace("sns.", "user@sns."),
        PEM_URL.replace(".com/", ".com:8443/"),
        PEM_URL.replace("SimpleNotificationService", "bucket/SimpleNotificationService"),
        "https://sns.evil.example/amazonaws.com/SimpleNotificationService-1.pem",
        f"{HOST}/../SimpleNotificationService-1.pem",
        f"{HOST}/SimpleNotificationService-1.pem\r\nHost: evil.example",
        "https://[",
    ],
)
def test_a_certificate_from_anywhere_else_is_never_fetched(scheme: SnsSignature, fake: Amazon, url: str) -> None:
    assert refusal(scheme, signed(SigningCertURL=url)) == 403
    assert fake.asked == []


def test_the_certificate_is_fetched_once(scheme: SnsSignature, fake: Amazon) -> None:
    for number in range(3):
        scheme.verify({}, octets(signed(MessageId=str(number))), NOW)
    assert fake.asked == [PEM_URL]


def test_the_certificates_that_are_kept_are_few(scheme: SnsSignature, fake: Amazon) -> None:
    urls = [f"{HOST}/SimpleNotificationService-{number}.pem" for number in range(MOST_CERTIFICATES + 1)]
    for url in [*urls, urls[0]]:
        scheme.verify({}, octets(signed(SigningCertURL=url)), NOW)
    assert len(fake.asked) == MOST_CERTIFICATES + 2


def test_a_certificate_out_of_reach_is_for_later_and_strangers_cannot_make_us_ask_all_the_time(
    scheme: SnsSignature, fake: Amazon
) -> None:
    fake.reachable = False
    assert [refusal(scheme, signed(), NOW + late) for late in (0, 1, FETCH_PAUSE - 1)] == [503] * 3
    assert len(fake.asked) == 1
    fake.reachable = True
    assert scheme.verify({}, octets(signed()), NOW + FETCH_PAUSE).id


def test_a_request_does_not_wait_while_another_one_has_the_certificate_fetched(
    scheme: SnsSignature, fake: Amazon
) -> None:
    meanwhile = []

    def slow(_: str) -> bytes:
        meanwhile.append(refusal(scheme, signed(MessageId="another")))
        return amazon()[1]

    fake.serves = slow
    assert scheme.verify({}, octets(signed()), NOW).id
    assert meanwhile == [503]
    assert scheme.verify({}, octets(signed(MessageId="another")), NOW).id == "another"


def test_a_document_that_is_no_certificate_is_for_later(scheme: SnsSignature, fake: Amazon) -> None:
    fake.serves = lambda _: b"<html>"
    assert refusal(scheme, signed()) == 503


def test_a_certificate_that_is_not_valid_now_is_refused(scheme: SnsSignature) -> None:
    later = dt.datetime(2027, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
    stamp = later.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert refusal(scheme, signed(Timestamp=stamp), later.timestamp()) == 403


@pytest.mark.parametrize("late", [TOLERANCE + 1, -TOLERANCE - 1])
def test_an_old_message_is_refused(scheme: SnsSignature, late: float) -> None:
    assert refusal(scheme, signed(), NOW + late) == 400


def test_a_subscription_of_the_topic_is_confirmed_and_nothing_is_stored(scheme: SnsSignature, fake: Amazon) -> None:
    found = scheme.verify({}, octets(handshake()), NOW)
    assert found.answer == b""
    assert fake.asked == [PEM_URL, SUBSCRIBE]


@pytest.mark.parametrize(
    "url",
    [
        SUBSCRIBE.replace("https", "http"),
        SUBSCRIBE.replace("sns.eu-west-1.amazonaws.com", "169.254.169.254"),
        SUBSCRIBE.replace("eu-west-1.amazonaws", "us-east-1.amazonaws"),
        SUBSCRIBE.replace("/?", "/latest/?"),
        SUBSCRIBE.replace("ConfirmSubscription", "DeleteTopic"),
        SUBSCRIBE + "&Action=DeleteTopic",
        SUBSCRIBE.replace("ses-events", "of-a-stranger"),
        "",
    ],
)
def test_any_other_address_of_a_handshake_is_never_fetched(scheme: SnsSignature, fake: Amazon, url: str) -> None:
    assert refusal(scheme, handshake(url)) == 403
    assert fake.asked == [PEM_URL]


def test_a_handshake_that_is_not_signed_is_never_followed(scheme: SnsSignature, fake: Amazon) -> None:
    assert refusal(scheme, {**handshake(), "Signature": base64.b64encode(b"x" * 256).decode()}) == 403
    assert fake.asked == [PEM_URL]


def test_a_confirmation_that_fails_is_for_later(scheme: SnsSignature, fake: Amazon) -> None:
    scheme.verify({}, octets(signed()), NOW)
    fake.reachable = False
    assert refusal(scheme, handshake()) == 503


def test_a_cancelled_subscription_is_answered_and_not_renewed(scheme: SnsSignature, fake: Amazon) -> None:
    assert scheme.verify({}, octets(handshake(kind="UnsubscribeConfirmation")), NOW).answer == b""
    assert fake.asked == [PEM_URL]


def test_a_topic_in_china_has_its_own_host(fake: Amazon) -> None:
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:t"
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem"
    SnsSignature(topic, fake.fetch).verify({}, octets(signed(TopicArn=topic, SigningCertURL=url)), NOW)
    assert fake.asked == [url]


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff", b'{"Type": "Notification"}', b'{"Type": 5}'])
def test_a_body_that_is_no_message_is_refused(scheme: SnsSignature, content: bytes) -> None:
    assert refusal(scheme, content) == 400
