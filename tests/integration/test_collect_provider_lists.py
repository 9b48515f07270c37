"""`campaign collect` over the lists of each provider: who is left out, nothing twice, nothing lost."""

from __future__ import annotations

import functools
import io
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from campaign.config import load
from campaign.exit_codes import ExitCode
from campaign.feedback.feedback_source import Handled
from campaign.feedback.provider_lists import open_provider_list as module
from campaign.feedback.provider_lists.list_source import ProviderListSource
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.ledger.feedback.suppressed_csv import read_list
from campaign.model import FeedbackEvent
from campaign.pipeline.collect.collect import Collected, collect
from campaign.report.live.console import Console
from campaign.system.https_client import HttpsEndpoint
from tests.support.sent import SentCampaign
from tests.support.servers import certificates
from tests.support.servers.provider_lists import KEY, SECRET, FakeProvider, bounces_of

PEOPLE = 12
SOURCES = ["sendgrid:", "mailgun:example.com", "postmark:", "brevo:", "sparkpost:", "mailjet:", "resend:"]


class Killed(BaseException):
    """The end of the process."""


class Office:
    """A run of a few people, and a provider that has lists about them."""

    def __init__(self, folder: Path, provider: FakeProvider) -> None:
        self.folder, self.provider, self.gazette = folder, provider, SentCampaign(folder)
        self.gazette.send(*(f"{number}@example.org" for number in range(PEOPLE)))
        self.said = io.StringIO()

    def names(self, *urls: str) -> None:
        for name, key in (("key", KEY), ("pair", f"{KEY}:{SECRET}")):
            (self.folder / name).write_text(f"{key}\n")
            (self.folder / name).chmod(0o600)
        lines = [
            f'[[feedback.source]]\nurl = "{url}"\n'
            + ("" if url.startswith("events:") else f'password_file = "{"pair" if url == "mailjet:" else "key"}"\n')
            for url in urls
        ]
        self.gazette.job(more="".join(lines))

    def collect(self) -> Collected:
        return collect(load(self.gazette.file), (), Console(self.said))

    @property
    def events(self) -> list[FeedbackEvent]:
        return list(read_events(self.gazette.runs))

    @property
    def left_out(self) -> set[str]:
        return {line.row.address for line in read_list(self.gazette.runs) if line.row.address}


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    with FakeProvider() as provider:
        trust = ssl.create_default_context(cafile=certificates.ca_file(tmp_path))
        here = functools.partial(
            module.open_provider_list,
            now=lambda: provider.now,
            sleep=provider.sleep,
            endpoint=HttpsEndpoint("127.0.0.1", provider.port, trust),
        )
        monkeypatch.setattr(module, "open_provider_list", here)
        yield Office(tmp_path, provider)


def fill(office: Office, url: str, numbers: range) -> None:
    for number in numbers:
        name, record = bounces_of(url.partition(":")[0], number, office.provider.now - 7200)
        office.provider.records.setdefault(name, []).append(record)


@pytest.mark.parametrize("url", SOURCES)
def test_whom_a_providers_list_names_gets_no_more_letters(office: Office, url: str) -> None:
    office.names(url)
    fill(office, url, range(5))
    fill(office, url, range(900, 903))  # of other mail of the same account
    collected = office.collect()
    assert collected.code == ExitCode.DONE
    assert {(one.address, str(one.outcome), one.matched_by, one.source) for one in office.events} == {
        (f"{number}@example.org", "hard", "provider-list", url) for number in range(5)
    }
    assert all(one.run for one in office.events)
    assert office.left_out == {f"{number}@example.org" for number in range(5)}


@pytest.mark.parametrize("url", SOURCES)
def test_a_kill_before_anything_is_stored_loses_nothing(
    office: Office, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.names(url)
    fill(office, url, range(PEOPLE))

    def killed(_: FeedbackStore, events: Sequence[FeedbackEvent]) -> int:
        raise Killed(len(events))

    with monkeypatch.context() as patch:
        patch.setattr(FeedbackStore, "add", killed)
        with pytest.raises(Killed):
            office.collect()
    assert office.events == []
    office.provider.now += 86_400
    office.collect()
    assert len(office.events) == len(office.left_out) == PEOPLE


@pytest.mark.parametrize("url", SOURCES)
def test_a_kill_between_storing_and_acknowledging_loses_nothing_and_counts_nothing_twice(
    office: Office, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.names(url)
    fill(office, url, range(PEOPLE))

    def killed(_: ProviderListSource, handled: Sequence[Handled]) -> None:
        raise Killed(len(handled))

    with monkeypatch.context() as patch:
        patch.setattr(ProviderListSource, "acknowledge", killed)
        with pytest.raises(Killed):
            office.collect()
    assert len(office.events) == PEOPLE
    office.provider.now += 86_400
    assert office.collect().code == ExitCode.DONE
    assert Counter(one.address for one in office.events) == {f"{number}@example.org": 1 for number in range(PEOPLE)}


def test_who_unsubscribed_at_the_provider_is_left_out_even_if_no_plan_has_the_address(office: Office) -> None:
    office.names("sendgrid:")
    created = int(office.provider.now) - 10**8
    office.provider.records["unsubscribes"] = [{"created": created, "email": "stranger@example.net"}]
    office.collect()
    assert office.left_out == {"stranger@example.net"}


def test_a_collect_that_comes_too_early_says_so_and_reads_the_other_sources(office: Office) -> None:
    office.names("brevo:", "events:events.jsonl")
    (office.folder / "events.jsonl").write_text("")
    assert office.collect().code == ExitCode.DONE
    with (office.folder / "events.jsonl").open("a") as file:
        file.write('{"outcome": "unsubscribe", "address": "3@example.org"}\n')
    asked = len(office.provider.asked)
    assert office.collect().code == ExitCode.UNFINISHED
    assert "Brevo was asked less than 5 minutes ago" in office.said.getvalue()
    assert office.left_out == {"3@example.org"}
    assert len(office.provider.asked) == asked


def test_a_letter_that_mailgun_names_by_its_message_id_is_found_by_it(office: Office) -> None:
    office.names("mailgun:example.com")
    fill(office, "mailgun:", range(1))
    [event] = office.provider.records["events"]
    letter = office.gazette.message_id(office.gazette.newest(), "7@example.org")
    event |= {"recipient": "forwarded@example.net", "message": {"headers": {"message-id": letter}}}
    office.collect()
    assert [(one.address, one.matched_by) for one in office.events] == [("7@example.org", "message-id")]


def test_an_entry_that_cannot_be_read_is_told_and_holds_up_no_other(office: Office) -> None:
    office.names("mailgun:example.com")
    fill(office, "mailgun:", range(2))
    at = office.provider.now - 7200
    office.provider.faults = [(200, {}, f'{{"items": [{{"event": {{}}, "timestamp": {at}}}]}}')]
    assert office.collect().code == ExitCode.BAD_INPUT
    assert "1 entries of Mailgun cannot be read" in office.said.getvalue()
    assert len(office.events) == 2
