"""Messages that come back, made as mail servers and people make them, and a Maildir to put them into."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from pathlib import Path

_NUMBERS = count()


def bounce(
    return_path: str,
    letter: bytes,
    *,
    recipient: str = "",
    status: str = "5.1.1",
    said: str = "550 5.1.1 <{}>: Recipient address rejected: User unknown",
    action: str = "failed",
    whole: bool = False,
    salt: str = "",
) -> bytes:
    """A delivery status notification (RFC 3464) about ``letter``, sent to ``return_path``.

    ``whole``: the letter is brought back, not only its header.
    """
    head, _, _ = letter.partition(b"\r\n\r\n")
    brought = letter if whole else head + b"\r\n"
    kind = "message/rfc822" if whole else "text/rfc822-headers"
    number = salt or str(next(_NUMBERS))
    text = f"""Return-Path: <>
Date: {format_datetime(datetime.now(UTC))}
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: {return_path}
Subject: Undelivered Mail Returned to Sender
Message-Id: <{number}.bounce@mx.example.net>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="cut-{number}"

This is a MIME-encapsulated message.

--cut-{number}
Content-Type: text/plain; charset=us-ascii

I could not deliver your message to {recipient}: {said.format(recipient)}

--cut-{number}
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Remote-MTA: dns; mail.example.org
Diagnostic-Code: smtp; {said.format(recipient)}

--cut-{number}
Content-Type: {kind}

"""
    return text.encode().replace(b"\n", b"\r\n") + brought + f"\r\n--cut-{number}--\r\n".encode()


def complaint(to: str, letter: bytes) -> bytes:
    """A feedback report (RFC 5965) about ``letter``."""
    text = f"""From: fbl@mailbox.example
To: {to}
Subject: FW: complaint
Message-Id: <{next(_NUMBERS)}.fbl@mailbox.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="cut"

--cut
Content-Type: text/plain

This is an email abuse report.

--cut
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1

--cut
Content-Type: message/rfc822

"""
    return text.encode().replace(b"\n", b"\r\n") + letter + b"\r\n--cut--\r\n"


def attached(to: str, letter: bytes) -> bytes:
    """A person's message with ``letter`` attached, as when one is passed on."""
    head = (
        f"From: somebody@example.org\r\nTo: {to}\r\nSubject: look at this\r\nMIME-Version: 1.0\r\n"
        f"Message-ID: <{next(_NUMBERS)}.mail@example.org>\r\n"
        'Content-Type: multipart/mixed; boundary="cut"\r\n\r\n--cut\r\nContent-Type: text/plain\r\n\r\nSee.\r\n'
        "--cut\r\nContent-Type: message/rfc822\r\n\r\n"
    )
    return head.encode() + letter + b"\r\n--cut--\r\n"


def plain_mail(to: str, subject: str, body: str = "hello", more: str = "") -> bytes:
    """A message as a person writes one; ``more`` are further header lines."""
    text = (
        f"From: somebody@example.org\nTo: {to}\nSubject: {subject}\n"
        f"Message-ID: <{next(_NUMBERS)}.mail@example.org>\n{more}\n{body}\n"
    )
    return text.encode().replace(b"\n", b"\r\n")


class Maildir:
    """A Maildir in which messages arrive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("new", "cur", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def put(self, *messages: bytes, place: str = "new") -> None:
        for message in messages:
            name = f"1795855474.M{next(_NUMBERS)}P{os.getpid()}.host"
            (self.folder / place / name).write_bytes(message)

    @property
    def waiting(self) -> list[Path]:
        """Messages that nobody has acknowledged."""
        return [path for name in ("new", "cur") for path in sorted((self.folder / name).iterdir())]

    def kept(self, name: str) -> list[Path]:
        """Messages that were moved into the folder called ``name``."""
        return sorted(path for one in ("new", "cur") for path in (self.folder / f".{name}" / one).glob("*"))
