# noqa: INP001 - a folder of data with scripts in it, not a package
# ruff: noqa: T201, S603 - it talks to the person who runs it, and runs this very program
"""What comes back, from one edition to the next: ``make demo-feedback``.

A mail server of our own on a loopback port takes the letters of an edition. Some bounces, a complaint and an
unsubscribe are made up for it, in a Maildir. The real commands read them, and who is left out of the next edition is
shown.
Everything lies in the folder that is named, or in ``runs/feedback-demo`` beside this file, which is emptied first.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "runs" / "feedback-demo"
PEOPLE = [f"{name}@example.com" for name in ("ada", "bob", "cleo", "dan", "eve", "finn", "gwen", "hugo")]
CAMPAIGN = """
[campaign]
name = "demo"
edition = "{edition}"
from = "Ada's Gazette <news@example.com>"
return_path = "bounce+{{token}}@example.com"

[audience]
source = "people.csv"

[compose]
subject = "The news"
text = "letter.txt"
unsubscribe_mailto = "unsub+{{token}}@example.com"

[delivery]
relay = "smtp://127.0.0.1:{port}"

[[feedback.source]]
url = "maildir:bounces"
"""
#: Whose letter comes back, and with which words.
BOUNCES = {
    "bob@example.com": ("5.1.1", "550 5.1.1 <bob@example.com>: no such user here"),
    "dan@example.com": ("5.2.2", "552 5.2.2 <dan@example.com>: mailbox full"),
    "eve@example.com": ("5.7.1", "554 5.7.1 rejected: our filter takes this for spam"),
}
BOUNCE = """From: MAILER-DAEMON@mx.example.net
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <{address}.bounce@mx.example.net>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="cut"

--cut
Content-Type: text/plain

Your letter to {address} could not be delivered.

--cut
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; {address}
Action: failed
Status: {status}
Diagnostic-Code: smtp; {said}

--cut--
"""
COMPLAINT = """From: abuse@mailbox.example
To: news@example.com
Subject: a complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="cut"

--cut
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Demo/1.0
Version: 1

--cut
Content-Type: message/rfc822

{letter}
--cut--
"""


class Relay:
    """Keeps each letter under its recipient, with the envelope's sender."""

    def __init__(self) -> None:
        self.letters: dict[str, tuple[str, str]] = {}

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        """Called by aiosmtpd."""
        content = bytes(envelope.original_content or b"").decode("utf-8", "replace").replace("\r\n", "\n")
        for recipient in envelope.rcpt_tos:
            self.letters[recipient] = (str(envelope.mail_from), content)
        return "250 2.0.0 taken"


def main() -> int:
    """Two editions with a collect in between; 0, or the first exit code that is none of a success."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for place in ("new", "cur", "tmp"):
        (FOLDER / "bounces" / place).mkdir(parents=True)
    (FOLDER / "people.csv").write_text("email\n" + "\n".join(PEOPLE) + "\n", encoding="utf-8")
    (FOLDER / "letter.txt").write_text("Dear reader,\nthe news is good.\n", encoding="utf-8")
    relay = Relay()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(relay, hostname="127.0.0.1", port=port)
    server.start()
    try:
        return _editions(relay, port)
    finally:
        server.stop()


def _editions(relay: Relay, port: int) -> int:
    _write_campaign("first", port)
    code = _run("send", "demo.toml")
    _let_come_back(relay.letters)
    _write_campaign("second", port)
    relay.letters.clear()
    steps = (("collect", "demo.toml"), ("suppression", "demo.toml", "--why", "bob@example.com"), ("send", "demo.toml"))
    for step in steps:
        code = code or _run(*step)
    print(f"\nLeft out of the second edition: {', '.join(sorted(set(PEOPLE) - set(relay.letters)))}")
    print(f"Campaign, list, runs and messages lie in {FOLDER}; the commands above are typed there.")
    return code


def _let_come_back(letters: dict[str, tuple[str, str]]) -> None:
    messages = [
        BOUNCE.format(to=letters[address][0], address=address, status=status, said=said)
        for address, (status, said) in BOUNCES.items()
    ]
    messages.append(COMPLAINT.format(letter=letters["finn@example.com"][1]))
    way_out = letters["gwen@example.com"][1].partition("<mailto:")[2].partition(">")[0]
    messages.append(f"From: gwen@elsewhere.example\nTo: {way_out}\nSubject: no more, please\n\n\n")
    for number, message in enumerate(messages):
        (FOLDER / "bounces" / "new" / f"1.{number}.demo").write_text(message, encoding="utf-8")
    print(f"\n{len(messages)} messages come back.")


def _write_campaign(edition: str, port: int) -> None:
    (FOLDER / "demo.toml").write_text(CAMPAIGN.format(edition=edition, port=port), encoding="utf-8")


def _run(*words: str) -> int:
    print(f"\n$ campaign {' '.join(words)}", flush=True)
    return subprocess.run([sys.executable, "-m", "campaign", *words], cwd=FOLDER, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
