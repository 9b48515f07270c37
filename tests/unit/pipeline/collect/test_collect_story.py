"""One collect from beginning to end, over each kind of source that needs no server."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from campaign.cli.main import cli
from campaign.config import load
from campaign.config.feedback import FeedbackSourceSection
from campaign.errors import ConfigError
from campaign.exit_codes import ExitCode
from campaign.ledger.feedback.feedback_store import read_events
from campaign.ledger.recovery import read_history
from campaign.model import FeedbackEvent, FeedbackOutcome, Verdict
from campaign.pipeline.collect.collect import Collected, collect
from campaign.pipeline.collect.sent_runs import sent_runs
from campaign.pipeline.collect.why_unrecognised import (
    NO_FEEDBACK,
    OF_NO_LETTER,
    OF_NO_RUN,
    OF_REHEARSAL,
    kept_where,
)
from campaign.report.live.console import Console
from tests.support.bounces import Maildir, bounce
from tests.support.sent import SentCampaign

ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"


@pytest.fixture
def gazette(tmp_path: Path) -> SentCampaign:
    gazette = SentCampaign(tmp_path)
    gazette.send(ADA, BOB, EVE, verdicts={EVE: Verdict.IN_DOUBT}, replies={BOB: "Ok: queued as 4F2A91C03B"})
    return gazette


def collected(gazette: SentCampaign, *urls: str, sources: tuple[str, ...] = ()) -> Collected:
    if sources:
        gazette.job(more="".join(f'[[feedback.source]]\nurl = "{url}"\n' for url in sources))
    return collect(load(gazette.file), urls, Console(io.StringIO()))


def events(gazette: SentCampaign) -> list[FeedbackEvent]:
    return list(read_events(gazette.runs))


def outcomes(gazette: SentCampaign) -> dict[str, FeedbackOutcome]:
    return {one.address: one.outcome for one in events(gazette)}


def type_in(monkeypatch: pytest.MonkeyPatch, message: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(message)))


def test_a_campaign_without_sources_says_how_to_write_one(gazette: SentCampaign) -> None:
    gazette.job()
    with pytest.raises(ConfigError, match="names no source") as refused:
        collected(gazette)
    assert "[[feedback.source]]" in refused.value.next_step


def test_a_source_that_the_file_does_not_have_is_refused_with_those_it_has(gazette: SentCampaign) -> None:
    with pytest.raises(ConfigError, match="maildir:elsewhere is no source") as refused:
        collected(gazette, "maildir:elsewhere", sources=("maildir:bounces",))
    assert "maildir:bounces" in str(refused.value)


def test_one_source_can_be_read_alone(gazette: SentCampaign, tmp_path: Path) -> None:
    Maildir(tmp_path / "bounces")
    result = collected(gazette, "maildir:bounces", sources=("maildir:gone", "maildir:bounces"))
    assert (result.code, result.tally.sources) == (0, 1)


def test_one_message_is_read_from_standard_input_and_the_rest_is_left_for_later(
    gazette: SentCampaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gazette.job()
    type_in(monkeypatch, bounce(gazette.return_path(gazette.newest(), 2), b"", recipient=EVE))
    assert collected(gazette, "-").code == 0
    assert outcomes(gazette) == {EVE: FeedbackOutcome.HARD}
    assert not (gazette.runs / "suppressed.csv").exists()
    assert read_history(gazette.newest().folder).tally()["in_doubt"] == 1
    Maildir(tmp_path / "bounces")
    result = collected(gazette, sources=("maildir:bounces",))
    assert (result.tally.settled, result.tally.left_out) == (1, 1)
    assert EVE in (gazette.runs / "suppressed.csv").read_text()
    assert read_history(gazette.newest().folder).tally()["in_doubt"] == 0


def test_a_log_tells_of_our_letters_and_nothing_of_other_mail_is_kept(gazette: SentCampaign, tmp_path: Path) -> None:
    now = datetime.now().astimezone().strftime("%b %e %H:%M:%S")
    eve = gazette.message_id(gazette.newest(), EVE)
    (tmp_path / "mail.log").write_text(
        f"{now} mx postfix/cleanup[1]: 4AAAAAAAAA: message-id=<{eve}>\n"
        f"{now} mx postfix/smtp[2]: 4AAAAAAAAA: to=<{EVE}>, relay=r[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
        "dsn=2.0.0, status=sent (250 ok)\n"
        f"{now} mx postfix/cleanup[1]: 4BBBBBBBBB: message-id=<1@example.net>\n"
        f"{now} mx postfix/smtp[2]: 4BBBBBBBBB: to=<x@example.net>, relay=r[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
        "dsn=5.1.1, status=bounced (host r said: 550 5.1.1 no such user (in reply to RCPT TO command))\n"
        f"{now} mx postfix/cleanup[1]: 4CCCCCCCCC: message-id=<2@example.net>\n"
        f"{now} mx postfix/smtp[2]: 4CCCCCCCCC: to=<{ADA}>, relay=r[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
        "dsn=2.0.0, status=sent (250 ok)\n"
        f"{now} mx postfix/smtp[2]: 4F2A91C03B: to=<{BOB}>, relay=r[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
        "dsn=5.1.1, status=bounced (host r said: 550 5.1.1 no such user (in reply to RCPT TO command))\n"
    )
    result = collected(gazette, sources=("postfix-log:mail.log",))
    assert (result.code, result.tally.settled) == (0, 1)
    assert outcomes(gazette) == {EVE: FeedbackOutcome.DELIVERED, BOB: FeedbackOutcome.HARD}
    assert {one.address: one.matched_by for one in events(gazette)} == {EVE: "message-id", BOB: "reply-id"}
    assert collected(gazette).tally.received == 0


def test_events_of_another_program_count_up_to_the_first_line_that_is_none(
    gazette: SentCampaign, tmp_path: Path
) -> None:
    run, file = gazette.newest(), tmp_path / "events.jsonl"
    unsubscribe = {"outcome": "unsubscribe", "unsubscribe_token": gazette.unsubscribe_token(run, ADA)}
    good = {"outcome": "complaint", "address": "stranger@example.net"}
    bad = {"outcome": "unsubscribe", "unsubscribe_tokn": "x"}
    later = {"outcome": "bounce", "return_path": gazette.return_path(run, 1), "code": 550, "enhanced": "5.1.1"}
    file.write_text("".join(json.dumps(one) + "\n" for one in (unsubscribe, good, bad, later)))
    result = collected(gazette, sources=("events:events.jsonl",))
    assert result.code == ExitCode.BAD_INPUT
    assert outcomes(gazette) == {ADA: FeedbackOutcome.UNSUBSCRIBE, "stranger@example.net": FeedbackOutcome.COMPLAINT}
    file.write_text("".join(json.dumps(one) + "\n" for one in (unsubscribe, good, unsubscribe, later)))
    assert collected(gazette).code == 0
    assert outcomes(gazette)[BOB] is FeedbackOutcome.HARD
    assert len(events(gazette)) == 3


def test_a_message_that_is_not_recognised_comes_with_the_reason_and_where_it_is_kept(
    gazette: SentCampaign, tmp_path: Path
) -> None:
    gazette.send(ADA, edition="rehearsed", relay="mailbox")
    [rehearsal] = sent_runs(gazette.runs, gazette.secret, rehearsals=True)
    bounces = Maildir(tmp_path / "bounces")
    bounces.put(bounce(gazette.return_path(rehearsal, 0), b""))
    strange = f"Message-ID: <{'0' * 40}@example.com>\r\n\r\n".encode()
    bounces.put(bounce("bounces@example.com", strange, recipient="x@example.net"))
    bounces.put(bounce("bounces@example.com", b"Message-ID: <1@example.net>\r\n\r\n", recipient="x@example.net"))
    bounces.put(b"From: x@example.net\r\nTo: bounces@example.com\r\nSubject: Lunch?\r\n\r\nAt noon?\r\n")
    tally = collected(gazette, sources=("maildir:bounces",)).tally
    where = "moved to the folder not-recognised of maildir:bounces"
    assert tally.reasons == {(why, where): 1 for why in (OF_REHEARSAL, OF_NO_RUN, OF_NO_LETTER, NO_FEEDBACK)}
    assert f"1 not recognised: {OF_REHEARSAL}; {where}\n" in tally.text(1.0)
    assert {"why": NO_FEEDBACK, "kept": where, "messages": 1} in tally.facts()["reasons_not_recognised"]


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("imaps://b@mail.example.com/INBOX", "moved to the folder elsewhere of imaps://b@mail.example.com/INBOX"),
        ("pop3s://b@mail.example.com", "left in pop3s://b@mail.example.com"),
        ("mbox:bounces", "left in mbox:bounces"),
        ("-", "its outcome is in feedback.jsonl"),
        ("sqs://sqs.example.com/1/events", "its outcome is in feedback.jsonl"),
    ],
)
def test_each_kind_of_source_keeps_what_is_not_recognised_in_its_own_place(url: str, where: str) -> None:
    assert kept_where(FeedbackSourceSection(url=url, unknown="elsewhere")) == where


def test_what_a_lost_secret_left_unrecognised_counts_once_it_is_back(gazette: SentCampaign, tmp_path: Path) -> None:
    bounces = Maildir(tmp_path / "bounces")
    bounces.put(bounce(gazette.return_path(gazette.newest(), 0), b"", recipient=ADA))
    kept = (tmp_path / "campaign.secret").read_bytes()
    (tmp_path / "campaign.secret").write_bytes(b"a new secret, made by mistake\n")
    assert collected(gazette, sources=("maildir:bounces",)).tally.not_recognised == 1
    (tmp_path / "campaign.secret").write_bytes(kept)
    [message] = bounces.kept("not-recognised")
    message.rename(tmp_path / "bounces" / "new" / message.name)
    assert collected(gazette).tally.new == 1
    assert [(one.address, one.outcome) for one in events(gazette)] == [
        ("", FeedbackOutcome.UNKNOWN),
        (ADA, FeedbackOutcome.HARD),
    ]


def test_a_rehearsal_is_bounced_by_nobody(tmp_path: Path) -> None:
    gazette = SentCampaign(tmp_path)
    gazette.send(ADA, relay="mailbox")
    Maildir(tmp_path / "bounces").put(bounce("news@example.com", b"", recipient=ADA))
    assert collected(gazette, sources=("maildir:bounces",)).tally.not_recognised == 1


def test_the_command_prints_a_table_for_people_or_an_object_for_programs(gazette: SentCampaign, tmp_path: Path) -> None:
    Maildir(tmp_path / "bounces").put(bounce(gazette.return_path(gazette.newest(), 0), b"", recipient=ADA))
    gazette.job(more='[[feedback.source]]\nurl = "maildir:bounces"\n')
    told = CliRunner().invoke(cli, ["collect", str(gazette.file)], standalone_mode=False)
    assert told.return_value == 0, told.exception
    assert "no such user" in told.stderr
    told = CliRunner().invoke(cli, ["collect", str(gazette.file), "--json"], standalone_mode=False)
    assert json.loads(told.stdout)["received"] == 0
    assert not told.stderr
