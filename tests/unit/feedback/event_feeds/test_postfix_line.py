"""One line of a Postfix log is understood, or it is passed over; nothing else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.feedback.event_feeds.postfix_line import (
    DeliveryAttempted,
    MessageExpired,
    MessageNamed,
    MessageQueued,
    MessageRemoved,
    PostfixEvent,
    parse_postfix_line,
)
from campaign.model import Reply

OLD = "Nov 28 08:00:01 relay "
NEW = "2026-11-28T08:00:01.123456+01:00 relay "


def parsed(line: str) -> PostfixEvent | None:
    return parse_postfix_line(line.encode())


def delivery(line: str) -> DeliveryAttempted:
    found = parsed(line)
    assert isinstance(found, DeliveryAttempted)
    return found


def attempt(status: str, *, to: str = "to=<jane@example.com>", relay: str = "mx.example.com[192.0.2.1]:25") -> str:
    return f"{OLD}postfix/smtp[9]: 4F0A1B2C3D: {to}, relay={relay}, delay=1.2, delays=0.1/0/0.5/0.6, {status}"


@pytest.mark.parametrize("head", [OLD, NEW])
@pytest.mark.parametrize("queue_id", ["4F0A1", "4F0A1B2C3D", "4ZxQyW3bT0z9Qk1"])
@pytest.mark.parametrize("name", ["postfix", "postfix-out", "postfix/submission", "mailout"])
def test_queue_ids_names_and_times_of_every_form(head: str, queue_id: str, name: str) -> None:
    stamp = head.removesuffix(" relay ").encode()
    assert parsed(f"{head}{name}/cleanup[12]: {queue_id}: message-id=<a.b@example.com>") == MessageNamed(
        queue_id, "a.b@example.com"
    )
    assert parsed(
        f"{head}{name}/qmgr[1]: {queue_id}: from=<b@example.com>, size=99, nrcpt=1 (queue active)"
    ) == MessageQueued(queue_id, stamp)
    assert parsed(f"{head}{name}/qmgr[1]: {queue_id}: removed") == MessageRemoved(queue_id, stamp)


@pytest.mark.parametrize("what", ["status=expired, returned to sender", "status=force-expired, returned to sender"])
def test_an_expiry_has_no_recipient(what: str) -> None:
    line = f"{OLD}postfix/qmgr[1]: 4F0A1B2C3D: from=<b@example.com>, {what}"
    assert parsed(line) == MessageExpired("4F0A1B2C3D", b"Nov 28 08:00:01")


def test_a_message_that_the_operator_deleted_is_removed() -> None:
    assert parsed(f"{OLD}postfix/postsuper[7]: 4F0A1B2C3D: removed") == MessageRemoved("4F0A1B2C3D", b"Nov 28 08:00:01")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            "dsn=5.1.1, status=bounced (host mx[1.2.3.4] said: 550 5.1.1 <j@e>: User unknown (in reply to RCPT TO))",
            Reply(550, "5.1.1", "<j@e>: User unknown"),
        ),
        (
            "dsn=4.7.1, status=deferred (host mx.example.com[192.0.2.1] refused to talk to me: 421 4.7.0 try later)",
            Reply(421, "4.7.1", "try later"),
        ),
        (
            "dsn=4.2.2, status=deferred (delivery temporarily suspended: host a[::1] said: 452-4.2.2 A 452 4.2.2 box)",
            Reply(452, "4.2.2", "A box"),
        ),
        ("dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9F)", Reply(250, "2.0.0", "Ok: queued as 9F")),
        ("dsn=2.0.0, status=sent (delivered to maildir)", Reply(0, "2.0.0", "delivered to maildir")),
        (
            'dsn=2.0.0, status=sent (delivered to command: /usr/bin/procmail -a "x")',
            Reply(0, "2.0.0", 'delivered to command: /usr/bin/procmail -a "x"'),
        ),
        (
            "dsn=4.4.1, status=deferred (connect to mx.example.com[192.0.2.1]:25: Connection refused)",
            Reply(0, "4.4.1", "connect to mx.example.com[192.0.2.1]:25: Connection refused"),
        ),
        ('dsn=5.1.1, status=bounced (unknown user: "jane")', Reply(0, "5.1.1", 'unknown user: "jane"')),
        ("dsn=4.0.0, status=SOFTBOUNCE (host a[1.2.3.4] said: 550 no)", Reply(550, "4.0.0", "no")),
        ("dsn=2.0.0, status=sent", Reply(0, "2.0.0", "")),
    ],
)
def test_the_words_of_the_server_become_the_reply(status: str, expected: Reply) -> None:
    assert delivery(attempt(status)).reply == expected


@pytest.mark.parametrize(
    ("to", "addresses"),
    [
        ("to=<jane@example.com>", ("jane@example.com",)),
        ("to=<jane@example.net>, orig_to=<jane@example.com>", ("jane@example.com", "jane@example.net")),
        ("to=<jane@example.com>, orig_to=<jane@example.com>", ("jane@example.com",)),
        ("to=<jörg@example.com>", ("jörg@example.com",)),
        ("to=<>", ()),
    ],
)
def test_the_original_recipient_comes_first(to: str, addresses: tuple[str, ...]) -> None:
    assert delivery(attempt("dsn=2.0.0, status=sent (ok)", to=to)).addresses == addresses


@pytest.mark.parametrize(
    ("relay", "host"),
    [
        ("mx.example.com[192.0.2.1]:25", "mx.example.com"),
        ("mx.example.com[2001:db8::1]:25, conn_use=3", "mx.example.com"),
        ("none", ""),
        ("local", "local"),
        ("dovecot[private/dovecot-lmtp]", "dovecot"),
    ],
)
def test_the_host_is_the_one_that_was_spoken_to(relay: str, host: str) -> None:
    assert delivery(attempt("dsn=2.0.0, status=sent (ok)", relay=relay)).host == host


def test_the_status_is_folded() -> None:
    assert delivery(attempt("dsn=4.0.0, status=SOFTBOUNCE (no)")).status == "softbounce"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        f"{OLD}postfix/smtpd[3]: connect from localhost[127.0.0.1]",
        f"{OLD}postfix/smtpd[3]: 4F0A1B2C3D: client=localhost[127.0.0.1]",
        f"{OLD}postfix/smtpd[3]: NOQUEUE: reject: RCPT from a[1.2.3.4]: 550 5.1.1 <x@y>: User unknown; to=<x@y>",
        f"{OLD}postfix/cleanup[3]: 4F0A1B2C3D: warning: header Subject: message-id=<forged@example.com>",
        f"{OLD}postfix/cleanup[3]: 4F0A1B2C3D: message-id=<>",
        f"{OLD}postfix/smtpd[3]: 4F0A1B2C3D: message-id=<forged@example.com>",
        f"{OLD}postfix/bounce[3]: 4F0A1B2C3D: sender non-delivery notification: 4F0A1B2C3E",
        f"{OLD}postfix/qmgr[3]: 4F0A1B2C3D: skipped, still being delivered",
        f"{OLD}postfix/qmgr[3]: 4F0A1B2C3D: from=<a@example.com>, size=1, nrcpt=1 (queue corrupt)",
        f"{OLD}postfix/smtp[3]: 4F0A1B2C3D: to=<a@example.com>, relay=none, status=bounced (no dsn)",
        f"{OLD}postfix/smtp[3]: 4F0A1B2C3D: to=<a@example.com",
        f"{OLD}postfix/smtp[3]: warning: to=<a@example.com>, relay=none, dsn=5.1.1, status=bounced (x)",
        f"{OLD}dovecot: imap-login: Aborted: user=<x[1]: ABCDEF: to=<a@b>, relay=none, dsn=5.1.1, status=bounced (x)>",
        f"{OLD}opendkim[3]: 4F0A1B2C3D: removed",
        f"Xx {OLD}postfix/qmgr[1]: 4F0A1B2C3D: removed",
    ],
)
def test_all_other_lines_are_passed_over(line: str) -> None:
    assert parsed(line) is None


def test_undecodable_octets_and_control_characters_are_harmless() -> None:
    line = attempt("dsn=5.1.1, status=bounced (host a[1.2.3.4] said: 550 caf%b \x1b]0;title\x07 \x00)")
    found = parse_postfix_line(line.encode().replace(b"%b", b"\xe9"))
    assert isinstance(found, DeliveryAttempted)
    assert found.reply == Reply(550, "5.1.1", "caf\ufffd ]0;title")


@pytest.mark.parametrize(
    "unit", ["to=<", ">, orig_to=<", "relay=, ", "dsn=5.1.1, ", " said: ", "a/", "[1]: ", "(", " (in reply to "]
)
@pytest.mark.parametrize("before", ["", OLD, attempt("")])
def test_no_line_takes_long(before: str, unit: str) -> None:
    line = (before + unit * 4000).encode()[:8192]
    began = time.process_time()
    for _ in range(10):
        parse_postfix_line(line)
    assert time.process_time() - began < 0.5


PIECES = [
    *(b"to=<", b">, orig_to=<", b">, relay=", b"none, ", b"delay=1, ", b"dsn=5.1.1, ", b"status=bounced (", b" said: "),
    *(b"550 5.1.1 ", b"message-id=<", b"from=<", b"(queue active)", b"removed", b"status=expired, ", b")", b">", b", "),
]


@settings(max_examples=200, deadline=None)
@given(
    daemon=st.sampled_from([b"smtp", b"cleanup", b"qmgr", b"postsuper"]),
    parts=st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=12),
)
def test_no_octets_break_it(daemon: bytes, parts: list[bytes]) -> None:
    found = parse_postfix_line(OLD.encode() + b"postfix/" + daemon + b"[1]: 4F0A1B2C3D: " + b"".join(parts))
    assert found is None or found.queue_id == "4F0A1B2C3D"
    if isinstance(found, DeliveryAttempted):
        assert found.reply.text.isprintable()
