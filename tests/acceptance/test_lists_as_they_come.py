"""A list as an office exports it: a title, names with blanks, a column without a name, addresses called E-Mail."""

from __future__ import annotations

import csv
import json

from tests.support.stand import Stand, parsed

EXPORT = """Members of November;;;

E-Mail;First Name;;Member No.
ann@example.com;Ann;;0815
bob@example.com;Bob\x07;;0816
"""


def export(stand: Stand, text: str = EXPORT) -> None:
    stand.write("people.csv", text)
    stand.write("letter.txt", "Dear {{ First_Name }}, you are number {{ Member_No }}.\n")
    del stand.settings["audience"]["display_name"]
    stand.set(audience__source="people.csv", compose__subject="For {{ First_Name }}", audience__key="Member No.")


async def test_the_row_that_names_the_columns_is_told_and_then_the_letters_are_sent(stand: Stand) -> None:
    export(stand)
    (await stand.send()).tells(78, "no column 'email'", step="header_row = 3")
    stand.set(audience__header_row=3)
    ended = (await stand.send()).ends(3, "the addresses are those of the column 'E-Mail'", "column 3 has no name")
    assert ended.code == 3
    (kept,) = stand.kept()
    assert parsed(kept)["Subject"] == "For Ann"
    assert "number 0815" in parsed(kept).get_content()
    with (stand.run / "failed.csv").open(encoding="utf-8", newline="") as file:
        heading, failed = csv.reader(file)
    assert heading[:3] == ["E-Mail", "First Name", "Member No."]
    assert failed[0] == "bob@example.com"


async def test_check_and_preview_list_the_names_that_a_template_may_use(stand: Stand) -> None:
    export(stand, EXPORT.replace("\x07", ""))
    stand.set(audience__header_row=3)
    ended = (await stand.campaign("check", stand.file)).ends(0)
    assert "columns  E_Mail, First_Name, Member_No\n" in ended.out
    assert "note     the addresses are those of the column 'E-Mail'" in ended.out
    digest = json.loads((await stand.campaign("check", stand.file, "--json")).ends(0).out)["digest"]
    assert digest["columns"] == ["E_Mail", "First_Name", "Member_No"]
    ended = (await stand.campaign("preview", stand.file)).ends(0, "column 3 has no name")
    assert "<code>Member_No</code>" in (stand.folder / ended.out.strip()).read_text(encoding="utf-8")


async def test_a_new_run_knows_whom_one_has_served_under_the_headers_own_names(stand: Stand) -> None:
    export(stand, EXPORT.replace("\x07", ""))
    stand.set(audience__header_row=3)
    (await stand.send()).ends(0)
    stand.set(audience__key="Member_No")
    (await stand.send()).ends(0, "Nobody is left")


async def test_an_unsubscribe_token_may_stand_for_a_column_by_its_header(stand: Stand) -> None:
    export(stand, EXPORT.replace("\x07", ""))
    stand.set(
        audience__header_row=3,
        compose__unsubscribe="https://example.com/u/{{ unsubscribe_token }}",
        compose__unsubscribe_id="Member No.",
    )
    (await stand.send()).ends(0)
    assert all("List-Unsubscribe" in parsed(kept) for kept in stand.kept())
