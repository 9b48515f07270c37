"""A workbook that asks for more than a machine has ends in a sentence, which names the cell that asks for it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from campaign.audience.sources.source_factory import open_source
from campaign.audience.sources.spreadsheets import spreadsheet_child, spreadsheet_far_cells, spreadsheet_process
from campaign.audience.sources.spreadsheets.spreadsheet_far_cells import far_cells
from campaign.audience.sources.spreadsheets.spreadsheet_process import opened_sheet
from campaign.config.audience import AudienceSection
from campaign.errors import InputError, InternalError
from tests.support.sheets import cell, excel, ods_row, open_document

HEADER = f'<row r="1">{cell("A1", "email")}{cell("B1", "name")}</row>'
ANN = f'<row r="2">{cell("A2", "a@example.com")}{cell("B2", "Ann")}</row>'


def refusal(path: Path, **settings: str) -> InputError:
    with pytest.raises(InputError) as caught:
        list(open_source(AudienceSection(source=path.name, **settings), path.parent).chunks())  # type: ignore[arg-type]
    assert caught.value.next_step
    return caught.value


def test_one_forgotten_cell_at_the_edge_ends_in_a_sentence_that_names_it(tmp_path: Path) -> None:
    stray = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    error = refusal(excel(tmp_path / "people.xlsx", HEADER, ANN, stray))
    assert "too large" in error.what
    assert error.evidence[:2] == (
        "cell XFD1048576 lies far right of the other columns, which end at B",
        "cell XFD1048576 lies far below the other rows, which end at row 2",
    )


def test_the_cell_is_named_where_the_stray_one_comes_first(tmp_path: Path) -> None:
    first = f'<row r="1">{cell("A1", "email")}{cell("XFD1", "x")}</row>'
    last = f'<row r="900000">{cell("A900000", "b@example.com")}</row>'
    error = refusal(excel(tmp_path / "people.xlsx", first, ANN, last))
    assert error.evidence[0] == "cell XFD1 lies far right of the other columns, which end at B"
    assert error.evidence[1] == "cell A900000 lies far below the other rows, which end at row 2"


def test_a_small_stray_rectangle_is_read_and_the_stray_row_set_aside(tmp_path: Path) -> None:
    stray = f'<row r="40">{cell("ZZ40", "x")}</row>'
    excel(tmp_path / "people.xlsx", HEADER, ANN, stray)
    (chunk,) = open_source(AudienceSection(source="people.xlsx"), tmp_path).chunks()
    assert chunk.rows == [["a@example.com", "Ann"]]
    assert [bad.line for bad in chunk.bad] == [40]


def test_cells_that_are_only_formatted_are_not_called_far(tmp_path: Path) -> None:
    formatted = '<row r="1048576"><c r="XFD1048576" s="0"/></row>'
    path = excel(tmp_path / "people.xlsx", HEADER, ANN, formatted)
    assert far_cells(path, "") == []
    assert len(list(open_source(AudienceSection(source="people.xlsx"), tmp_path).chunks())) == 1


def test_cells_without_a_place_are_counted_from_their_neighbours(tmp_path: Path) -> None:
    path = excel(
        tmp_path / "people.xlsx", "<row><c><v>1</v></c></row>", '<row r="500"><c><v>1</v></c><c><v>1</v></c></row>'
    )
    assert far_cells(path, "People") == ["cell A500 lies far below the other rows, which end at row 1"]


def test_memory_is_bounded_whatever_the_file_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet_process, "MEMORY", 400 << 20)
    wide = "".join(f'<row r="{n}">{cell(f"A{n}", "x")}{cell(f"XFD{n}", "x")}</row>' for n in range(1, 2000))
    assert "too large" in refusal(excel(tmp_path / "people.xlsx", wide)).what


def test_strings_that_unpack_to_more_than_memory_end_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheet_process, "MEMORY", 400 << 20)
    strings = f"<sst><si><t>{'x' * (1 << 20)}</t></si></sst>"
    shared = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 1000))
    assert "too large" in refusal(excel(tmp_path / "people.xlsx", shared, sharedStrings=strings)).what


def test_a_count_that_no_memory_holds_ends_in_a_sentence(tmp_path: Path) -> None:
    strings = '<sst uniqueCount="1000000000000000000"><si><t>x</t></si></sst>'
    assert "workbook" in refusal(excel(tmp_path / "people.xlsx", HEADER, ANN, sharedStrings=strings)).what


def test_an_open_document_with_a_far_cell_names_it(tmp_path: Path) -> None:
    far = '<table:table-row><table:table-cell table:number-columns-repeated="15999"/>'
    far += '<table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell></table:table-row>'
    path = open_document(
        tmp_path / "people.ods", ods_row("email"), ods_row("a@example.com"), ods_row(repeated=900_000), far
    )
    error = refusal(path)
    assert error.evidence[0] == "cell WQJ900003 lies far right of the other columns, which end at A"


def test_repeated_rows_of_an_open_document_are_no_gap(tmp_path: Path) -> None:
    path = open_document(tmp_path / "people.ods", ods_row("email"), ods_row("a@example.com", repeated=5000))
    assert far_cells(path, "") == []


def test_nothing_is_told_of_a_file_that_cannot_be_looked_into(tmp_path: Path) -> None:
    (tmp_path / "people.xls").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    assert far_cells(tmp_path / "people.xls", "") == []


def test_a_tag_without_end_is_not_parsed_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet_far_cells, "LONGEST_TAG", spreadsheet_far_cells.PIECE)
    path = excel(tmp_path / "people.xlsx", HEADER, f'<row r="500" x="{"x" * 500_000}"><c r="A500"><v>1</v></c></row>')
    assert far_cells(path, "") == []


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", InputError, "too large"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", InputError, "too large"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", InputError, "cannot be read as a workbook"),
        ("raise SystemError('nobody foresaw this')", InternalError, "nobody foresaw this"),
    ],
)
def test_however_the_reading_process_ends_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception], told: str
) -> None:
    child = tmp_path.joinpath(*spreadsheet_child.__name__.split(".")).with_suffix(".py")
    child.parent.mkdir(parents=True)
    for folder in [one for one in child.parents if one.is_relative_to(tmp_path / "campaign")]:
        (folder / "__init__.py").touch()
    child.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error, match=told), opened_sheet(tmp_path / "people.xlsx", ""):
        pass


def test_a_reading_process_does_not_outlive_its_use(tmp_path: Path) -> None:
    path = excel(tmp_path / "people.xlsx", HEADER, *[ANN] * 50_000)
    with opened_sheet(path, "") as sheet:
        next(sheet.rows())
        process = sheet._process
    assert process.returncode == -signal.SIGKILL
