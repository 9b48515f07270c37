"""Feedback as data, from servers: a queue of Amazon SQS on loopback, and the log that a real Postfix writes."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from campaign.errors import ConfigError, InputError, LoginError, UnfinishedError
from campaign.feedback.event_feeds.postfix_log import PostfixLog
from campaign.feedback.event_feeds.ses_queue import LAST_WAIT, SesQueue
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Handled, Received
from campaign.model import FeedbackOutcome, Recipient
from campaign.system import https_client
from campaign.system.https_client import HttpsEndpoint
from tests.support.servers import certificates
from tests.support.servers.real import PATIENCE, postfix_in_folder
from tests.support.servers.sending import make_letter, send
from tests.support.servers.shelf import Shelf
from tests.support.servers.sqs import ACCOUNT, ENVIRONMENT, KEY_ID, NAME, SECRET, URL, FakeSqs, Message


@pytest.fixture
def sqs() -> Iterator[FakeSqs]:
    with FakeSqs() as server:
        yield server


def event(number: int) -> str:
    told = {"recipients": [f"{number}@example.org"], "smtpResponse": "250 ok"}
    mail = {"messageId": f"ses-{number}", "commonHeaders": {"messageId": f"<hash-{number}@example.com>"}}
    return json.dumps({"eventType": "Delivery", "mail": mail, "delivery": told})


def enveloped(number: int) -> str:
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": event(number)})


def trusting(tmp_path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca_file(tmp_path))


@pytest.fixture
def queue(sqs: FakeSqs, tmp_path: Path) -> Iterator[SesQueue]:
    source = open_queue(sqs, tmp_path)
    yield source
    source.close()


def open_queue(
    sqs: FakeSqs, tmp_path: Path, *, url: str = URL, environment: dict[str, str] = ENVIRONMENT, **more: object
) -> SesQueue:
    endpoint = HttpsEndpoint("127.0.0.1", sqs.port, trusting(tmp_path))
    clocks = {"now": lambda: sqs.now, "sleep": sqs.sleep}
    return SesQueue(url, tmp_path, environment, endpoint=endpoint, **clocks, **more)  # type: ignore[arg-type]


def handled(*received: Received) -> list[Handled]:
    return [Handled(one.receipt, recognised=True) for one in received]


def test_all_pages_are_read_and_only_what_is_acknowledged_is_deleted(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(enveloped(number) if number % 2 else event(number)) for number in range(57)]
    sqs.page = 7
    received = [*queue.receive()]
    assert [one.notices[0].addresses[0] for one in received] == [f"{number}@example.org" for number in range(57)]
    assert len(sqs.messages) == 57
    queue.acknowledge(handled(*received[:33]))
    assert [one.body for one in sqs.messages] == [enveloped(n) if n % 2 else event(n) for n in range(33, 57)]
    assert (queue.name, queue.size()) == (URL, None)


def test_what_was_not_acknowledged_comes_again_later_with_the_same_id(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(event(number)) for number in range(3)]
    first = [*queue.receive()]
    assert [*queue.receive()] == []
    sqs.now += 301
    assert [one.id for one in queue.receive()] == [one.id for one in first]


def test_the_same_event_published_twice_has_one_id(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(event(1)), Message(enveloped(1)), Message(event(2))]
    ids = [one.id for one in queue.receive()]
    assert [ids.index(one) for one in ids] == [0, 0, 2]


def test_only_an_empty_answer_is_waited_upon_and_two_of_them_end_the_reading(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(event(1))]
    sqs.late = [Message(event(2))]
    assert len([*queue.receive()]) == 2
    assert [request["WaitTimeSeconds"] for _, request in sqs.asked] == [0, 0, LAST_WAIT, 0, LAST_WAIT]
    assert sqs.paused == []


def test_what_is_no_event_is_left_in_the_queue(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message("not JSON"), Message(event(1)), Message('{"Records": []}')]
    received = [*queue.receive()]
    assert [len(one.notices) for one in received] == [0, 1, 0]
    assert len({one.id for one in received}) == 3
    queue.acknowledge([Handled(one.receipt, recognised=False) for one in received])
    assert [one.body for one in sqs.messages] == ["not JSON", '{"Records": []}']


def test_what_is_left_does_not_keep_a_reading_from_its_end(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message("not JSON")]
    for number, _ in enumerate(queue.receive()):
        assert number == 0
        sqs.now += 301


def test_somebody_opening_a_letter_is_no_notice_but_is_deleted(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(json.dumps({"eventType": "Open", "mail": {"messageId": "x"}, "open": {}}))]
    [received] = queue.receive()
    assert received.notices == ()
    queue.acknowledge([Handled(received.receipt, recognised=False)])
    assert sqs.messages == []


@pytest.mark.parametrize(
    "fault",
    [
        (429, "ThrottlingException", "slow down"),
        (400, "RequestThrottled", "slow down"),
        (400, "ThrottlingException", "slow down"),
        (500, "InternalFailure", "oops"),
        (503, "ServiceUnavailable", "oops"),
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"nonsense\r\n\r\n",
    ],
)
def test_a_busy_queue_is_asked_again_after_growing_pauses(
    sqs: FakeSqs, queue: SesQueue, fault: tuple[int, str, str] | bytes
) -> None:
    sqs.messages = [Message(event(1))]
    sqs.faults = [fault, fault, fault]
    assert len([*queue.receive()]) == 1
    assert [low <= pause <= 2 * low for low, pause in zip((0.5, 1, 2), sqs.paused, strict=True)] == [True] * 3


def test_an_answer_without_an_end_is_given_up(sqs: FakeSqs, queue: SesQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https_client, "LARGEST", 1 << 20)
    sqs.faults = [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20)] * 5
    with pytest.raises(UnfinishedError, match="larger than 1 MiB"):
        [*queue.receive()]


def test_a_queue_that_stays_busy_ends_the_reading_and_keeps_the_events(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(event(1))]
    sqs.faults = [(503, "ServiceUnavailable", "back soon")] * 5
    with pytest.raises(UnfinishedError, match=r"(?s)cannot be used now.*503 ServiceUnavailable: back soon.*later"):
        [*queue.receive()]
    assert len(sqs.messages) == 1


def test_a_queue_that_breaks_off_in_between_loses_nothing(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(event(number)) for number in range(20)]
    reading = queue.receive()
    first = [next(reading) for _ in range(10)]
    queue.acknowledge(handled(*first))
    sqs.faults = [b""] * 5
    with pytest.raises(UnfinishedError):
        next(reading)
    sqs.now += 301
    assert len([*queue.receive()]) == 10


def test_nobody_listening_is_unfinished(sqs: FakeSqs, tmp_path: Path) -> None:
    source = open_queue(sqs, tmp_path)
    sqs.__exit__()
    try:
        with pytest.raises(UnfinishedError, match="Connection refused"):
            [*source.receive()]
    finally:
        source.close()
        sqs.__enter__()


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({**ENVIRONMENT, "AWS_SECRET_ACCESS_KEY": "another"}, "SignatureDoesNotMatch"),
        ({**ENVIRONMENT, "AWS_ACCESS_KEY_ID": "AKIDOTHER"}, "SignatureDoesNotMatch"),
        ({**ENVIRONMENT, "AWS_SESSION_TOKEN": "expired"}, "InvalidClientTokenId"),
    ],
)
def test_a_refused_key_is_a_login_error_and_is_tried_once(
    sqs: FakeSqs, tmp_path: Path, environment: dict[str, str], why: str
) -> None:
    source = open_queue(sqs, tmp_path, environment=environment)
    with pytest.raises(LoginError, match=rf"(?s)refuses access.*403 {why}"):
        [*source.receive()]
    source.close()
    assert len(sqs.asked) == 1


def test_a_clock_that_is_wrong_is_a_login_error_that_says_so(sqs: FakeSqs, tmp_path: Path) -> None:
    source = open_queue(sqs, tmp_path)
    real = sqs.now
    source._client._now = lambda: real - 3600
    with pytest.raises(LoginError, match="timedatectl"):
        [*source.receive()]
    source.close()


@pytest.mark.parametrize("name", ["AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException"])
def test_a_refusal_that_comes_as_a_bad_request_is_one_too(sqs: FakeSqs, queue: SesQueue, name: str) -> None:
    sqs.faults = [(400, name, "no")]
    with pytest.raises(LoginError):
        [*queue.receive()]


def test_our_secret_is_in_no_message(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.faults = [(403, "SignatureDoesNotMatch", f"the secret {SECRET} signs otherwise")]
    with pytest.raises(LoginError) as raised:
        [*queue.receive()]
    assert SECRET not in str(raised.value)
    assert "the secret … signs otherwise" in str(raised.value)


def test_temporary_keys_carry_their_token(sqs: FakeSqs, tmp_path: Path) -> None:
    sqs.session_token = "the-token"
    sqs.messages = [Message(event(1))]
    source = open_queue(sqs, tmp_path, environment={**ENVIRONMENT, "AWS_SESSION_TOKEN": "the-token"})
    assert len([*source.receive()]) == 1
    source.close()


def test_a_queue_that_is_not_there_is_an_input_error(sqs: FakeSqs, tmp_path: Path) -> None:
    source = open_queue(sqs, tmp_path, url=URL.replace(NAME, "another"))
    with pytest.raises(InputError, match=r"(?s)another cannot be read.*QueueDoesNotExist"):
        [*source.receive()]
    source.close()


def test_a_certificate_of_another_authority_is_not_trusted(sqs: FakeSqs, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    context = ssl.create_default_context(cafile=tmp_path / "other.pem")
    source = SesQueue(
        URL, tmp_path, ENVIRONMENT, sleep=sqs.sleep, endpoint=HttpsEndpoint("127.0.0.1", sqs.port, context)
    )
    with pytest.raises(InputError, match="certificate that is not to be trusted"):
        [*source.receive()]
    source.close()
    assert sqs.asked == []


def test_a_certificate_of_another_host_is_not_trusted(tmp_path: Path) -> None:
    with FakeSqs(named="other.example") as sqs:
        source = open_queue(sqs, tmp_path)
        with pytest.raises(InputError, match="certificate that is not to be trusted"):
            [*source.receive()]
        source.close()


def test_deleting_is_tried_again_for_those_that_failed(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(event(number)) for number in range(25)]
    sqs.undeletable = {sqs.messages[3].id: 2, sqs.messages[24].id: 1}
    queue.acknowledge(handled(*queue.receive()))
    assert sqs.messages == []
    sizes = [len(request["Entries"]) for action, request in sqs.asked if action == "DeleteMessageBatch"]
    assert sizes == [10, 1, 1, 10, 5, 1]


def test_what_cannot_be_deleted_is_said(sqs: FakeSqs, queue: SesQueue) -> None:
    sqs.messages = [Message(event(number)) for number in range(3)]
    sqs.undeletable = {sqs.messages[1].id: 99}
    with pytest.raises(
        UnfinishedError, match=r"(?s)1 events? could not be deleted.*InternalError: not now.*count once"
    ):
        queue.acknowledge(handled(*queue.receive()))
    assert len(sqs.messages) == 1


def test_the_key_may_come_from_the_campaign_file(sqs: FakeSqs, tmp_path: Path) -> None:
    sqs.messages = [Message(event(1))]
    asked: list[bool] = []

    def password() -> str:
        asked.append(True)
        return f"{KEY_ID}:{SECRET}\n"

    source = open_queue(sqs, tmp_path, environment={}, password=password)
    assert asked == []
    assert len([*source.receive()]) == 1
    assert asked == [True]
    source.close()


@pytest.mark.parametrize(
    "held", ["", "nonsense", "AKIDEXAMPLE000000", ":secret", "short:secret", "AKIDEXAMPLE000000: x"]
)
def test_a_password_that_is_no_key_says_what_one_looks_like(sqs: FakeSqs, tmp_path: Path, held: str) -> None:
    source = open_queue(sqs, tmp_path, environment={}, password=lambda: held)
    with pytest.raises(ConfigError, match=r"(?s)no access key for the queue at Amazon.*KEYID:SECRET") as raised:
        [*source.receive()]
    assert not held or held not in str(raised.value)
    source.close()


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "Next: export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…, or write KEYID:SECRET into a file"),
        ({"AWS_ACCESS_KEY_ID": KEY_ID}, "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not"),
        ({"AWS_SECRET_ACCESS_KEY": SECRET}, "AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not"),
    ],
)
def test_a_missing_key_is_a_config_error_before_anything_is_asked(
    tmp_path: Path, environment: dict[str, str], why: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        SesQueue(URL, tmp_path, environment)
    assert why in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "host",
    [
        "sqs.eu-west-1.amazonaws.com",
        "sqs.us-gov-west-1.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
        "sqs-fips.us-east-1.amazonaws.com",
        "sqs.eu-central-1.api.aws",
        "vpce-0a1b2c3d-abcd.sqs.eu-west-1.vpce.amazonaws.com",
    ],
)
def test_every_form_of_amazons_hosts_is_taken(tmp_path: Path, host: str) -> None:
    for name in (NAME, f"{NAME}.fifo"):
        assert SesQueue(f"sqs://{host}/{ACCOUNT}/{name}", tmp_path, ENVIRONMENT).name.endswith(name)


@pytest.mark.parametrize(
    "url",
    [
        "sqs://example.com/123456789012/q",
        "sqs://sqs.eu-west-1.amazonaws.com.example.com/123456789012/q",
        "sqs://sqs.eu-west-1.amazonaws.com/12345/q",
        "sqs://sqs.eu-west-1.amazonaws.com/123456789012/",
        "sqs://sqs.eu-west-1.amazonaws.com/123456789012/q?x=y",
        "sqs://user@sqs.eu-west-1.amazonaws.com/123456789012/q",
        "sqs://sqs.eu-west-1.amazonaws.com:8080/123456789012/q",
    ],
)
def test_any_other_url_is_refused_with_its_form(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"sqs://sqs\.REGION\.amazonaws\.com/ACCOUNT/QUEUE"):
        SesQueue(url, tmp_path, ENVIRONMENT)


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(InputError, match=f"(?s){name} cannot be read"):
            SesQueue(URL, tmp_path, ENVIRONMENT, tls_ca_file=Path(name))


def told(log: Path, progress: Path) -> list[FeedbackNotice]:
    """One reading of a log, all of it acknowledged."""
    source = PostfixLog(log, progress)
    received = [*source.receive()]
    source.acknowledge(handled(*received))
    source.close()
    return [notice for one in received for notice in one.notices]


async def logged(log: Path, *words: str) -> None:
    """Until all of ``words`` stand in the log."""
    async with asyncio.timeout(PATIENCE):
        for word in words:
            while word not in log.read_text():  # noqa: ASYNC110, ASYNC240 - another process writes it
                await asyncio.sleep(0.02)


async def through_postfix(port: int, *names: str) -> None:
    """Letters to ``NAME@example.com``, with Message-IDs ``NAME.hash@example.com``."""
    planned = [Recipient(n, f"{name}@example.com", name, "", n, {}) for n, name in enumerate(names)]
    await send(
        f"smtp://127.0.0.1:{port}",
        planned,
        lambda one: make_letter(
            one, b"From: news@example.com\r\nMessage-ID: <%s.hash@example.com>\r\n\r\nHi\r\n" % one.key.encode()
        ),
    )


async def test_the_log_of_a_real_postfix_tells_what_became_of_each_letter(tmp_path: Path) -> None:
    oracle = Shelf(
        refuse={
            "gone@example.com": "550 5.1.1 <gone@example.com>: no such user",
            "full@example.com": "452 4.2.2 the mailbox is full",
        }
    )
    progress = tmp_path / "progress.json"
    async with oracle, postfix_in_folder(oracle.port) as (port, folder):
        log = folder / "log"
        await through_postfix(port, "jane", "gone", "full")
        await logged(log, "status=sent (250", "status=bounced", "status=deferred")
        ours = {
            one.message_ids[0]: one for one in told(log, progress) if one.message_ids[0].endswith("hash@example.com")
        }
        rotation = await asyncio.create_subprocess_exec("postfix", "-c", str(folder / "etc"), "logrotate")
        assert await rotation.wait() == 0
        await through_postfix(port, "john")
        await logged(log, "to=<john@example.com>")
        later = [one for one in told(log, progress) if one.message_ids[0].endswith("hash@example.com")]
    assert {key.partition(".")[0]: (one.outcome, one.reply.code, one.reply.enhanced) for key, one in ours.items()} == {
        "jane": (FeedbackOutcome.DELIVERED, 250, "2.0.0"),
        "gone": (None, 550, "5.1.1"),
        "full": (FeedbackOutcome.DELAYED, 452, "4.2.2"),
    }
    assert {one.addresses for one in ours.values()} == {(f"{name}@example.com",) for name in ("jane", "gone", "full")}
    assert ours["gone.hash@example.com"].reply.text == "<gone@example.com>: no such user"
    assert [(one.message_ids, one.outcome) for one in later] == [
        (("john.hash@example.com",), FeedbackOutcome.DELIVERED)
    ]
