"""Lists of providers as sources of feedback: pages, progress, throttles, faults, keys, from servers on loopback."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from campaign.errors import CampaignError, ConfigError, InputError, LoginError, UnfinishedError
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.provider_lists import list_client, postmark_lists
from campaign.feedback.provider_lists.list_source import ProviderListSource
from campaign.feedback.provider_lists.open_provider_list import open_provider_list
from campaign.system import https_client
from campaign.system.https_client import HttpsEndpoint
from tests.support.servers import certificates
from tests.support.servers.provider_lists import (
    ENDLESS,
    KEY,
    NOW,
    SECRET,
    FakeProvider,
    Fault,
    bounces_of,
    eastern,
    utc,
)

HOUR, DAY = 3600.0, 86_400.0
URLS = {
    "sendgrid": "sendgrid:",
    "mailgun": "mailgun:example.com",
    "postmark": "postmark:",
    "brevo": "brevo:",
    "sparkpost": "sparkpost:",
    "mailjet": "mailjet:",
    "resend": "resend:",
}
KINDS = list(URLS)
PAGES = {
    "sendgrid": 500,
    "mailgun": 300,
    "postmark": 500,
    "brevo": 2500,
    "sparkpost": 1000,
    "mailjet": 1000,
    "resend": 100,
}


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


class Reader:
    """Opens a source anew for each reading, as each collect does."""

    def __init__(self, provider: FakeProvider, folder: Path) -> None:
        self.provider, self.folder = provider, folder

    def open(self, kind: str, key: str = "", **more: Any) -> ProviderListSource:
        trust = ssl.create_default_context(cafile=certificates.ca_file(self.folder))
        key = key or (f"{KEY}:{SECRET}" if kind == "mailjet" else KEY)
        given: dict[str, Any] = {"password": lambda: key, **more}
        return open_provider_list(
            given.pop("url", URLS[kind]),
            self.folder,
            given.pop("environment", {}),
            self.folder / "progress" / f"{kind}.json",
            now=lambda: self.provider.now,
            sleep=self.provider.sleep,
            endpoint=HttpsEndpoint("127.0.0.1", self.provider.port, trust),
            **given,
        )

    def read(self, kind: str, acknowledged: int | None = None, **more: Any) -> list[Received]:
        with closing(self.open(kind, **more)) as source:
            received = [*source.receive()]
            source.acknowledge([Handled(one.receipt, recognised=True) for one in received[:acknowledged]])
            return received


@pytest.fixture
def reader(provider: FakeProvider, tmp_path: Path) -> Reader:
    return Reader(provider, tmp_path)


def fill(provider: FakeProvider, kind: str, numbers: range, at: float = NOW - 2 * HOUR) -> None:
    for number in numbers:
        name, record = bounces_of(kind, number, at)
        provider.records.setdefault(name, []).append(record)


def people(received: list[Received]) -> list[str]:
    return [one.notices[0].addresses[0] for one in received]


@pytest.mark.parametrize("kind", KINDS)
def test_all_pages_of_a_list_are_read_each_entry_once(reader: Reader, provider: FakeProvider, kind: str) -> None:
    count = 2 * PAGES[kind] + 1
    fill(provider, kind, range(count))
    received = reader.read(kind)
    assert people(received) == [f"{number}@example.org" for number in range(count)]
    assert len({one.id for one in received}) == count
    assert {(one.notices[0].outcome, one.notices[0].permanent) for one in received} <= {(None, True), ("hard", None)}
    assert set(provider.hosts) == {provider.hosts[0]}


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_reading_gives_what_is_new_and_at_most_what_is_remembered(
    reader: Reader, provider: FakeProvider, kind: str
) -> None:
    fill(provider, kind, range(3), NOW - 5 * HOUR)
    first = reader.read(kind)
    provider.now += 6 * HOUR
    fill(provider, kind, range(3, 5), NOW + HOUR)
    second = reader.read(kind)
    assert people(second)[-2:] == ["3@example.org", "4@example.org"]
    assert {one.id for one in second[:-2]} <= {one.id for one in first}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_acknowledged_is_read_again_with_the_same_id(
    reader: Reader, provider: FakeProvider, kind: str
) -> None:
    fill(provider, kind, range(3))
    first = reader.read(kind, acknowledged=2)
    provider.now += 1
    assert [one.id for one in reader.read(kind)] == [one.id for one in first]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_if_a_reading_breaks_off(reader: Reader, provider: FakeProvider, kind: str) -> None:
    fill(provider, kind, range(PAGES[kind] + 3))
    source = reader.open(kind)
    items = source.receive()
    taken = [next(items)]
    source.acknowledge([Handled(taken[0].receipt, recognised=True)])
    source.close()  # as a kill would
    provider.now += 30 * 60
    assert {*people(taken), *people(reader.read(kind))} == {f"{n}@example.org" for n in range(PAGES[kind] + 3)}


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_that_appears_late_but_within_the_hour_is_not_missed(
    reader: Reader, provider: FakeProvider, kind: str
) -> None:
    reader.read(kind)
    fill(provider, kind, range(1), provider.now - 40 * 60)
    provider.now += HOUR
    assert people(reader.read(kind)) == ["0@example.org"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_is_asked_no_oftener_than_every_five_minutes(
    reader: Reader, provider: FakeProvider, kind: str
) -> None:
    reader.read(kind)
    asked = len(provider.asked)
    provider.now += 200
    with pytest.raises(UnfinishedError, match="less than 5 minutes ago") as caught:
        reader.read(kind)
    assert len(provider.asked) == asked
    assert "in 2 min" in caught.value.next_step
    provider.now += 100
    reader.read(kind)


def test_a_reading_that_failed_may_be_tried_again_at_once(reader: Reader, provider: FakeProvider) -> None:
    with pytest.raises(LoginError):
        reader.read("brevo", key="wrong-key-0123456789")
    fill(provider, "brevo", range(1))
    assert len(reader.read("brevo")) == 1


def test_a_clock_that_was_set_back_holds_nothing_up(reader: Reader, provider: FakeProvider) -> None:
    provider.now += 10 * DAY
    reader.read("sparkpost")
    provider.now -= 10 * DAY
    fill(provider, "sparkpost", range(1), NOW - HOUR / 2)
    assert len(reader.read("sparkpost")) == 1


@pytest.mark.parametrize("noted", [b"", b"[]", b'{"until": "x", "read_at": null}', b'{"until": 1e999}'])
def test_a_damaged_progress_file_only_costs_a_reading_from_the_beginning(
    reader: Reader, provider: FakeProvider, tmp_path: Path, noted: bytes
) -> None:
    fill(provider, "mailgun", range(1), NOW - 20 * DAY)
    reader.read("mailgun")
    (tmp_path / "progress" / "mailgun.json").write_bytes(noted)
    assert len(reader.read("mailgun")) == 1


def test_a_long_time_is_read_in_days_and_each_that_is_done_stays_done(reader: Reader, provider: FakeProvider) -> None:
    fill(provider, "mailgun", range(1), NOW - 20 * DAY)
    fill(provider, "mailgun", range(1, 2), NOW - 10 * DAY)
    with closing(reader.open("mailgun")) as source:
        items = source.receive()
        source.acknowledge([Handled(next(items).receipt, recognised=True)])
        source.acknowledge([Handled(next(items).receipt, recognised=True)])
        provider.faults = [(500, {}, "{}")] * list_client.TRIES
        with pytest.raises(UnfinishedError):
            next(items)
    provider.asked.clear()
    assert people(reader.read("mailgun")) == ["1@example.org"]
    assert len(provider.asked) < 16


@pytest.mark.parametrize("late", [20 * 60, 29 * 60, 80 * 60])
def test_mailguns_events_that_are_stored_out_of_order_are_not_missed(
    reader: Reader, provider: FakeProvider, late: float
) -> None:
    fill(provider, "mailgun", range(2), NOW - 60)
    provider.records["events"][0]["stored"] = NOW - 60 + late
    seen: set[str] = set()
    for _ in range(24):
        seen |= set(people(reader.read("mailgun")))
        provider.now += 600
    assert seen == {"0@example.org", "1@example.org"}


def test_mailguns_newest_events_are_left_until_their_order_is_final(reader: Reader, provider: FakeProvider) -> None:
    fill(provider, "mailgun", range(1), NOW - 29 * 60)
    assert reader.read("mailgun") == []
    provider.now += 301
    assert people(reader.read("mailgun")) == ["0@example.org"]


@pytest.mark.parametrize(
    ("next_page", "requests"),
    [("https://evil.example/v3/other/events/x", 1), ("", 1), ("/v3/example.com/events/W10=", 2)],
)
def test_a_next_page_elsewhere_is_not_asked_for(
    reader: Reader, provider: FakeProvider, next_page: str, requests: int
) -> None:
    reader.read("mailgun")
    provider.now += 400
    provider.asked.clear()
    body = f'{{"items": [{{"event": "opened"}}], "paging": {{"next": "{next_page}"}}}}'
    provider.faults = [(200, {}, body)]
    assert reader.read("mailgun") == []
    assert len(provider.asked) == requests
    assert set(provider.hosts) == {"api.mailgun.net"}


def test_more_bounces_than_postmark_gives_of_one_span_are_read_in_halves(
    reader: Reader, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmark_lists, "MOST_OF_A_SPAN", 1000)
    provider.most = 1000
    for number in range(1500):
        fill(provider, "postmark", range(number, number + 1), NOW - DAY - number * 60)
    assert len({one.id for one in reader.read("postmark")}) == 1500


def test_more_bounces_of_one_minute_than_postmark_gives_are_told(
    reader: Reader, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmark_lists, "MOST_OF_A_SPAN", 500)
    fill(provider, "postmark", range(501))
    with pytest.raises(InputError, match="only a part"):
        reader.read("postmark")


def test_unsubscribes_are_read_from_each_stream_of_postmark_or_from_the_one_that_is_named(
    reader: Reader, provider: FakeProvider
) -> None:
    for stream in ("outbound", "broadcast"):
        left = {
            "EmailAddress": f"{stream}@example.org",
            "SuppressionReason": "ManualSuppression",
            "Origin": "Recipient",
        }
        provider.records[stream] = [{**left, "CreatedAt": eastern(NOW - HOUR)}]
    assert people(reader.read("postmark")) == ["outbound@example.org", "broadcast@example.org"]
    provider.now += 400
    assert people(reader.read("postmark", url="postmark:broadcast")) == ["broadcast@example.org"]


def test_those_who_left_a_group_at_sendgrid_or_were_blocked_at_brevo_for_unsubscribing_are_read(
    reader: Reader, provider: FakeProvider
) -> None:
    provider.records["groups"] = [
        {"email": "ada@example.org", "group_id": 7, "group_name": "News", "created_at": int(NOW - HOUR)}
    ]
    code = {"code": "unsubscribedViaEmail", "message": "Unsubscribed via email"}
    provider.records["contacts"] = [
        {"email": f"{number}@example.org", "reason": code, "blockedAt": utc(NOW - HOUR)} for number in range(150)
    ]
    assert people(reader.read("sendgrid")) == ["ada@example.org"]
    assert len(reader.read("brevo")) == 150


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("sendgrid:eu", "api.eu.sendgrid.com"),
        ("mailgun:eu:example.com", "api.eu.mailgun.net"),
        ("sparkpost:eu", "api.eu.sparkpost.com"),
    ],
)
def test_a_region_has_its_own_host(reader: Reader, provider: FakeProvider, url: str, host: str) -> None:
    reader.read(url.partition(":")[0], url=url)
    assert set(provider.hosts) == {host}


def test_resend_is_asked_twice_a_second_at_most(reader: Reader, provider: FakeProvider) -> None:
    fill(provider, "resend", range(301))
    reader.read("resend")
    assert provider.paused == [0.5, 0.5, 0.5]


BROKEN: list[Fault] = [
    (429, {}, "{}"),
    (500, {}, "<h1>oops</h1>"),
    (503, {}, ""),
    (200, {}, "<html>a login page</html>"),
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"nonsense\r\n\r\n",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_met_by_asking_again_after_growing_pauses(
    reader: Reader, provider: FakeProvider, kind: str, fault: Fault
) -> None:
    fill(provider, kind, range(1))
    provider.faults = [fault, fault]
    assert len(reader.read(kind)) == 1
    assert [one for one in provider.paused if one != 0.5] == [1.0, 2.0]


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_that_lasts_ends_the_reading_for_now(reader: Reader, provider: FakeProvider, fault: Fault) -> None:
    provider.faults = [fault] * list_client.TRIES
    with pytest.raises(UnfinishedError, match="SendGrid cannot be asked now") as caught:
        reader.read("sendgrid")
    assert caught.value.evidence[0]
    assert provider.faults == []


def test_an_answer_without_an_end_is_cut_off(
    reader: Reader, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https_client, "LARGEST", 1 << 20)
    provider.faults = [ENDLESS] * list_client.TRIES
    with pytest.raises(UnfinishedError) as caught:
        reader.read("postmark")
    assert caught.value.evidence == ("its answer is larger than 1 MiB",)


def test_an_answer_that_takes_too_long_is_cut_off(
    reader: Reader, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https_client, "WHOLE", -1.0)
    with pytest.raises(UnfinishedError) as caught:
        reader.read("postmark")
    assert "its answer takes longer than" in caught.value.evidence[0]


def test_a_provider_that_asks_to_wait_is_waited_for(reader: Reader, provider: FakeProvider) -> None:
    provider.faults = [(429, {"Retry-After": "17"}, "{}"), (503, {"Retry-After": "60"}, "{}")]
    reader.read("brevo")
    assert provider.paused == [17.0, 60.0]


def test_a_provider_that_asks_for_a_long_wait_is_asked_at_another_time(reader: Reader, provider: FakeProvider) -> None:
    provider.faults = [(429, {"Retry-After": "3600"}, '{"message": "slow down"}')]
    with pytest.raises(UnfinishedError) as caught:
        reader.read("brevo")
    assert caught.value.evidence == ('429 {"message": "slow down"}; it asks to wait 3600 seconds',)
    assert provider.paused == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_is_refused_is_told_without_repeating_it(reader: Reader, provider: FakeProvider, kind: str) -> None:
    wrong = "wrong-key-0123456789" + (":wrong-secret-0123456789" if kind == "mailjet" else "")
    with pytest.raises(LoginError, match="refuses this key") as caught:
        reader.read(kind, key=wrong)
    assert len(provider.asked) == 1
    assert "wrong" not in str(caught.value)
    assert not any(part in str(caught.value) for part in ("d3Jvbm", wrong))


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 418])
def test_any_other_answer_is_told_and_a_redirect_is_not_followed(
    reader: Reader, provider: FakeProvider, status: int
) -> None:
    provider.faults = [(status, {"Location": "https://evil.example/"}, '{"message": "no such domain"}')]
    with pytest.raises(InputError, match="Mailgun does not give its list") as caught:
        reader.read("mailgun")
    assert "no such domain" in caught.value.evidence[0]
    assert len(provider.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", ["null", "7", "[]", "{}", '[{"x": 1}, 7]', '{"items": 7, "results": [7], "data": {}}'])
def test_json_of_another_form_gives_nothing_or_an_error_and_never_a_traceback(
    reader: Reader, provider: FakeProvider, kind: str, body: str
) -> None:
    provider.faults = [(200, {}, body)] * 400
    with suppress(CampaignError):
        assert all(one.notices for one in reader.read(kind))


def test_a_certificate_that_is_not_to_be_trusted_gets_no_key(reader: Reader, tmp_path: Path) -> None:
    with FakeProvider(named="elsewhere.example") as impostor:
        with pytest.raises(InputError, match="certificate that is not to be trusted"):
            Reader(impostor, tmp_path).read("sendgrid")
        assert impostor.asked == []


def test_a_server_that_is_not_there_can_be_asked_later(tmp_path: Path) -> None:
    with FakeProvider() as provider:
        gone = Reader(provider, tmp_path).open("sendgrid")
    with pytest.raises(UnfinishedError):
        [*gone.receive()]


@pytest.mark.parametrize(
    ("kind", "environment"),
    [
        ("sendgrid", {"SENDGRID_API_KEY": KEY}),
        ("postmark", {"POSTMARK_SERVER_TOKEN": f"{KEY}\n"}),
        ("mailjet", {"MJ_APIKEY_PUBLIC": KEY, "MJ_APIKEY_PRIVATE": SECRET}),
    ],
)
def test_a_key_may_be_in_the_environment(reader: Reader, kind: str, environment: dict[str, str]) -> None:
    assert reader.read(kind, password=None, environment=environment) == []


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("sendgrid", {"password": None}),
        ("mailjet", {"password": None, "environment": {"MJ_APIKEY_PUBLIC": KEY}}),
        ("brevo", {"password": lambda: " \n"}),
    ],
)
def test_a_key_that_is_missing_is_told(reader: Reader, provider: FakeProvider, kind: str, more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="There is no key for"):
        reader.read(kind, **more)
    assert provider.asked == []


@pytest.mark.parametrize(
    ("kind", "key"), [("sendgrid", "a\r\nHost: evil"), ("mailjet", "half"), ("brevo", "schlüssel")]
)
def test_what_is_no_key_is_told_before_it_is_sent(reader: Reader, provider: FakeProvider, kind: str, key: str) -> None:
    with pytest.raises(ConfigError, match="is no key for"):
        reader.read(kind, key=key)
    assert provider.asked == []
