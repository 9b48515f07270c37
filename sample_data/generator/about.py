"""`ABOUT.md`: what each file is, every planted row with its line and its fate, and the books that must come out."""

from __future__ import annotations

import csv
import tomllib
import unicodedata
from collections import Counter
from pathlib import Path
from string import Template

from generator import shop
from generator.recipients import RECORDS, Placed

HERE = Path(__file__).parent


def write(folder: Path, placed: list[Placed]) -> None:
    """Writes the page into ``folder``, where `recipients.csv` lies already."""
    fates = Counter(one.planted.fate for one in placed)
    away = sum(fates[fate] for fate in ("invalid", "duplicate", "suppressed", "filtered"))
    on_call = _on_call()
    page = Template((HERE / "about.md").read_text(encoding="utf-8")).substitute(
        peoples=len(tomllib.loads((HERE / "people.toml").read_text(encoding="utf-8"))),
        scripts=len(_scripts(folder / "recipients.csv")),
        planted=len(placed),
        customers=len(shop.CUSTOMERS),
        invoices=len(shop.INVOICES),
        november=sum(invoice.issued >= "2026-11" for invoice in shop.invoices()),
        october=sum(invoice.issued < "2026-11" for invoice in shop.invoices()),
        called=len(on_call),
        awake=on_call.count("yes"),
        asleep=on_call.count("no"),
        read=RECORDS,
        planned=RECORDS - away,
        accepted=RECORDS - away - fates["unrenderable"],
        utf8=sum("SMTPUTF8" in one.planted.about for one in placed),
        rows="\n".join(_row(one) for one in sorted(placed, key=lambda one: one.line)),
        **{fate: fates[fate] for fate in ("invalid", "duplicate", "suppressed", "filtered", "unrenderable")},
    )
    (folder / "ABOUT.md").write_text(page, encoding="utf-8")


def _row(placed: Placed) -> str:
    return f"| {placed.line} | {placed.planted.fate} | {_shown(placed.address)} | {placed.planted.about} |"


def _shown(address: str) -> str:
    """The address as code: what cannot be seen is written as an escape, what is endless is cut."""
    if not address:
        return "(empty)"
    visible = "".join(
        f"\\u{ord(one):04x}" if unicodedata.category(one) in ("Cc", "Cf", "Mn") else one for one in address
    )
    return f"`{visible if len(visible) <= 60 else visible[:40] + '…' + visible[-16:]}`"


def _scripts(file: Path) -> set[str]:
    """The scripts in which names and cities are written, by the first words of Unicode's names of letters."""
    with file.open(encoding="utf-8", newline="") as stream:
        text = "".join(row[1] + row[2] for row in csv.reader(stream) if len(row) > 2)
    letters = {one for one in text if unicodedata.category(one) in ("Ll", "Lu", "Lo")}
    scripts = {unicodedata.name(one).split()[0].split("-")[0] for one in letters}
    return scripts - {"FULLWIDTH", "MASCULINE", "FEMININE"}


def _on_call() -> list[str]:
    with (HERE.parent / "oncall.csv").open(encoding="utf-8", newline="") as stream:
        return [row["on_call"] for row in csv.DictReader(stream)]
