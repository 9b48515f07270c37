"""Stored requests in a bucket: fetched once, deleted once they count, stored before the answer; and each refusal."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.config.feedback import FeedbackSourceSection
from campaign.errors import CampaignError, InputError, LoginError, StorageError, UnfinishedError
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.listened.bucket_address import parse_bucket_url
from campaign.feedback.listened.bucket_client import HASTE, BucketClient, BucketPatience
from campaign.feedback.listened.listened_bucket import SIGN_OF_LIFE, BucketWriter, ListenedBucket
from campaign.feedback.listened.listened_record import clicked
from campaign.feedback.listened.listened_source import ListenedSource
from campaign.feedback.open_source import SourceSurroundings, open_feedback_source
from campaign.listen.listen_state import ListenState
from campaign.system.aws_signature import AwsCredentials
from campaign.system.https_client import HttpsEndpoint
from tests.integration.test_listen import asked, opened, post, request, serving
from tests.support.servers import certificates
from tests.support.servers.s3 import ENVIRONMENT, KEY_ID, SECRET, FakeS3

TOKEN = "T" * 60
US, EU = {"x-amz-bucket-region": "us-west-2"}, {"x-amz-bucket-region": "eu-west-1"}


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


@pytest.fixture
def trust(tmp_path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca_file(tmp_path))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 1_795_000_000.0 + sum(self.slept)


@pytest.fixture
def client(s3: FakeS3, trust: ssl.SSLContext) -> Iterator[Callable[..., BucketClient]]:
    """Makes clients of the bucket, with the clock of the server."""
    opened_ones: list[BucketClient] = []

    def made(
        prefix: str = "news", secret: str = SECRET, context: ssl.SSLContext = trust, hasty: bool = False, **url: str
    ) -> BucketClient:
        clock = Clock()
        s3.now, s3.paused = clock.now(), clock.slept
        address = parse_bucket_url(s3.url(prefix, **url), {})
        key = AwsCredentials(KEY_ID, secret, s3.session_token)
        opened_ones.append(
            BucketClient(
                address,
                lambda: key,
                HttpsEndpoint(*address.name_and_port, context),
                patience=HASTE if hasty else BucketPatience(),
                now=clock.now,
                sleep=clock.slept.append,
            )
        )
        return opened_ones[-1]

    yield made
    for one in opened_ones:
        one.close()


@pytest.fixture
def source(client: Callable[..., BucketClient], tmp_path: Path) -> Callable[[], ListenedSource]:
    return lambda: ListenedSource(ListenedBucket([client() for _ in range(3)]), tmp_path / "progress.json")


def put(s3: FakeS3, number: int, *tokens: str, prefix: str = "news/") -> str:
    name = f"{number:013d}-{number:016x}.jsonl"
    s3.objects[prefix + name] = b"".join(clicked(token, 1.0).line() for token in tokens)
    return name


def taken(one: ListenedSource, *, acknowledged: bool = True) -> list[Received]:
    try:
        found = list(one.receive())
        if acknowledged:
            one.acknowledge([Handled(item.receipt, recognised=True) for item in found])
    finally:
        one.close()
    return found


def tokens(found: list[Received]) -> list[str]:
    return [notice.unsubscribe_tokens[0] for item in found for notice in item.notices]


# -- collecting


def test_all_pages_are_read_oldest_first_and_what_counts_is_deleted(
    s3: FakeS3, source: Callable[[], ListenedSource]
) -> None:
    for number in range(5):
        put(s3, number, f"{number:060d}", f"{number + 100:060d}")
    found = tokens(taken(source()))
    assert found == [f"{n + more:060d}" for n in range(5) for more in (0, 100)]
    assert s3.objects == {}
    assert len([one for one in s3.asked if one[1].startswith("?")]) == 3
    assert taken(source()) == []


def test_only_objects_right_below_the_prefix_that_have_the_name_are_touched(
    s3: FakeS3, source: Callable[[], ListenedSource]
) -> None:
    put(s3, 1, TOKEN, prefix="")
    put(s3, 2, TOKEN, prefix="news/deeper/")
    s3.objects |= {"news/notes & more \x01.txt": b"mine", f"news/{SIGN_OF_LIFE}": b"alive"}
    before = dict(s3.objects)
    assert taken(source()) == []
    assert s3.objects == before
    assert {method for method, _ in s3.asked} == {"GET"}


def test_killed_between_storing_and_deleting_the_events_come_again_with_the_same_ids(
    s3: FakeS3, source: Callable[[], ListenedSource]
) -> None:
    put(s3, 1, TOKEN, "U" * 60)
    first = taken(source(), acknowledged=False)
    second = taken(source())
    assert [one.id for one in first] == [one.id for one in second]
    assert len(first) == 2
    assert s3.objects == {}


def test_killed_after_the_progress_was_saved_nothing_comes_again_and_the_rest_is_deleted(
    s3: FakeS3, source: Callable[[], ListenedSource]
) -> None:
    put(s3, 1, TOKEN)
    one = source()
    found = list(one.receive())
    s3.faults = [(400, "NotNow", {})]
    with pytest.raises(InputError):
        one.acknowledge([Handled(item.receipt, recognised=True) for item in found])
    assert len(s3.objects) == 1
    assert taken(source()) == []
    assert s3.objects == {}


def test_what_may_not_be_deleted_is_remembered_until_it_is_gone(
    s3: FakeS3, source: Callable[[], ListenedSource], tmp_path: Path
) -> None:
    s3.keeps = True
    names = [put(s3, number, f"{number:060d}") for number in range(3)]
    assert len(taken(source())) == 3
    assert len(s3.objects) == 3
    assert [method for method, _ in s3.asked].count("DELETE") == 1
    assert taken(source()) == []
    del s3.objects["news/" + names[0]]
    put(s3, 9, "N" * 60)
    assert tokens(taken(source())) == ["N" * 60]
    assert len(json.loads((tmp_path / "progress.json").read_bytes())) == 3


def test_many_objects_are_fetched_ahead_over_several_connections_and_come_in_order(
    s3: FakeS3, source: Callable[[], ListenedSource]
) -> None:
    s3.page = 1000
    for number in range(200):
        put(s3, number, f"{number:060d}")
    together = threading.Barrier(3)  # passes only if three are asked for at the same time
    calls = itertools.count()

    def wait_for_two_more() -> None:
        if next(calls) < 3:
            together.wait(10)

    s3.before_get = wait_for_two_more
    assert tokens(taken(source())) == [f"{number:060d}" for number in range(200)]
    assert not together.broken
    assert s3.objects == {}


def test_a_refusal_of_what_is_fetched_ahead_is_told_where_it_would_be_read(
    s3: FakeS3, source: Callable[[], ListenedSource]
) -> None:
    for number in range(3):
        put(s3, number, f"{number:060d}")
    one = source()
    s3.faults_of = {[*s3.objects][1]: (403, "AccessDenied", {})}
    reading, items = one.receive(), []
    items.append(next(reading))
    with pytest.raises(LoginError):
        next(reading)
    one.acknowledge([Handled(item.receipt, recognised=True) for item in items])
    one.close()
    assert len(s3.objects) == 2


def test_an_object_that_is_gone_meanwhile_is_passed_over(s3: FakeS3, client: Callable[..., BucketClient]) -> None:
    assert client().get("0000000000001-0000000000000001.jsonl", 0, 10) == b""


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_of_an_object_is_read_also_if_the_server_has_no_ranges(
    s3: FakeS3, client: Callable[..., BucketClient], ranges: bool
) -> None:
    s3.ranges = ranges
    s3.objects["news/x"] = b"0123456789"
    assert client().get("x", 3, 4) == b"3456"


def test_temporary_keys_send_their_token(s3: FakeS3, client: Callable[..., BucketClient]) -> None:
    s3.session_token = "session-session"
    assert list(client().objects()) == []


def test_a_prefix_may_be_missing(s3: FakeS3, client: Callable[..., BucketClient]) -> None:
    put(s3, 1, TOKEN, prefix="")
    assert [one.key for one in client("").objects()] == [*s3.objects]


# -- refusals


@pytest.mark.parametrize(
    ("fault", "error", "what", "step"),
    [
        ((301, "PermanentRedirect", US), InputError, "is not in the region eu-west-1", "region=us-west-2"),
        ((307, "TemporaryRedirect", US), InputError, "is not in the region eu-west-1", "region=us-west-2"),
        ((307, "TemporaryRedirect", EU), UnfinishedError, "cannot be used now", "later"),
        ((400, "AuthorizationHeaderMalformed", {}), InputError, "is not in the region eu-west-1", "region=REGION"),
        ((403, "AccessDenied", {}), LoginError, "refused access to the bucket s3://events/news", "s3:ListBucket"),
        ((403, "InvalidAccessKeyId", {}), LoginError, "The key is refused access", "current"),
        ((400, "ExpiredToken", {}), LoginError, "The key is refused access", "current"),
        ((403, "RequestTimeTooSkewed", {}), LoginError, "The clock of this machine differs", "timedatectl"),
        ((404, "NoSuchBucket", {}), InputError, "There is no bucket events at 127.0.0.1", "endpoint"),
        ((418, "Teapot", {}), InputError, "does not answer as a bucket does", "endpoint="),
    ],
)
def test_each_refusal_is_one_plain_sentence_with_what_to_do(
    s3: FakeS3, client: Callable[..., BucketClient], fault: object, error: type[CampaignError], what: str, step: str
) -> None:
    s3.faults = [fault]  # type: ignore[list-item]
    with pytest.raises(error) as told:
        list(client().objects())
    assert what in told.value.what
    assert step in told.value.next_step
    assert SECRET not in str(told.value)
    assert len(s3.asked) == 1


@pytest.mark.parametrize(
    "fault",
    [
        (503, "SlowDown", {}),
        (500, "InternalError", {}),
        (429, "TooManyRequests", {}),
        (400, "RequestTimeout", {}),
        b"HTTP/1.1 2",
    ],
)
def test_what_passes_is_tried_again_with_longer_pauses_and_then_told(
    s3: FakeS3, client: Callable[..., BucketClient], fault: object
) -> None:
    s3.faults = [fault] * 4  # type: ignore[list-item]
    assert list(client().objects()) == []
    assert len(s3.paused) == 4
    assert s3.paused[3] > s3.paused[0]
    s3.faults = [fault] * 5  # type: ignore[list-item]
    with pytest.raises(UnfinishedError, match="cannot be used now"):
        list(client().objects())


def test_a_clock_that_is_wrong_is_told(s3: FakeS3, client: Callable[..., BucketClient]) -> None:
    one = client()
    s3.now = 1_795_001_000.0
    with pytest.raises(LoginError, match="The clock of this machine differs"):
        list(one.objects())


def test_a_key_with_another_secret_is_refused(client: Callable[..., BucketClient]) -> None:
    with pytest.raises(LoginError, match="403 SignatureDoesNotMatch"):
        list(client(secret="other").objects())


def test_a_bucket_that_is_not_there_is_told(client: Callable[..., BucketClient]) -> None:
    with pytest.raises(InputError, match="There is no bucket other"):
        list(client(bucket="other").objects())


def test_a_certificate_that_is_not_trusted_is_told(client: Callable[..., BucketClient]) -> None:
    with pytest.raises(InputError, match="not to be trusted"):
        list(client(context=ssl.create_default_context()).objects())


def test_an_answer_that_is_no_list_is_told(s3: FakeS3, client: Callable[..., BucketClient]) -> None:
    page = b"<html>welcome</html>"
    s3.faults = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(page), page)]
    with pytest.raises(InputError, match="does not answer as a bucket does"):
        list(client().objects())


def test_the_campaign_file_opens_a_bucket_with_the_key_of_the_environment_or_of_a_file(
    s3: FakeS3, tmp_path: Path
) -> None:
    put(s3, 1, TOKEN)
    section = FeedbackSourceSection(url=f"listen:{s3.url('news')}", tls_ca_file=certificates.ca_file(tmp_path))
    around = SourceSurroundings(tmp_path, tmp_path / "progress", environment=ENVIRONMENT)
    assert len(taken(open_feedback_source(section, around), acknowledged=False)) == 1  # type: ignore[arg-type]
    around = SourceSurroundings(tmp_path, tmp_path / "progress", password=lambda: f"{KEY_ID}:{SECRET}\n")
    assert len(taken(open_feedback_source(section, around))) == 1  # type: ignore[arg-type]
    assert s3.objects == {}
    with pytest.raises(CampaignError, match="There is no access key for the bucket"):
        open_feedback_source(section, SourceSurroundings(tmp_path, tmp_path / "progress"))


# -- storing


def listening(s3: FakeS3, tmp_path: Path, **more: object) -> ListenState:
    (tmp_path / "key").write_text(f"{KEY_ID}:{SECRET}\n")
    (tmp_path / "key").chmod(0o600)
    authority = certificates.ca_file(tmp_path).name
    text = f'events = "{s3.url("news")}"\nbucket_key_file = "key"\nbucket_ca_file = "{authority}"\n'
    return opened(tmp_path, text, **more)


async def test_a_click_is_in_the_bucket_before_its_answer_and_is_collected_from_there(
    s3: FakeS3, tmp_path: Path, source: Callable[[], ListenedSource]
) -> None:
    state = listening(s3, tmp_path)
    assert [*s3.objects] == [f"news/{SIGN_OF_LIFE}"]
    with serving(state) as port:
        for number in range(3):
            assert (await asked(port, post(f"{number:060d}")))[0] == 200
            assert len(s3.objects) == 2 + number
        assert (await asked(port, request("GET", "/events")))[0] == 404
    found = await asyncio.to_thread(lambda: taken(source()))
    assert sorted(tokens(found)) == [f"{number:060d}" for number in range(3)]
    assert [*s3.objects] == [f"news/{SIGN_OF_LIFE}"]


async def test_a_bucket_that_does_not_take_it_is_answered_503_and_the_repeated_post_counts(
    s3: FakeS3, tmp_path: Path
) -> None:
    state = listening(s3, tmp_path)
    with serving(state) as port:
        s3.faults = [(403, "AccessDenied", {})]
        status, text = await asked(port, post())
        assert status == 503
        assert "retry-after: 60" in text.lower()
        assert (await asked(port, post()))[0] == 200
    assert len(s3.objects) == 2


def test_a_put_whose_answer_is_lost_is_repeated_under_the_same_key(
    s3: FakeS3, client: Callable[..., BucketClient]
) -> None:
    writer = BucketWriter(client(hasty=True), clock=lambda: 12.5)
    s3.faults = [b""]
    writer.append([clicked(TOKEN, 1.0).line(), clicked("U" * 60, 1.0).line()])
    ((name, content),) = s3.objects.items()
    assert name.startswith("news/0000000012500-")
    assert content.count(b"\n") == 2
    assert len({key for _, key in s3.asked}) == 1
    assert len(s3.asked) == 2


def test_what_the_bucket_refuses_is_an_error_of_storing_with_no_token_in_it(
    s3: FakeS3, client: Callable[..., BucketClient]
) -> None:
    s3.faults = [(503, "SlowDown", {})] * 2
    with pytest.raises(OSError, match="cannot be used now; 503 SlowDown") as told:
        BucketWriter(client(hasty=True)).append([clicked(TOKEN, 1.0).line()])
    assert TOKEN not in str(told.value)


def test_a_bucket_that_cannot_be_written_is_told_at_the_start(s3: FakeS3, tmp_path: Path) -> None:
    s3.faults = [(403, "AccessDenied", {})]
    with pytest.raises(StorageError, match=r"Requests cannot be stored in s3://events/news.*\n.*refused access"):
        listening(s3, tmp_path)


async def test_many_at_once_share_objects(s3: FakeS3, tmp_path: Path) -> None:
    with serving(listening(s3, tmp_path)) as port:
        found = await asyncio.gather(*(asked(port, post(f"{n:060d}")) for n in range(200)))
    assert [status for status, _ in found] == [200] * 200
    del s3.objects[f"news/{SIGN_OF_LIFE}"]
    assert sum(content.count(b"\n") for content in s3.objects.values()) == 200
    assert len(s3.objects) < 200
    assert threading.active_count() < 100
