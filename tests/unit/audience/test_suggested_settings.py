"""All the settings that a list seems to need are named at once, and none that does not help."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.audience.screening.suggested_settings import all_suggestions, suggested_settings
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError


def suggested(folder: Path, text: str, **settings: object) -> list[str]:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return suggested_settings(AudienceSection(source="list.csv", **settings), folder)  # type: ignore[arg-type]


def test_what_comes_to_light_under_one_suggestion_is_asked_for_the_next(tmp_path: Path) -> None:
    text = 'Members;;\nE-Mail;since;Turn over\n"a@example.com, b@example.com";24.11.1980;"1.234,50"\n'
    columns = {"since": "date", "Turn over": "number"}
    assert suggested(tmp_path, text, columns=columns) == [
        "header_row = 2",
        'columns = { since = "date:%d.%m.%Y", "Turn over" = "number:de" }',
        "split_addresses = true",
    ]


def test_a_list_that_is_well_needs_nothing(tmp_path: Path) -> None:
    assert suggested(tmp_path, "email,since\na@example.com,2026-01-01\n", columns={"since": "date"}) == []


def test_a_form_that_more_rows_would_fail_in_is_not_suggested(tmp_path: Path) -> None:
    rows = "a@example.com,2026-01-01\nb@example.com,2026-01-02\nc@example.com,24.11.1980\n"
    assert suggested(tmp_path, f"email,since\n{rows}", columns={"since": "date"}) == []


def test_where_two_forms_are_possible_both_are_named(tmp_path: Path) -> None:
    assert suggested(tmp_path, "email,since\na@example.com,03/04/1980\n", columns={"since": "date"}) == [
        'columns = { since = "date:%d/%m/%Y" }  # or date:%m/%d/%Y where the month stands first'
    ]


def test_gathered_lines_are_not_to_be_split(tmp_path: Path) -> None:
    text = "email,key,item\na@example.com; b@example.com,1,x\n"
    assert suggested(tmp_path, text, key="key", items=["item"]) == []


@pytest.mark.parametrize("text", ["", "\x00", "email\n", "email,email\na,b\n"])
def test_a_list_that_cannot_be_read_has_no_suggestions(tmp_path: Path, text: str) -> None:
    assert suggested(tmp_path, text) == []


def test_an_error_keeps_its_own_step_where_a_single_setting_helps(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("Members\nE-Mail\na@example.com\n", encoding="utf-8")
    audience = AudienceSection(source="list.csv")
    with pytest.raises(ConfigError) as caught, all_suggestions(audience, tmp_path):
        raise ConfigError("It has no column.", next_step="set header_row = 2")
    assert caught.value.next_step == "set header_row = 2"
