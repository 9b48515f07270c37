"""OpenDocument sheets, as LibreOffice writes them, are read as Excel's are: dates, results of formulas, guards."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from campaign.audience.plan.plan_reader import freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.source_factory import open_source
from campaign.config.audience import AudienceSection
from campaign.errors import InputError
from tests.support.sheets import ods_row, open_document

P = "<text:p>{}</text:p>"


def typed(kind: str, attributes: str, shown: str) -> str:
    return f'<table:table-cell office:value-type="{kind}" {attributes}>{P.format(shown)}</table:table-cell>'


def rows(path: Path) -> list[list[object]]:
    source = open_source(AudienceSection(source=path.name), path.parent)
    return [list(row) for chunk in source.chunks() for row in chunk.rows]


def test_cells_keep_their_types_and_a_formula_is_its_result(tmp_path: Path) -> None:
    cells = (
        typed("string", "", "a@example.com")
        + typed("string", "", "007")
        + typed("float", 'office:value="7"', "7,00")
        + typed("float", 'office:value="12.5"', "12,50")
        + typed("date", 'office:date-value="2026-01-02"', "02.01.26")
        + typed("boolean", 'office:boolean-value="true"', "WAHR")
        + typed("float", 'table:formula="of:=[.C2]*3" office:value="21"', "21")
    )
    header = ods_row("email", "code", "count", "price", "since", "active", "total")
    path = open_document(tmp_path / "people.ods", header, f"<table:table-row>{cells}</table:table-row>")
    (row,) = rows(path)
    assert row == ["a@example.com", "007", 7, 12.5, date(2026, 1, 2), True, 21]
    assert [type(value) for value in row] == [str, str, int, float, date, bool, int]


def test_rows_are_numbered_as_in_the_sheet(tmp_path: Path) -> None:
    blank = '<table:table-row table:number-rows-repeated="2"><table:table-cell/></table:table-row>'
    path = open_document(tmp_path / "people.ods", ods_row("email"), blank, ods_row("nobody"), ods_row("b@example.com"))
    plan = freeze(AudienceSection(source=path.name), tmp_path, tmp_path, suppression=Suppression())
    assert (plan.books.invalid, plan.recipient(0).line) == (1, 5)
    assert "people.ods,4,nobody,invalid" in (tmp_path / "screened.csv").read_text()


@pytest.mark.parametrize("data", [b"", b"email\na@example.com\n", b"PK\x03\x04 torn"])
def test_a_file_that_is_no_sheet_ends_in_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "people.ods").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as a workbook") as caught:
        rows(tmp_path / "people.ods")
    assert caught.value.next_step
