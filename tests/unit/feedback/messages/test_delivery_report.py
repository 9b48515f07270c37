"""Delivery status reports: one notice for each recipient, with its reply and its addresses."""

from __future__ import annotations

import pytest

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.messages.read_message import read_message
from campaign.feedback.messages.report_fields import address_of, host_of, time_of
from campaign.model import FeedbackOutcome

RETURNED = "Message-ID: <abc.1@news.example.com>\nTo: a@example.org\nSubject: News\n"


def report(fields: str, *, text: str = "It failed.", kind: str = "delivery-status") -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.com\nTo: bounces+t0ken@news.example.com\nMessage-ID: <own@mx.example.com>\n"
        "Date: Thu, 26 Nov 2026 10:00:00 +0100\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=b"\n\n'
        f"--=b\nContent-Type: text/plain\n\n{text}\n"
        f"--=b\nContent-Type: message/{kind}\n\n{fields}\n"
        f"--=b\nContent-Type: message/rfc822\n\n{RETURNED}\nbody\n--=b--\n"
    ).encode()


def only(raw: bytes) -> FeedbackNotice:
    (notice,) = read_message(raw)
    return notice


def test_a_failure_has_its_reply_its_keys_and_no_outcome_yet() -> None:
    notice = only(
        report(
            "Reporting-MTA: dns; mx.example.com\n\nOriginal-Recipient: rfc822;a@example.org\n"
            "Final-Recipient: rfc822; b@example.net\nAction: failed\nStatus: 5.1.1\n"
            "Diagnostic-Code: smtp; 550 5.1.1 <b@example.net>:\n    User unknown\n"
            "Last-Attempt-Date: Thu, 26 Nov 2026 09:00:00 +0000\n"
        )
    )
    assert notice.outcome is None
    assert notice.reply == (550, "5.1.1", "550 5.1.1 <b@example.net>: User unknown")
    assert notice.permanent is True
    assert notice.mta == "mx.example.com"
    assert notice.at == 1795683600.0
    assert notice.addresses == ("a@example.org", "b@example.net")
    assert notice.message_ids == ("abc.1@news.example.com",)
    assert notice.sent_to == ("bounces+t0ken@news.example.com",)


@pytest.mark.parametrize(
    ("action", "status", "outcome", "permanent"),
    [
        ("failed", "5.2.2", None, True),
        ("failed", "4.4.7", None, False),
        ("failed", "", None, None),
        ("Failed (gave up)", "5.0.0", None, True),
        ("delayed", "4.4.1", FeedbackOutcome.DELAYED, False),
        ("delivered", "2.0.0", FeedbackOutcome.DELIVERED, None),
        ("relayed", "2.0.0", FeedbackOutcome.DELIVERED, None),
        ("expanded", "2.0.0", FeedbackOutcome.DELIVERED, None),
        ("", "2.1.5", FeedbackOutcome.DELIVERED, None),
        ("", "5.1.1", None, True),
        ("nonsense", "", None, None),
    ],
)
def test_the_action_is_the_outcome(
    action: str, status: str, outcome: FeedbackOutcome | None, permanent: bool | None
) -> None:
    notice = only(
        report(f"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@example.org\nAction: {action}\nStatus: {status}\n")
    )
    assert (notice.outcome, notice.permanent) == (outcome, permanent)


def test_a_report_on_several_recipients_gives_one_notice_each() -> None:
    groups = [
        f"Final-Recipient: rfc822; {name}@example.org\nAction: failed\nStatus: 5.{number}.1\n"
        for number, name in enumerate("abc", 1)
    ]
    for between in ("\n", ""):
        notices = read_message(report("Reporting-MTA: dns; x\n\n" + between.join(groups)))
        assert [one.addresses for one in notices] == [("a@example.org",), ("b@example.org",), ("c@example.org",)]
        assert [one.reply.enhanced for one in notices] == ["5.1.1", "5.2.1", "5.3.1"]


def test_a_report_on_a_thousand_recipients_gives_a_hundred_notices() -> None:
    group = "Final-Recipient: rfc822; a@example.org\nAction: failed\n\n"
    assert len(read_message(report("Reporting-MTA: dns; x\n\n" + group * 1_000))) == 100


def test_an_international_report_gives_addresses_outside_ascii() -> None:
    fields = (
        "Reporting-MTA: dns; x\n\nOriginal-Recipient: utf-8; m\\x{FC}ller@example.org\n"
        "Final-Recipient: utf-8; müller@example.net\nAction: failed\nStatus: 5.1.1\n"
    )
    notice = only(report(fields, kind="global-delivery-status"))
    assert notice.addresses == ("müller@example.org", "müller@example.net")


def test_a_report_without_words_takes_those_of_the_text() -> None:
    text = "<a@example.org>: host mx.example.org said: 550 5.2.2 over quota"
    notice = only(
        report("Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@example.org\nAction: failed\n", text=text)
    )
    assert notice.reply[:2] == (550, "5.2.2")
    assert "over quota" in notice.reply.text


def test_a_report_without_words_anywhere_has_its_status_and_its_comment() -> None:
    fields = (
        "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@example.org\nAction: failed\nStatus: 4.2.2 (Over quota)\n"
    )
    notice = only(report(fields, text=""))
    assert notice.reply == (0, "4.2.2", "Over quota")


def test_a_refusal_of_the_content_is_known_from_the_text() -> None:
    text = "<a@example.org>: host mx.example.org said:\n    550 Unknown user (in reply to end of DATA\n    command)"
    fields = (
        "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@example.org\nAction: failed\nStatus: 5.0.0\n"
        "Diagnostic-Code: smtp; 550 Unknown user\n"
    )
    assert only(report(fields, text=text)).reply.text.endswith("(in reply to end of DATA)")
    assert "DATA" not in only(report(fields)).reply.text


def test_fields_in_a_plain_text_are_read_as_a_report() -> None:
    raw = (
        b"From: MAILER-DAEMON@example.com\nTo: b@news.example.com\n\nReport:\n\nReporting-MTA: dsn; mx\n\n"
        b"Action: failed\nFinal-Recipient: rfc822; a@example.org\nDiagnostic-Code: smtp; 550 5.3.5 no\nStatus: 5.3.5\n"
    )
    notice = only(raw)
    assert (notice.addresses, notice.reply[:2]) == (("a@example.org",), (550, "5.3.5"))


def test_a_report_that_names_nobody_is_about_whom_the_letter_was_written_to() -> None:
    notice = only(report("Reporting-MTA: dns; x\n", text="Delivery report unavailable"))
    assert (notice.outcome, notice.reply.code, notice.addresses) == (None, 0, ("a@example.org",))


def test_an_envelope_id_is_the_beginning_of_a_message_id() -> None:
    envelope_id = "0123456789abcdef0123456789abcdef01234567"
    fields = "Final-Recipient: rfc822; a@example.org\nAction: failed\n"
    notice = only(report(f"Reporting-MTA: dns; x\nOriginal-Envelope-Id: {envelope_id}\n\n{fields}"))
    assert notice.message_ids == ("abc.1@news.example.com", f"{envelope_id}@envelope-id.invalid")
    notice = only(report(f"Reporting-MTA: dns; x\nOriginal-Envelope-Id: <x@y>\n\n{fields}"))
    assert notice.message_ids == ("abc.1@news.example.com",)


def test_a_report_that_a_person_quotes_is_none() -> None:
    raw = b"From: a@example.org\nSubject: Re: x\n\nFinal-Recipient: rfc822; b@example.org\nAction: failed\n"
    assert only(raw).outcome is FeedbackOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; a@example.org", "a@example.org"),
        ("RFC822;<a@example.org>", "a@example.org"),
        ("a@example.org", "a@example.org"),
        ('rfc822; "a b"@example.org', ""),
        ('rfc822; "a..b"@example.org', '"a..b"@example.org'),
        ("rfc822; @relay.example.net:a@example.org", "a@example.org"),
        ("rfc822; a@example.org (forwarded)", "a@example.org"),
        ("x400; /c=de/a=x/", ""),
        ("rfc822; postmaster", ""),
        ("rfc822; |/usr/bin/vacation a@example.org", ""),
        ("utf-8; \\x{D800}a@example.org", "a@example.org"),
        ("", ""),
    ],
)
def test_an_address_is_one_that_could_be_ours(value: str, address: str) -> None:
    assert address_of(value) == address


def test_hosts_and_dates_are_read_or_nothing() -> None:
    assert host_of("dns; mx.example.com (and more)") == "mx.example.com"
    assert host_of("mx.example.com") == "mx.example.com"
    assert time_of("Thu, 26 Nov 2026 10:00:00 +0100") == 1795683600.0
    for nonsense in (
        "",
        "yesterday",
        "Thu, 99 Nov 2026 10:00:00",
        "Thu, 26 Nov 1901 10:00:00 +0000",
        "1 Jan 99999 0:0 +9999",
    ):
        assert time_of(nonsense) == 0.0
