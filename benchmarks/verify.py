"""Does every peer really send the same letter? A few of each are opened before anything is measured."""

from __future__ import annotations

import email.policy
import tempfile
from email.message import EmailMessage
from html import unescape
from pathlib import Path

from benchmarks import measure, rows
from benchmarks.peers import Peer
from benchmarks.sink import Delivery, Witness

PEOPLE = 8


def faults(peer: Peer) -> list[str]:
    """What is missing from the letters of ``peer``, or arrives for the wrong person. Raises Missing."""
    with tempfile.TemporaryDirectory() as name, Witness(keep=True) as witness:
        usage = measure.run(peer.command(Path(name), witness.port, PEOPLE), cwd=Path(name), limit=120.0)
    if usage.code or len(witness.deliveries) != PEOPLE:
        said = usage.talk.strip().splitlines() or [""]
        return [f"exit code {usage.code}, {len(witness.deliveries)} of {PEOPLE} letters: {said[-1][:200]}"]
    by_address = {one.recipient: one for one in witness.deliveries}
    found = []
    for number in range(PEOPLE):
        row = rows.row(number)
        delivery = by_address.get(row["email"])
        found += [f"nobody wrote to {row['email']}"] if delivery is None else missing(row, delivery, peer.inlines)
    return found


def missing(row: dict[str, object], delivery: Delivery, inlines: bool) -> list[str]:
    """Values and parts that a letter lacks."""
    letter = email.message_from_bytes(unstuffed(delivery.content), policy=email.policy.default)
    assert isinstance(letter, EmailMessage)
    html, text = letter.get_body(("html",)), letter.get_body(("plain",))
    if html is None or text is None:
        return [f"{row['email']}: a part is missing"]
    page, plain = unescape(html.get_content()), text.get_content()
    items = row["items"]
    assert isinstance(items, list)
    wanted = [str(row[name]) for name in ("name", "city", "event", "points", "branch", "agent", "account")]
    wanted += [item["title"] for item in items]
    found = [f"{row['email']}: the HTML lacks {value!r}" for value in wanted if value not in page]
    found += [f"{row['email']}: the text lacks {item['title']!r}" for item in items if item["title"] not in plain]
    if str(row["name"]) not in str(letter["Subject"]):
        found.append(f"{row['email']}: the subject is {letter['Subject']}")
    if "List-Unsubscribe" not in letter:
        found.append(f"{row['email']}: no List-Unsubscribe")
    if inlines and page.count("style=") < 20:
        found.append(f"{row['email']}: styles are not inlined")
    return found


def unstuffed(content: bytes) -> bytes:
    return content.replace(b"\r\n..", b"\r\n.")
