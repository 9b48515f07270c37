"""Replies are taken out of the lines that quote them: code, enhanced code, words."""

from __future__ import annotations

import time

import pytest

from campaign.feedback.event_feeds.quoted_reply import LONGEST_TEXT, plain_text, quoted_reply
from campaign.model import Reply


@pytest.mark.parametrize(
    ("text", "enhanced", "expected"),
    [
        ("550 5.1.1 <jane@example.com>: no such user", "", Reply(550, "5.1.1", "<jane@example.com>: no such user")),
        ("smtp; 550 5.1.1 user unknown", "", Reply(550, "5.1.1", "user unknown")),
        ("SMTP;550 no such user", "5.1.1", Reply(550, "5.1.1", "no such user")),
        ("x-unix; user unknown", "5.1.1", Reply(0, "5.1.1", "user unknown")),
        ("550 5.7.1 blocked", "5.0.0", Reply(550, "5.0.0", "blocked")),
        ("550 5.7.1 blocked", "nonsense", Reply(550, "5.7.1", "blocked")),
        ("550 #5.1.0 Address rejected", "", Reply(550, "5.1.0", "Address rejected")),
        ("250 2.0.0 Ok: queued as 12345", "2.0.0", Reply(250, "2.0.0", "Ok: queued as 12345")),
        ("5.1.1 no such user", "", Reply(0, "5.1.1", "no such user")),
        ("4.4.7: expired", "", Reply(0, "4.4.7", "expired")),
        ("550", "", Reply(550, "", "")),
        ("5501 elephants", "", Reply(0, "", "5501 elephants")),
        ("199 elephants", "", Reply(0, "", "199 elephants")),
        ("connection refused", "4.4.1", Reply(0, "4.4.1", "connection refused")),
        ("", "", Reply(0, "", "")),
        (
            "550-5.1.1 The account that you tried to reach 550-5.1.1 does not exist. 550 5.1.1 See example.com",
            "",
            Reply(550, "5.1.1", "The account that you tried to reach does not exist. See example.com"),
        ),
        ("550-no 550-such 550 user", "", Reply(550, "", "no such 550 user")),
        ("smtp; 554 mail\x00box\x1b[31m \u202egnp.exe", "", Reply(554, "", "mail box [31m gnp.exe")),
    ],
)
def test_a_reply_is_found(text: str, enhanced: str, expected: Reply) -> None:
    assert quoted_reply(text, enhanced) == expected


def test_long_text_is_cut() -> None:
    assert quoted_reply("550 " + "x" * 100_000).text == "x" * (LONGEST_TEXT - 4)


@pytest.mark.parametrize("unit", ["550-5.1.1 ", "5.", "smtp; ", " ", "\x00", "x-"])
def test_no_text_takes_long(unit: str) -> None:
    began = time.process_time()
    quoted_reply(unit * 200_000)
    assert time.process_time() - began < 0.1


def test_plain_text_has_no_control_and_no_reordering_characters() -> None:
    assert plain_text("a\r\nb\tc\u2028d\u200be\ud800f") == "a b c d e f"
