"""Dates and numbers as people write them, read by a locale or a stated format; anything else makes its row invalid."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from campaign.audience.columns.column_types import conversion
from campaign.audience.columns.local_dates_and_numbers import format_hint
from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError
from campaign.model import Value


def frozen(folder: Path, text: str, **given_: object) -> Plan:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    slice_ = AudienceSection(source="list.csv", **given_)  # type: ignore[arg-type]
    return freeze(slice_, folder, folder, suppression=Suppression.load(slice_, folder))


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("date:%d.%m.%Y", "24.11.1980", date(1980, 11, 24)),
        ("date:%d.%m.%Y", " 4.1.1980 ", date(1980, 1, 4)),
        ("date:%m/%d/%y", "11/24/80", date(1980, 11, 24)),
        ("date:%d.%m.%Y %H:%M", "24.11.2026 08:30", datetime(2026, 11, 24, 8, 30)),  # noqa: DTZ001  as written
        ("date:de", "24.11.1980", date(1980, 11, 24)),
        ("date:en_US", "11/24/1980", date(1980, 11, 24)),
        ("date:en_GB", "24/11/1980", date(1980, 11, 24)),
        ("date:ja", "1980/11/24", date(1980, 11, 24)),
        ("date:sv", "1980-11-24", date(1980, 11, 24)),
        ("date:de", "", None),
        ("date:de", date(1980, 11, 24), date(1980, 11, 24)),
        ("number:de", "1.234,50", 1234.5),
        ("number:de", "-1234,5", -1234.5),
        ("number:de", "1.234", 1234.0),
        ("number:en", "1,234.50", 1234.5),
        ("number:en_IN", "12,34,567.5", 1234567.5),
        ("number:fr", "1 234,5", 1234.5),
        ("number:fr", "1\u202f234,5", 1234.5),
        ("number:de_CH", "1'234.5", 1234.5),
        ("number:de", 7.5, 7.5),
        ("number:de", " ", None),
        ("integer:de", "1.234", 1234),
        ("integer:de", 5, 5),
    ],
)
def test_a_cell_is_read_in_the_form_its_column_states(kind: str, cell: Value, value: Value) -> None:
    found = conversion(kind)(cell)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "cell", "told"),
    [
        ("date:%d.%m.%Y", "1980-11-24", "is not a date as %d.%m.%Y writes it, such as 31.12.2026"),
        ("date:%d.%m.%Y", "31.02.1980", "is not a date"),
        ("date:de", "24.11.80", "is not a date as de writes it, such as 31.12.2026"),
        ("date:en_US", "24/11/1980", "such as 12/31/2026"),
        ("number:de", "1,234.50", "is not a number as de writes it, such as 1.234,5"),
        ("number:de", "1.23", "is not a number"),
        ("number:de", "1.234.5", "is not a number"),
        ("number:en", "1.234,50", "such as 1,234.5"),
        ("number:de", "12 €", "is not a number"),
        ("integer:de", "1.234,5", "is not a whole number as de writes it, such as 1.234"),
    ],
)
def test_a_cell_in_another_form_is_refused_with_an_example(kind: str, cell: str, told: str) -> None:
    with pytest.raises(ValueError, match="is not a") as caught:
        conversion(kind)(cell)
    assert told in str(caught.value)


@given(
    st.decimals(-(10**9), 10**9, places=2), st.sampled_from(["de", "en", "fr", "de_CH", "en_IN", "es", "sv", "pt_BR"])
)
def test_what_a_locale_writes_is_read_back(number: object, locale: str) -> None:
    written = format_decimal(number, format=None, locale=locale, decimal_quantization=False).replace("\u2212", "-")
    assert conversion(f"number:{locale}")(written) == float(str(number))


@pytest.mark.parametrize("kind", ["date:%d.%m.", "date:%Y", "date:xx", "number:klingon", "date:%d.%m.%", "integer:%d"])
def test_a_form_that_is_none_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        conversion(kind)
    assert kind.partition(":")[2] in str(caught.value)


@pytest.mark.parametrize("kind", ["dat", "text:de", "json:x", "date:", "number:"])
def test_a_type_that_is_none_is_a_mistake_of_the_campaign_file(kind: str) -> None:
    with pytest.raises(ValidationError, match="is no type of column"):
        AudienceSection(source="list.csv", columns={"x": kind})


def test_a_locale_holds_for_the_whole_list_and_a_column_may_state_its_own_form(tmp_path: Path) -> None:
    text = "email;born;total;seen;n\na@example.com;24.11.1980;1.234,50;2026-01-02;x\n"
    columns = {"born": "date", "total": "number", "seen": "date:%Y-%m-%d", "n": "text"}
    plan = frozen(tmp_path, text, locale="de", columns=columns, where="born < '1990-01-01' and total > 1000")
    assert plan.recipient(0).row == {
        "email": "a@example.com",
        "born": date(1980, 11, 24),
        "total": 1234.5,
        "seen": date(2026, 1, 2),
        "n": "x",
    }
    assert plan.types == ("text", "date", "number", "date", "text")


def test_a_list_of_failed_rows_is_read_as_it_was_written(tmp_path: Path) -> None:
    text = "email,born,total,verdict,code,enhanced_code,reason\na@example.com,1980-11-24,1.234,rejected,550,,no\n"
    plan = frozen(tmp_path, text, locale="de", columns={"born": "date:%d.%m.%Y", "total": "number"})
    assert plan.recipient(0).row["born"] == date(1980, 11, 24)
    assert plan.recipient(0).row["total"] == 1.234


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("column 'x': '24.11.1980' is not a date (write …)", 'columns = { x = "date:%d.%m.%Y" } under [audience]'),
        ("column 'x': '11/24/1980' is not a date (…)", '"date:%m/%d/%Y" }'),
        ("column 'x': '24/11/1980' is not a date (…)", '"date:%d/%m/%Y" }'),
        ("column 'x': '01/02/1980' is not a date (…)", ", or date:%m/%d/%Y where the month stands first"),
        ("column 'x': '1.234,50' is not a number (write 1234.5)", '"number:de" }'),
        ("column 'x': '1,234.50' is not a number (write 1234.5)", '"number:en" }'),
        ("column 'x': '1.234.567' is not a whole number", '"integer:de" }'),
        ("column 'x': 'soon' is not a date (…)", "look at the column 'x'"),
    ],
)
def test_the_remedy_names_the_form_that_a_cell_shows(detail: str, told: str) -> None:
    assert told in format_hint("x", detail)
