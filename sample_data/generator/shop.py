"""`shop.sqlite`: the customers and invoices of the observatory's little shop."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
create table customer (
    customer_id integer primary key, name text not null, email text not null, city text not null, country text not null
);
create table invoice (
    invoice_id text primary key, customer_id integer not null references customer,
    issued text not null, due text not null
);
create table line (
    invoice_id text not null references invoice, position integer not null, article text not null,
    quantity integer not null, unit_cents integer not null, primary key (invoice_id, position)
);
"""

CUSTOMERS = [
    (1, "Grundschule am Sternplatz", "sekretariat@schule.example", "Görlitz", "DE"),
    (2, "Zoë Müller", "zoe.mueller@bücher.example", "München", "DE"),
    (3, "François Lefèvre", "f.lefevre@example.org", "Besançon", "FR"),
    (4, "Íñigo Ibáñez", "inigo@mañana.example", "Cádiz", "ES"),
    (5, "Conceição Araújo", "conceicao.araujo@example.net", "Évora", "PT"),
    (6, "Siobhán O’Brien", "siobhan@example.com", "Dún Laoghaire", "IE"),
    (7, "Åsa Ångström", "asa@räksmörgås.test", "Umeå", "SE"),
    (8, "Søren Ørsted", "s.orsted@example.com", "Ærøskøbing", "DK"),
    (9, "Þórdís Jónsdóttir", "thordis@norðurljós.example", "Ísafjörður", "IS"),
    (10, "Niccolò D’Angelo", "niccolo.dangelo@example.org", "Forlì", "IT"),
    (11, "Jennifer Null", "jennifer.null@example.com", "Whangarei", "NZ"),
    (12, "Žofie Šimánková & Daughters", "zofie@example.org", "Tábor", "CZ"),
]

ARTICLES = {
    "planisphere": ("Planisphere, turns for any evening of the year", 1450),
    "torch": ("Red-light torch", 990),
    "atlas": ("Pocket atlas of the brighter nebulae", 1890),
    "ticket": ("Evening under the dome, one seat", 1200),
    "class": ("Evening under the dome, school class", 9500),
    "blanket": ("Wool blanket, dark blue", 4250),
    "cocoa": ("Cocoa, the strong one, 250 g", 680),
    "moon": ("Moon globe, 16 cm", 3900),
    "chart": ("Wall chart: the Moon with 300 names", 1600),
    "telescope": ("Table telescope 114/500, looked after for life", 24900),
    "meteorite": ("Iron meteorite, a crumb, with certificate", 2750),
}

#: Invoice number, customer, day of issue in 2026, and what was bought. The last three are October's.
INVOICES = [
    (1101, 1, "11-02", {"class": 2}),
    (1102, 1, "11-09", {"planisphere": 28, "torch": 28}),
    (1103, 1, "11-16", {"class": 1, "cocoa": 6}),
    (1104, 1, "11-20", {"chart": 4, "moon": 1, "atlas": 2, "torch": 2, "blanket": 1}),
    (1105, 2, "11-03", {"ticket": 2, "cocoa": 1}),
    (1106, 2, "11-18", {"blanket": 2}),
    (1107, 3, "11-04", {"atlas": 1}),
    (1108, 4, "11-04", {"telescope": 1, "torch": 1, "planisphere": 1}),
    (1109, 5, "11-05", {"moon": 1, "chart": 1}),
    (1110, 6, "11-06", {"meteorite": 1}),
    (1111, 6, "11-13", {"ticket": 4}),
    (1112, 7, "11-07", {"blanket": 1, "cocoa": 3}),
    (1113, 8, "11-10", {"planisphere": 1}),
    (1114, 8, "11-19", {"telescope": 1}),
    (1115, 9, "11-11", {"atlas": 2, "chart": 1, "torch": 1}),
    (1116, 10, "11-12", {"moon": 1}),
    (1117, 10, "11-17", {"ticket": 2, "blanket": 2, "cocoa": 2}),
    (1118, 11, "11-14", {"torch": 3, "meteorite": 2}),
    (1119, 12, "11-15", {"telescope": 3, "planisphere": 10, "atlas": 10, "chart": 10}),
    (1120, 12, "11-20", {"cocoa": 12}),
    (1031, 3, "10-29", {"ticket": 1}),
    (1032, 7, "10-30", {"torch": 1}),
    (1033, 12, "10-31", {"class": 1}),
]


@dataclass(frozen=True)
class Line:
    """One position of an invoice; money in cents."""

    article: str
    quantity: int
    unit_cents: int

    @property
    def cents(self) -> int:
        """What the position comes to."""
        return self.quantity * self.unit_cents


@dataclass(frozen=True)
class Invoice:
    """An invoice with everything that its PDF shows; days as ISO dates."""

    number: str
    customer: tuple[int, str, str, str, str]
    issued: str
    due: str
    lines: tuple[Line, ...]

    @property
    def cents(self) -> int:
        """The total."""
        return sum(line.cents for line in self.lines)


def invoices() -> list[Invoice]:
    """All invoices of the shop."""
    customers = {customer[0]: customer for customer in CUSTOMERS}
    return [
        Invoice(
            f"INV-2026-{number}",
            customers[customer],
            f"2026-{day}",
            f"2026-{int(day[:2]) + 1:02d}-{int(day[3:]):02d}" if day != "10-31" else "2026-11-30",
            tuple(Line(ARTICLES[code][0], quantity, ARTICLES[code][1]) for code, quantity in bought.items()),
        )
        for number, customer, day, bought in INVOICES
    ]


def write(folder: Path) -> None:
    """Writes the database afresh. Its bytes depend on the version of SQLite, its content does not."""
    path = folder / "shop.sqlite"
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executescript(SCHEMA)
        database.executemany("insert into customer values (?, ?, ?, ?, ?)", CUSTOMERS)
        for invoice in invoices():
            row = (invoice.number, invoice.customer[0], invoice.issued, invoice.due)
            database.execute("insert into invoice values (?, ?, ?, ?)", row)
            database.executemany(
                "insert into line values (?, ?, ?, ?, ?)",
                [
                    (invoice.number, at, line.article, line.quantity, line.unit_cents)
                    for at, line in enumerate(invoice.lines, 1)
                ],
            )
