"""Typed columns: what a cell becomes, and which cells make their row invalid."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.audience.columns.column_types import CONVERSIONS, CellError, Typing
from campaign.audience.plan.plan_codec import decode_value, encode_value
from campaign.audience.sources.cell_values import chunk_of, plain_value
from campaign.model import Value


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("text", " 007 ", " 007 "),
        ("text", None, ""),
        ("text", 7, "7"),
        ("text", True, "true"),
        ("text", date(2026, 1, 2), "2026-01-02"),
        ("integer", " 007 ", 7),
        ("integer", "-12", -12),
        ("integer", "", None),
        ("integer", 5, 5),
        ("number", "1e3", 1000.0),
        ("number", "-.5", -0.5),
        ("number", "  ", None),
        ("number", 3, 3),
        ("boolean", "Yes", True),
        ("boolean", "0", False),
        ("boolean", "", None),
        ("boolean", False, False),
        ("date", "2026-02-28", date(2026, 2, 28)),
        ("date", "2026-02-28T09:30", datetime(2026, 2, 28, 9, 30)),  # noqa: DTZ001  as written: without a zone
        ("date", "2026-02-28 09:30+00:00", datetime(2026, 2, 28, 9, 30, tzinfo=UTC)),
        ("date", date(2026, 1, 1), date(2026, 1, 1)),
        ("date", " ", None),
        ("json", '[{"a": 1.5}, null, "x"]', [{"a": 1.5}, None, "x"]),
        ("json", "", None),
        ("json", [1], [1]),
    ],
)
def test_a_cell_becomes_its_value(kind: str, cell: Value, value: Value) -> None:
    found = CONVERSIONS[kind](cell)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("integer", "1.0"),
        ("integer", "1e5"),
        ("integer", "1,000"),
        ("integer", "٣"),
        ("integer", "9" * 5000),
        ("integer", "9007199254740993"),
        ("integer", True),
        ("integer", 1.5),
        ("number", "1,5"),
        ("number", "NaN"),
        ("number", "inf"),
        ("number", "1e999"),
        ("number", "0x10"),
        ("number", "1_000"),
        ("number", True),
        ("boolean", "maybe"),
        ("boolean", "2"),
        ("date", "31.12.2026"),
        ("date", "12/31/2026"),
        ("date", "2026-02-30"),
        ("date", "20260228"),
        ("date", "2026-W01-1"),
        ("json", "{"),
        ("json", "NaN"),
        ("json", "[1e999]"),
        ("json", '"\\ud800"'),
        ("json", '"\\u0000"'),
        ("json", "[" * 50 + "]" * 50),
        ("json", "[" * 100_000),
    ],
)
def test_a_cell_that_breaks_its_promise_names_the_column(kind: str, cell: Value) -> None:
    with pytest.raises(CellError, match="column 'x': ") as caught:
        Typing(["a", "x"], {"x": kind}).apply(["untouched", cell])  # type: ignore[dict-item]
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (Decimal("12.50"), "12.50"),
        (time(9, 30), "09:30:00"),
        (timedelta(days=1), "1 day, 0:00:00"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (float("nan"), None),
        (1 << 60, str(1 << 60)),
        (3.0, 3.0),
        ((1, Decimal(2)), [1, "2"]),
        ({"a": (date(2026, 1, 1),)}, {"a": [date(2026, 1, 1)]}),
    ],
)
def test_what_a_database_hands_over_becomes_a_plain_value(cell: object, value: Value) -> None:
    assert plain_value(cell) == value


@pytest.mark.parametrize("cell", ["a\0b", "\ud800", b"\xff", float("inf"), {"a": "\0"}])
def test_a_row_with_a_cell_that_is_no_value_is_bad_and_its_neighbours_are_not(cell: object) -> None:
    chunk = chunk_of([["a"], [cell], ["c"]], 5)
    assert chunk.lines == [5, 7]
    assert [bad.line for bad in chunk.bad] == [6]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.text() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$date", "$value"]), inner),
    max_leaves=10,
)


@given(VALUES)
def test_a_value_comes_back_from_the_plan_as_it_went_in(value: Value) -> None:
    assert decode_value(encode_value(value)) == value
