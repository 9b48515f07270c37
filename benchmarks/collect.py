"""How fast `campaign collect` reads bounces, and what memory it takes: a Maildir of them about one run.

    python -m benchmarks.collect [--messages 10000 100000] [--by return-path|message-id]

The run and its plan are real and no letter is sent; each bounce is a delivery status notification of about 3 kB with
the letter's header, one for each recipient. The figures are those of the command, start and follow-up included.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import measure, ours, sink

DSN = """Return-Path: <>
Received: from mx.example.net (mx.example.net [192.0.2.1])
\tby mail.example.com (Postfix) with ESMTPS id {number:010X}
\tfor <{to}>; Sat, 28 Nov 2026 08:00:00 +0000 (UTC)
Date: Sat, 28 Nov 2026 08:00:00 +0000
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-Id: <{number}.bounce@mx.example.net>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{number}.1764316800/mx.example.net"

This is a MIME-encapsulated message.

--{number}.1764316800/mx.example.net
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.example.net.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

                   The mail system

<{address}>: host mail.example.org[192.0.2.7] said: 550 5.1.1 <{address}>:
    Recipient address rejected: User unknown in virtual mailbox table (in reply
    to RCPT TO command)

--{number}.1764316800/mx.example.net
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
X-Postfix-Queue-ID: {number:010X}
X-Postfix-Sender: rfc822; {to}
Arrival-Date: Sat, 28 Nov 2026 07:59:58 +0000 (UTC)

Final-Recipient: rfc822; {address}
Original-Recipient: rfc822;{address}
Action: failed
Status: 5.1.1
Remote-MTA: dns; mail.example.org
Diagnostic-Code: smtp; 550 5.1.1 <{address}>: Recipient address rejected: User
    unknown in virtual mailbox table

--{number}.1764316800/mx.example.net
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

Return-Path: <{to}>
From: Ada's Gazette <news@example.com>
To: {address}
Subject: The news of this week
Date: Sat, 28 Nov 2026 07:59:57 +0000
Message-ID: {message_id}
List-Unsubscribe: <https://example.com/u/nobody>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="=_0123456789abcdef"

--{number}.1764316800/mx.example.net--
"""
BY = ("return-path", "message-id")


def messages_a_second(count: int, by: str = "return-path") -> dict[str, Any]:
    """Collect ``count`` bounces; the keys they are found ``by`` decide what has to be looked up."""
    with tempfile.TemporaryDirectory() as name:
        file = lay_out(Path(name), count, by)
        used = measure.run([*ours.CAMPAIGN, "collect", file, "--json"], cwd=sink.ROOT)
        found = json.loads(used.talk.splitlines()[-1]) if used.code == 0 else {"new": 0}
        left = len(os.listdir(Path(name) / "bounces" / "new"))  # noqa: PTH208 - a hundred thousand names
    if used.code or left or found["new"] != count or found["not_recognised"]:
        raise SystemExit(f"not all were collected: {used.talk}")
    return {
        "messages": count,
        "by": by,
        "a_second": round(count / used.cpu),
        "wall": used.wall,
        "cpu": used.cpu,
        "memory": used.memory,
    }


def lay_out(folder: Path, count: int, by: str) -> Path:
    """A campaign with one run of ``count`` recipients, and a bounce of each in the Maildir ``bounces``."""
    from campaign.compose.mime.header_values import message_ids
    from campaign.compose.tokens.recipient_token import RecipientTokens
    from campaign.config import load
    from campaign.ledger import run_folder
    from campaign.model import Books
    from campaign.pipeline.command_context import Options, prepare
    from campaign.pipeline.start.choose_run import choose

    file = ours.Setup().lay_out(folder, 9, count)
    with file.open("a", encoding="utf-8") as settings:
        settings.write('[[feedback.source]]\nurl = "maildir:bounces"\n')
    job = prepare(load(file))
    run_folder.make_folder(job.folder)
    chosen = choose(job, Options())
    assert not isinstance(chosen, Books)
    trace = json.loads((chosen.folder / "checkpoint.journal").read_bytes().split(b"\n")[0][9:])["trace"]
    tokens, named = RecipientTokens(job.secret, "return path"), message_ids(job.identity(1), "example.com")
    place = folder / "bounces"
    for one in ("new", "cur", "tmp"):
        (place / one).mkdir(parents=True)
    for number, (key, address) in enumerate(chosen.plan.keys_and_addresses()):
        to = f"bounce+{tokens.token(trace, number)}@example.com" if by == BY[0] else "news@example.com"
        text = DSN.format(number=number, to=to, address=address, message_id=named(key))
        (place / "new" / f"1764316800.M{number}P1.host").write_bytes(text.encode("ascii"))
    return file


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collect", description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, nargs="+", default=[10_000, 100_000], metavar="N")
    parser.add_argument("--by", choices=BY, default=BY[0], help="the key by which recipients are found")
    options = parser.parse_args()
    for count in options.messages:
        print(json.dumps(messages_a_second(count, options.by)), flush=True)


if __name__ == "__main__":
    main()
