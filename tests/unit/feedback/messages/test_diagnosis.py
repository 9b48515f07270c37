"""The reply that a bounce quotes: its code and its enhanced code, found among other numbers."""

from __future__ import annotations

import pytest

from campaign.feedback.messages.diagnosis import LONGEST, diagnosis, status_of


@pytest.mark.parametrize(
    ("text", "status", "code", "enhanced"),
    [
        ("550 5.1.1 <a@example.org>... User Unknown", "5.1.1", 550, "5.1.1"),
        ("550-5.1.1 The account does not exist. 550 5.1.1 Learn more", "", 550, "5.1.1"),
        ("550 #5.1.0 Address rejected.", "5.0.0", 550, "5.1.0"),
        ("550: 5.2.2 <a@example.org>... Mailbox Full", "", 550, "5.2.2"),
        ("550 User unknown", "5.0.0", 550, "5.0.0"),
        ("host mx.example.org[192.0.2.1] said: 550 5.7.1 no (in reply to RCPT TO command)", "", 550, "5.7.1"),
        ("host 192.0.2.250 [192.0.2.250]: 571 No PTR", "", 571, ""),
        ("remote host 192.0.2.32 said: 550 Unknown user. (#5.5.0)", "", 550, "5.5.0"),
        ("5.1.0 - Unknown address error 550-'5.2.2 <a@example.org>... Mailbox Full'", "5.0.0", 550, "5.2.2"),
        ("Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 User Unknown", "", 550, "5.1.1"),
        ("[Status: Error, ResponseCode 421, , Host not reachable.]", "", 421, ""),
        ("<<< 452 4.2.2 over quota", "", 452, "4.2.2"),
        ("Sorry, no mailbox here by that name. (#5.1.1)", "", 0, "5.1.1"),
        ("connect to mx.example.org[192.0.2.1]:25: Connection timed out", "4.4.1", 0, "4.4.1"),
        ("Could not deliver for the last 432000 seconds; 500 bytes; at 550.12 or 5.1.1.4", "", 500, ""),
        ("554 Blocked", "4.0.0", 554, "4.0.0"),
        ("", "5.4.4", 0, "5.4.4"),
        ("version 2.5.5 of 10.5.0.0", "", 0, ""),
    ],
)
def test_code_and_enhanced_code_are_found(text: str, status: str, code: int, enhanced: str) -> None:
    reply = diagnosis(text, status)
    assert (reply.code, reply.enhanced) == (code, enhanced)


def test_the_words_are_kept_around_the_code_and_cut() -> None:
    reply = diagnosis("x " * 600 + "host mx.example.org said: 550 5.1.1 nobody here " + "y " * 600)
    assert reply.code == 550
    assert "mx.example.org said: 550 5.1.1 nobody here" in reply.text
    assert len(reply.text) == LONGEST
    assert diagnosis("two\r\n\t lines").text == "two lines"


@pytest.mark.parametrize(
    ("value", "status"),
    [("5.1.1", "5.1.1"), ("5.1.1 (bad mailbox)", "5.1.1"), ("4.4.7", "4.4.7"), ("9.1.1", ""), ("failed", ""), ("", "")],
)
def test_a_status_is_read_with_or_without_its_comment(value: str, status: str) -> None:
    assert status_of(value) == status
