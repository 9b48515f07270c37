"""Bounces told in words, in the forms of the servers that write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from campaign.feedback.messages.bounce_text import split_story
from campaign.feedback.messages.read_message import read_message
from campaign.model import FeedbackOutcome

COPY = "\nReturn-Path: <b@news.example.com>\nMessage-ID: <abc.1@news.example.com>\nTo: a@example.org\n\nHello\n"

EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  a@example.org
    SMTP error from remote mail server after RCPT TO:<a@example.org>:
    host mx.example.org [192.0.2.1]: 550 5.1.1 <a@example.org>... User Unknown
  c@example.org
    SMTP error from remote mail server after RCPT TO:<c@example.org>:
    host mx.example.org [192.0.2.1]: 552 5.2.2 mailbox full

------ This is a copy of the message, including all the headers. ------
"""
QMAIL = """Hi. This is the qmail-send program at mx.example.com.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<a@example.org>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 <a@example.org>: User unknown
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.
"""
GOOGLE = """Delivery to the following recipient failed permanently:

     a@example.org

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the recipient domain.
The error that the other server returned was: 550 550 5.1.1 <a@example.org>... User unknown (state 14).

----- Original message -----
"""
YAHOO = """Sorry, we were unable to deliver your message to the following address.

<a@example.org>:
Remote host said:
550 5.2.2 <a@example.org>... Mailbox Full
[RCPT_TO]

--- Below this line is a copy of the message.
"""
EXCHANGE = """Your message

  To:      a@example.org
  Subject: News
  Sent:    Thu, 26 Nov 2026 10:00:00 +0100

did not reach the following recipient(s):

a@example.org on Thu, 26 Nov 2026 10:00:01 +0100
    The recipient name is not recognized
    MSEXCH:IMS:EXAMPLE:EXAMPLE:MX 0 (000C05A6) Unknown Recipient
"""
SENDMAIL = """   ----- Transcript of session follows -----
While talking to mx.example.org:
>>> RCPT To:<a@example.org>
<<< 550 5.1.1 <a@example.org>, User Unknown
550 <a@example.org>... User unknown
421 example.net (smtp)... Deferred: Connection timed out

   ----- Unsent message follows -----
"""
JAPANESE = (
    "送信できませんでした。\n\na@example.org\n\n-------server message\n550 no such user\n\n-------original message\n"
)
DOMINO = """Your message

  Subject: News

was not delivered to:

  a@example.org

because:

  User Ann (a@example.org) not listed in Domino Directory

"""
COURIER = """           UNDELIVERABLE MAIL

Your message to the following recipients cannot be delivered:

<a@example.org>:
    mx.example.org [192.0.2.1]:
>>> RCPT TO:<a@example.org>
<<< 550 5.1.1 <a@example.org>... User Unknown

"""
GMX = """The following address failed:

<a@example.org>:
SMTP error from remote server after RCPT command:
host: mx.example.org
5.1.1 <a@example.org>... User Unknown

--- The header of the original message is following. ---
"""

FORMS = [
    ("X-Failed-Recipients: a@example.org, c@example.org\n", EXIM, 550, "5.1.1", "User Unknown"),
    ("", QMAIL, 550, "5.1.1", "User unknown"),
    ("X-Failed-Recipients: a@example.org\n", GOOGLE, 550, "5.1.1", "User unknown"),
    ("", YAHOO, 550, "5.2.2", "Mailbox Full"),
    ("", EXCHANGE, 0, "", "recipient name is not recognized"),
    ("", SENDMAIL, 550, "5.1.1", "User Unknown"),
    ("", DOMINO, 0, "", "not listed in Domino Directory"),
    ("", COURIER, 550, "5.1.1", "User Unknown"),
    ("", GMX, 0, "5.1.1", "User Unknown"),
    ("Content-Type: text/plain; charset=utf-8\n", JAPANESE, 550, "", "no such user"),
]


def mail(head: str, text: str, subject: str = "failure notice", sender: str = "MAILER-DAEMON@mx.example.com") -> bytes:
    return f"From: {sender}\nTo: bounces+t0ken@news.example.com\nSubject: {subject}\n{head}\n{text}{COPY}".encode()


@pytest.mark.parametrize(("head", "text", "code", "enhanced", "words"), FORMS)
def test_each_form_gives_address_reply_and_message_id(
    head: str, text: str, code: int, enhanced: str, words: str
) -> None:
    notice = read_message(mail(head, text))[0]
    assert notice.outcome is None
    assert notice.addresses == ("a@example.org",)
    assert notice.reply[:2] == (code, enhanced)
    assert words in notice.reply.text
    assert notice.message_ids == ("abc.1@news.example.com",)
    assert notice.permanent is (True if code or enhanced else None)


def test_each_address_has_the_words_that_follow_it() -> None:
    first, second = read_message(mail("", EXIM))
    assert (second.addresses, second.reply[:2]) == (("c@example.org",), (552, "5.2.2"))
    assert "5.2.2" not in first.reply.text


def test_a_forwarded_address_gives_way_to_the_one_that_the_header_announces() -> None:
    text = EXIM.replace("  a@example.org\n", "  deep@example.net\n").partition("  c@")[0]
    assert read_message(mail("X-Failed-Recipients: a@example.org\n", text))[0].addresses == ("a@example.org",)


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Warning: message 1abc-0001 delayed 24 hours", "has not yet been delivered to:\n\n  a@example.org\n"),
        ("Delivery Status Notification (Delay)", "THIS IS A WARNING MESSAGE ONLY.\n\n  a@example.org\n"),
        ("failure notice", "Delivery attempts will continue for some time.\n\n  a@example.org\n"),
    ],
)
def test_a_warning_says_that_it_is_still_being_tried(subject: str, text: str) -> None:
    notice = read_message(mail("", text, subject))[0]
    assert (notice.outcome, notice.addresses) == (FeedbackOutcome.DELAYED, ("a@example.org",))


def test_an_address_in_a_form_of_no_ones_is_found_by_the_library_or_by_being_the_only_one() -> None:
    for text in (
        "The following recipients did not receive your message:\n\nuser (a@example.org) 550 unknown\n",
        "There was an error delivering your mail to <a@example.org>.\n\nmx did not like our RCPT TO:\n550 5.1.1 no\n",
    ):
        assert read_message(mail("", text))[0].addresses == ("a@example.org",)


def test_our_own_address_and_the_postmasters_are_nobody_who_failed() -> None:
    text = "Help: postmaster@mx.example.com.\n\nbounces+t0ken@news.example.com wrote to a@example.org: 550 no\n"
    assert read_message(mail("", text))[0].addresses == ("a@example.org",)


def test_our_own_address_failed_where_it_is_the_only_one_named() -> None:
    text = QMAIL.replace("a@example.org", "bounces+t0ken@news.example.com")
    assert read_message(mail("", text))[0].addresses == ("bounces+t0ken@news.example.com",)


@pytest.mark.parametrize(
    ("head", "text", "outcome"),
    [
        ("From: a@example.org\nSubject: Re: Delivery failed", "550 5.1.1", FeedbackOutcome.UNKNOWN),
        (
            "From: a@example.org\nSubject: x\nIn-Reply-To: <a@b>",
            "was not delivered: 550 5.1.1",
            FeedbackOutcome.UNKNOWN,
        ),
        ("From: postmaster@example.org\nSubject: hello", "Who are you? a@example.org", FeedbackOutcome.UNKNOWN),
        ("From: postmaster@example.org\nSubject: unsubscribe", "please", FeedbackOutcome.UNSUBSCRIBE),
        ("From: a@example.org\nSubject: unsubscribe", "it could not be delivered", FeedbackOutcome.UNSUBSCRIBE),
        (
            "From: a@example.org\nSubject: Out of office",
            "could not be delivered to b@x.example",
            FeedbackOutcome.AUTOMATIC_REPLY,
        ),
        ("From: postmaster@example.org\nSubject: Re: x\nIn-Reply-To: <a@b>", "550 5.1.1 <b@x.example> no", None),
        ("From: no-reply@example.org\nSubject: Mail", "could not be delivered to <b@x.example>", None),
        ("From: x@example.org\nSubject: Undeliverable: x", "<b@x.example>: nobody", None),
        ("From: MAILER-DAEMON\nSubject: x", "<b@x.example>: nobody", None),
    ],
)
def test_a_person_is_told_from_a_server(head: str, text: str, outcome: FeedbackOutcome | None) -> None:
    (notice,) = read_message(f"{head}\nTo: c@news.example.com\n\n{text}\n".encode())
    assert notice.outcome is outcome


@pytest.mark.parametrize(
    "line",
    [
        "------ This is a copy of the message, including all the headers. ------",
        "--- Below this line is a copy of the message.",
        "   ----- Unsent message follows -----",
        "----- Original message -----",
        "Message headers follow.",
        "Included is a copy of the message header:",
        "------- Returned Message --------",
        "-------original mail info",
        "    Below is a copy of the original message:",
    ],
)
def test_the_copy_begins_below_the_line_that_says_so(line: str) -> None:
    assert split_story(f"It failed.\n{line}\nSubject: x\n") == ("It failed.\n", "\nSubject: x\n")


def test_the_copy_begins_at_its_first_trace_where_no_line_says_so() -> None:
    assert split_story("It failed.\nReceived: from x\n") == ("It failed.\n", "Received: from x\n")
    assert split_story("The original message was received at noon.") == (
        "The original message was received at noon.",
        "",
    )


def test_the_library_is_imported_only_where_it_is_needed() -> None:
    script = "import sys, campaign.feedback.messages.read_message; sys.exit('flufl.bounce' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[4], check=False).returncode == 0
