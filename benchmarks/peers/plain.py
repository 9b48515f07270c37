"""Mail merge as people write it in plain Python: CSV, Jinja2, premailer for each row, EmailMessage, and a mail library.

    python plain.py CSV TEMPLATES PORT aiosmtplib|smtplib|ready [DELIVERED]

``aiosmtplib`` sends over 20 connections, ``smtplib`` over one. ``ready`` is no mail merge: it sends one letter made
beforehand to everybody over 20 connections, to see what aiosmtplib alone can do. With a file DELIVERED, addresses are
noted there once their letter is out, and left out at the next start. Runs in an environment of its own and imports
nothing of ours.
"""

import asyncio
import csv
import hashlib
import json
import logging
import smtplib
import sys
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import aiosmtplib
import jinja2
import premailer

CONNECTIONS = 20
SUBJECT = "{{ name }}, Ihr Brief für {{ month }}"


class Writer:
    """Makes the letter of one row."""

    def __init__(self, templates: Path) -> None:
        loader = jinja2.FileSystemLoader(templates)
        html = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        text = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
        self.html = html.get_template("newsletter.html.j2")
        self.text = text.get_template("newsletter.txt.j2")
        self.subject = text.from_string(SUBJECT)

    def write(self, row: dict) -> EmailMessage:
        token = hashlib.sha512(row["email"].encode()).hexdigest()[:72]
        values = {**row, "items": json.loads(row["items"]), "unsubscribe_url": f"https://example.com/u/{token}"}
        message = EmailMessage(policy=SMTP)
        message["From"] = "Ada's Gazette <news@example.com>"
        message["To"] = f'"{row["name"]}" <{row["email"]}>'
        message["Subject"] = self.subject.render(values)
        message["List-Unsubscribe"] = f"<{values['unsubscribe_url']}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(self.text.render(values))
        message.add_alternative(inlined(self.html.render(values)), subtype="html")
        return message


def inlined(html: str) -> str:
    return premailer.Premailer(
        html, strip_important=False, disable_validation=True, cssutils_logging_level=logging.CRITICAL
    ).transform()


def rows(path: str, left_out: set = frozenset()):
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["email"] not in left_out:
                yield row


class Delivered:
    """Who has got the letter, in a file; without a name it remembers nothing."""

    def __init__(self, name: str) -> None:
        self.before = set(Path(name).read_text().split()) if name and Path(name).exists() else set()
        self.file = Path(name).open("a") if name else None  # noqa: SIM115 - open as long as the process lives

    def __call__(self, row: dict) -> None:
        if self.file:
            self.file.write(row["email"] + "\n")
            self.file.flush()


async def send_over_many(source, write, port: int, delivered) -> None:
    waiting = iter(source)

    async def carry() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False) as client:
            for row in waiting:
                await client.send_message(write(row), sender="news@example.com", recipients=[row["email"]])
                delivered(row)

    await asyncio.gather(*(carry() for _ in range(CONNECTIONS)))


async def send_ready(source, letter: bytes, port: int) -> None:
    waiting = iter(source)

    async def carry() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False) as client:
            for row in waiting:
                await client.sendmail("news@example.com", [row["email"]], letter)

    await asyncio.gather(*(carry() for _ in range(CONNECTIONS)))


def send_over_one(source, write, port: int, delivered) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        for row in source:
            client.send_message(write(row), from_addr="news@example.com", to_addrs=[row["email"]])
            delivered(row)


def main() -> None:
    path, templates, port, way = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    delivered = Delivered(sys.argv[5] if len(sys.argv) > 5 else "")
    source, writer = rows(path, delivered.before), Writer(templates)
    if way == "ready":
        letter = writer.write(next(rows(path))).as_bytes()
        asyncio.run(send_ready(source, letter, port))
    elif way == "aiosmtplib":
        asyncio.run(send_over_many(source, writer.write, port, delivered))
    else:
        send_over_one(source, writer.write, port, delivered)


if __name__ == "__main__":
    main()
