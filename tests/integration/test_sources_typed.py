"""Workbooks and column files as real writers make them: typed values arrive as they are, in flat memory."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.source_factory import open_source
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError
from campaign.model import Books, Value

HEADER = ["email", "name", "since", "at", "hour", "count", "price", "code", "active"]
ROW = ["a@example.com", "Zoë", date(2026, 1, 2), datetime(2026, 1, 2, 9, 30), time(9, 30), 7, 12.5, "007", True]  # noqa: DTZ001  sheets know no zones


def workbook(path: Path, rows: list[list[object]], title: str = "People") -> None:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    second = book.create_sheet("Other")
    second.append(["email"])
    second.append(["b@example.com"])
    book.save(path)


def frozen(folder: Path, **given: object) -> Plan:
    settings = AudienceSection(**given)  # type: ignore[arg-type]
    return freeze(settings, folder, folder, suppression=Suppression.load(settings, folder))


def test_cells_of_a_workbook_keep_their_types(tmp_path: Path) -> None:
    workbook(tmp_path / "people.xlsx", [HEADER, ROW, ["b@example.com"]])
    first, second = frozen(tmp_path, source="people.xlsx").recipients()
    assert list(first.row.values()) == [*ROW[:4], "09:30:00", 7, 12.5, "007", True]
    assert [type(value) for value in first.row.values()][2:6] == [date, datetime, str, int]
    assert list(second.row.values()) == ["b@example.com", *[""] * 8]


def test_rows_are_numbered_as_in_the_sheet_and_blank_ones_are_none(tmp_path: Path) -> None:
    rows = [[], ["email", "n"], ["a@example.com", 1], [], ["nobody", 2], ["c@example.com", 3, "stray"]]
    workbook(tmp_path / "people.xlsx", rows)
    plan = frozen(tmp_path, source="people.xlsx")
    assert plan.books == Books(read=3, invalid=2, planned=1)
    assert plan.recipient(0).line == 3
    lines = (tmp_path / "screened.csv").read_text().splitlines()
    assert lines[1].startswith("people.xlsx,5,nobody,invalid")
    assert lines[2].startswith('people.xlsx,6,,invalid,"a cell to the right of the 2 named columns')


def test_a_sheet_is_chosen_by_name(tmp_path: Path) -> None:
    workbook(tmp_path / "people.xlsx", [HEADER, ROW])
    assert open_source(AudienceSection(source="people.xlsx", sheet="Other"), tmp_path).columns == ("email",)
    with pytest.raises(ConfigError, match="no sheet 'Nobody'") as caught:
        open_source(AudienceSection(source="people.xlsx", sheet="Nobody"), tmp_path)
    assert "People, Other" in caught.value.evidence[0]


def test_a_workbook_without_rows_or_with_equal_names_is_told(tmp_path: Path) -> None:
    workbook(tmp_path / "none.xlsx", [])
    with pytest.raises(InputError, match="is empty"):
        open_source(AudienceSection(source="none.xlsx"), tmp_path)
    workbook(tmp_path / "twins.xlsx", [["email", "x", "x"]])
    with pytest.raises(InputError, match="one name each"):
        open_source(AudienceSection(source="twins.xlsx"), tmp_path)


def test_a_workbook_is_a_suppression_list(tmp_path: Path) -> None:
    workbook(tmp_path / "people.xlsx", [HEADER, ROW])
    workbook(tmp_path / "gone.xlsx", [["id", "E-Mail"], [1, "A@EXAMPLE.com"]])
    assert frozen(tmp_path, source="people.xlsx", suppress=["gone.xlsx"]).books == Books(read=1, suppressed=1)


def test_typed_columns_and_filters_work_on_a_workbook(tmp_path: Path) -> None:
    workbook(
        tmp_path / "people.xlsx",
        [
            ["email", "age", "since"],
            ["a@example.com", 17, date(2026, 1, 1)],
            ["b@example.com", "eighteen", ""],
            ["c@example.com", 18, "2026-05-05"],
        ],
    )
    plan = frozen(tmp_path, source="people.xlsx", where="age >= 18", columns={"age": "integer", "since": "date"})
    assert plan.books == Books(read=3, invalid=1, filtered=1, planned=1)
    assert plan.recipient(0).row == {"email": "c@example.com", "age": 18, "since": date(2026, 5, 5)}


def test_values_of_parquet_are_exact(tmp_path: Path) -> None:
    table = pa.table(
        {
            "email": ["a@example.com", "b@example.com"],
            "whole": pa.array([2**53 - 1, None], pa.int64()),
            "huge": pa.array([2**63 - 1, None], pa.int64()),
            "small": pa.array([1, None], pa.int8()),
            "real": [0.1, None],
            "price": pa.array([Decimal("12.50"), None], pa.decimal128(10, 2)),
            "day": pa.array([date(2026, 1, 2), None], pa.date32()),
            "at": pa.array([datetime(2026, 1, 2, 3, 4), None], pa.timestamp("us")),  # noqa: DTZ001  the column has no zone
            "flag": [True, None],
            "kind": pa.array(["x", None]).dictionary_encode(),
            "tags": [["a", "b"], None],
            "more": [{"n": 1, "s": "x"}, None],
            "text": ["NA", ""],
        }
    )
    pq.write_table(table, tmp_path / "people.parquet")
    first, second = frozen(tmp_path, source="people.parquet").recipients()
    expected: list[Value] = [
        2**53 - 1, str(2**63 - 1), 1, 0.1, "12.50", date(2026, 1, 2), datetime(2026, 1, 2, 3, 4), True,  # noqa: DTZ001  as above
        "x", ["a", "b"], {"n": 1, "s": "x"}, "NA",
    ]  # fmt: skip
    assert list(first.row.values())[1:] == expected
    assert [type(value) for value in first.row.values()][1:] == [type(value) for value in expected]
    assert list(second.row.values())[1:] == [*[None] * 11, ""]


def test_a_large_parquet_file_comes_in_chunks_and_keeps_its_row_numbers(tmp_path: Path) -> None:
    count = 25_001
    pq.write_table(pa.table({"email": [f"p{n}@example.com" for n in range(count)]}), tmp_path / "people.parquet")
    chunks = list(open_source(AudienceSection(source="people.parquet"), tmp_path).chunks())
    assert max(len(chunk.rows) for chunk in chunks) <= 10_000
    assert [line for chunk in chunks for line in chunk.lines] == list(range(1, count + 1))


def test_statistics_files_are_read_through_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"email": ["a@example.com", "b@example.com"], "score": [1.5, None], "n": [1, 2]})
    frame.to_stata(tmp_path / "people.dta", write_index=False)
    first, second = frozen(tmp_path, source="people.dta").recipients()
    assert (first.row, second.row["score"]) == ({"email": "a@example.com", "score": 1.5, "n": 1}, None)
