"""An Excel list as people have them reaches the mailbox with one failed check, whose message was enough."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import openpyxl

from tests.support.stand import Stand, parsed, recipient


def workbook(path: Path) -> None:
    """Title lines, blank names, a nameless column, local dates and numbers, several addresses, one far cell."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Kundenliste"])
    sheet.append(["Stand: November", None, None, "vertraulich"])
    sheet.append([])
    sheet.append(["E-Mail", "Vorname", None, "Kunde seit", "Umsatz"])
    for number in range(12):
        sheet.append([f"p{number}@example.com", f"P{number}", None, f"{number + 1:02}.11.1980", f"1.{number:03},50"])
    sheet["A6"] = "Anna <anna@example.com>; ben@example.com"
    sheet["A7"] = "mailto:cleo@example.com"
    sheet["ZZ40"] = "x"
    book.save(path)


async def test_one_failed_check_names_all_settings_and_then_the_letters_are_sent(stand: Stand) -> None:
    workbook(stand.folder / "kunden.xlsx")
    stand.write("letter.txt", "Liebe(r) {{ Vorname }}, {{ Kunde_seit.year }}, {{ Umsatz + 1 }}\n")
    del stand.settings["audience"]["display_name"]
    columns = {"Kunde seit": "date", "Umsatz": "number"}
    stand.set(
        audience__source="kunden.xlsx", audience__columns=columns, compose__subject="Post", delivery__relay="mailbox"
    )
    failed = (await stand.campaign("check", stand.file)).tells(78, step="write these 3 lines under [audience]")
    lines = re.findall(r"^  (\w+ = .+)$", failed.err.partition("Next: ")[2], re.MULTILINE)
    stand.set(**{f"audience__{name}": value for name, value in tomllib.loads("\n".join(lines)).items()})
    checked = (await stand.campaign("check", stand.file)).ends(0)
    assert "13 rows + 1 further address: 13 planned; 1 invalid" in checked.out
    (await stand.send()).ends(0, "13 rows read + 1 further address = 1 invalid + 13 planned")
    letters = {recipient(kept): parsed(kept).get_content() for kept in stand.kept()}
    assert len(letters) == 13
    assert letters["ben@example.com"] == "Liebe(r) P1, 1980, 1002.5\r\n"


async def test_check_and_send_name_all_settings_also_where_some_rows_can_be_used(stand: Stand) -> None:
    good = "".join(f"p{number}@example.com,P,2026-01-{number + 10}\n" for number in range(6))
    bad = "".join(f"q{number}@example.com; r{number}@example.com,Q,2026-02-01\n" for number in range(4))
    stand.write("people.csv", f"email,name,since\n{good}{bad}s@example.com,S,unknown\n")
    stand.set(audience__columns={"since": "date"})
    step = "set split_addresses = true under [audience]"
    assert step in (await stand.campaign("check", stand.file)).ends(78).out
    (await stand.send()).tells(65, step=step)
    stand.write(
        "people.csv", f"email,name,since\n{good}{bad}".replace("2026-01-1", "1.1.198").replace("2026-02-01", "1.2.1980")
    )
    (await stand.send()).tells(65, step="write these 2 lines under [audience]")
    dated = "".join(f"t{number}@example.com,T,{number + 10}.11.1980\n" for number in range(3))
    rows = "".join(f"p{number}@example.com,P,\n" for number in range(6))
    several = "".join(f"q{number}@example.com; r{number}@example.com,Q,\n" for number in range(4))
    stand.write("people.csv", f"email,name,since\n{rows}{several}{dated}")
    checked = (await stand.campaign("check", stand.file)).ends(78)
    assert 'split_addresses = true and columns = { since = "date:%d.%m.%Y" }' in " ".join(checked.out.split())
