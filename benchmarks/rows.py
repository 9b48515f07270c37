"""Made-up recipients for the reference message: every row distinct, every run the same, any number of them.

Row ``n`` follows from ``n`` alone, so nothing is kept in memory and no list lies in the repository. About a quarter
reads another edition than ``pro``, which takes the message's other branch. This module writes files; it sends nothing.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GIVEN = ("Ada", "Zoë", "Grace", "Björn", "Edsger", "Łucja", "Barbara", "Søren", "Katherine", "José", "Alan", "Mary")
FAMILY = (
    "Hopper",
    "Müller",
    "Okafor",
    "Lovelace",
    "Nakamura",
    "Dijkstra",
    "Świątek",
    "Liskov",
    "Turing",
    "Jackson",
    "Ng",
)
CITIES = ("Springfield", "Zürich", "Kraków", "Lisboa", "Reykjavík", "Leeds", "Porto", "Graz", "Århus", "Ghent")
EVENTS = ("the book fair", "an evening of maps", "the reading circle", "poems at noon", "the translators' day")
BRANCHES = ("Main Street", "Old Harbour", "Station Square", "North Gate", "Mill Lane", "Castle Hill", "Riverside")
TITLES = ("A Field Guide to Moss", "The Salt Roads", "Notes from a Lighthouse", "Bread & Numbers", "Winter Orchards")
OPENS = ("08:00", "08:30", "09:00", "10:00")
PLANS = ("pro", "pro", "pro", "free")
DOMAINS = ("example.com", "example.net", "example.org", "mail.example.com", "post.example.net")
ITEMS = 5
COLUMNS = (
    "email", "name", "city", "plan", "since", "month", "opens", "event", "points", "worth", "expires", "branch",
    "agent", "account", "items",
)  # fmt: skip


def row(number: int) -> dict[str, Any]:
    """Row ``number``, with ``items`` as a list of tables."""
    at = number * 7 + 3
    return {
        "email": f"reader{number}@{DOMAINS[number % len(DOMAINS)]}",
        "name": f"{GIVEN[at % len(GIVEN)]} {FAMILY[at % len(FAMILY)]} {number}",
        "city": CITIES[at % len(CITIES)],
        "plan": PLANS[number % len(PLANS)],
        "since": f"20{10 + number % 15}-{1 + number % 12:02}-{1 + number % 28:02}",
        "month": "November",
        "opens": OPENS[number % len(OPENS)],
        "event": EVENTS[at % len(EVENTS)],
        "points": str(100 + number % 9000),
        "worth": f"EUR {number % 90}.50",
        "expires": f"2027-{1 + number % 12:02}-{1 + number % 28:02}",
        "branch": BRANCHES[at % len(BRANCHES)],
        "agent": f"{GIVEN[number % len(GIVEN)]} {FAMILY[number % len(FAMILY)]}",
        "account": hashlib.blake2b(number.to_bytes(8, "big"), digest_size=8).hexdigest(),
        "items": [
            {"title": f"{TITLES[(at + item) % len(TITLES)]}, vol. {number % 50 + item}", "price": f"EUR {item + 3}.90"}
            for item in range(ITEMS)
        ],
    }


def unsubscribe_url(address: str) -> str:
    """A personal link as long as ours, for peers that cannot make one themselves."""
    return "https://example.com/u/" + hashlib.sha512(address.encode()).hexdigest()[:72]


def write_csv(path: Path, count: int) -> Path:
    """``count`` rows; the items are JSON in one cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(count):
            values = row(number)
            values["items"] = json.dumps(values["items"], ensure_ascii=False)
            writer.writerow([values[column] for column in COLUMNS])
    return path


def write_flat_csv(path: Path, count: int) -> Path:
    """The same rows for a program that knows only texts: a column for each item's title and price, and the link."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS[:-1], *(name for name, _ in flat_items(row(0))), "unsubscribe_url"])
        for number in range(count):
            values = row(number)
            cells = [values[column] for column in COLUMNS[:-1]]
            writer.writerow([*cells, *(text for _, text in flat_items(values)), unsubscribe_url(values["email"])])
    return path


def flat_items(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """``title1``, ``price1``, ``title2`` … with their texts."""
    for at, item in enumerate(values["items"], 1):
        yield f"title{at}", item["title"]
        yield f"price{at}", item["price"]
