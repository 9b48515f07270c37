"""What one letter costs to compose: ours, and the same letter by Jinja2 + premailer + EmailMessage for each row.

    python benchmarks/compose.py [--rows 20000] [--plain-rows 100] [--json]

CPU time of one core, best of five runs each; ``scaled`` is what it would be on a core that hashes 100 kB with SHA-256
in 57 us. Both write the same letter: about 5 kB of HTML with 20 rules and a media block, a loop of five, a condition,
twenty paragraphs with values, personal links, a text part, a subject beyond ASCII.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import statistics
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import jinja2
import premailer

from campaign.compose.composer import Brief, Composer
from campaign.config.compose import ComposeSection
from campaign.model import Identity, Letter, Mailbox, Recipient

REFERENCE = Path(__file__).parent / "reference"
SUBJECT = "{{ name }}, Ihr Brief für {{ month }}"
TOKEN = "https://example.com/u/{{ unsubscribe_token }}"
STANDARD = 57.0  #: microseconds for SHA-256 of 100 kB on the core that figures are scaled to
RUNS = 5


def row(number: int) -> dict[str, Any]:
    """Row ``number`` of a made-up list."""
    items = [{"title": f"Book number {number + item}", "price": f"EUR {item}.90"} for item in range(5)]
    return {
        "name": f"Ada Lovelace {number}",
        "city": "Springfield",
        "plan": "pro",
        "since": "2021-04-01",
        "month": "November",
        "opens": "08:30",
        "event": "the book fair",
        "points": 1000 + number,
        "worth": "EUR 12.50",
        "expires": "2026-12-31",
        "branch": "Main Street",
        "agent": "Grace Hopper",
        "account": f"a81k2{number}",
        "items": items,
    }


def recipients(count: int) -> list[Recipient]:
    return [
        Recipient(number, f"reader{number}@example.com", f"reader{number}@example.com", "Ada", number + 2, row(number))
        for number in range(count)
    ]


def composer() -> Composer:
    """The reference campaign."""
    settings = ComposeSection(
        subject=SUBJECT, html="newsletter.html.j2", text="newsletter.txt.j2", unsubscribe=TOKEN, root=Path()
    )
    identity = Identity("gazette", "2026-11", 1, b"a secret of thirty-two octets :-)")
    sender = Mailbox("Ada's Gazette", "news@example.com")
    return Composer(Brief(identity, sender, None, None, settings, REFERENCE, tuple(row(0))))


def plain() -> Callable[[Recipient], bytes]:
    """The usual way: every step for every row."""
    html = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FileSystemLoader(REFERENCE)
    )
    text = jinja2.Environment(undefined=jinja2.StrictUndefined, loader=jinja2.FileSystemLoader(REFERENCE))
    html_page, text_page = html.get_template("newsletter.html.j2"), text.get_template("newsletter.txt.j2")
    subject, link = text.from_string(SUBJECT), text.from_string(TOKEN)

    def compose(recipient: Recipient) -> bytes:
        token = hashlib.sha256(recipient.address.encode()).hexdigest() + "x" * 26
        url = link.render(unsubscribe_token=token)
        variables = {**recipient.row, "unsubscribe_url": url}
        message = EmailMessage(policy=SMTP.clone(max_line_length=998))
        message["From"], message["To"] = "Ada's Gazette <news@example.com>", recipient.address
        message["Subject"] = subject.render(variables)
        message["Message-ID"] = f"<{token[:40]}@example.com>"
        message["Date"] = "Tue, 24 Nov 2026 08:00:00 +0000"
        message["List-Unsubscribe"] = f"<{url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(text_page.render(variables))
        inlined = premailer.Premailer(
            html_page.render(variables),
            strip_important=False,
            disable_validation=True,
            cssutils_logging_level=logging.CRITICAL,
            allow_network=False,
        ).transform(pretty_print=False)
        message.add_alternative(inlined, subtype="html")
        return message.as_bytes()

    return compose


def cost(compose: Callable[[Recipient], Any], people: list[Recipient]) -> float:
    """Microseconds of CPU for one recipient, best of the runs."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        for recipient in people:
            compose(recipient)
        best = min(best, (time.process_time() - began) / len(people) * 1e6)
    return best


def speed_of_core() -> float:
    """How this core compares with the standard one: 1.0 is equal, 0.5 half as fast."""
    octets, times, rounds = b"x" * 100_000, [], 100
    for _ in range(15):
        began = time.process_time()
        for _ in range(rounds):
            hashlib.sha256(octets).digest()
        times.append((time.process_time() - began) / rounds * 1e6)
    return STANDARD / statistics.median(times)


def measure(rows: int, plain_rows: int) -> dict[str, Any]:
    """All the figures, with the sizes of both letters."""
    made, usual, people = composer(), plain(), recipients(rows)
    ours = made.compose(people[0], 1.7e9)
    if not isinstance(ours, Letter):
        raise SystemExit(ours.reason)
    core = speed_of_core()
    ours_cost = cost(lambda one: made.compose(one, 1.7e9), people)
    plain_cost = cost(usual, people[:plain_rows])
    return {
        "letter_octets": len(ours.content),
        "plain_octets": len(usual(people[0])),
        "inliner_runs": made.inliner_runs,
        "rows": rows,
        "core": round(core, 3),
        "us_per_letter": round(ours_cost, 1),
        "us_per_letter_scaled": round(ours_cost * core, 1),
        "us_per_plain_letter": round(plain_cost, 1),
        "times_less": round(plain_cost / ours_cost, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--plain-rows", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rows, options.plain_rows)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"letter                  {figures['letter_octets']:,} octets ({figures['plain_octets']:,} the usual way)")
    print(f"composed                {figures['us_per_letter']} us, scaled {figures['us_per_letter_scaled']} us")
    print(f"Jinja2 + premailer + EmailMessage per row  {figures['us_per_plain_letter']} us")
    print(f"that is {figures['times_less']} times less; the inliner ran {figures['inliner_runs']} time(s)")


if __name__ == "__main__":
    main()
