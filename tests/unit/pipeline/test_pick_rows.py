"""Which letters a preview shows."""

from pathlib import Path

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.config import load
from campaign.errors import ConfigError
from campaign.pipeline.command_context import prepare
from campaign.pipeline.preview import preview, rehearsed
from campaign.pipeline.preview_rows.pick_rows import MOST, asked_for, telling_rows
from campaign.report.live.console import Console

SETTINGS = """
[campaign]
name = "gazette"
from = "Ada <news@example.com>"
[audience]
source = "list.csv"
address = "email"
display_name = "name"
[compose]
subject = "News"
text = "letter.txt"
[delivery]
relay = "mailbox"
"""
LETTER = "Dear {{ name or 'reader' }}{% if plan == 'pro' %}, thank you{% elif plan == 'new' %}, welcome{% endif %}.\n"


@pytest.fixture
def look(tmp_path: Path):
    """Freezes a list of (name, plan) and says which letters would be shown, and what was said beside them."""

    def look(rows, letter: str = LETTER, rows_asked=(), to: str = ""):
        lines = [f"p{at}@example.com,{name},{plan}\n" for at, (name, plan) in enumerate(rows)]
        (tmp_path / "list.csv").write_text("email,name,plan\n" + "".join(lines))
        (tmp_path / "letter.txt").write_text(letter)
        (tmp_path / "gazette.toml").write_text(SETTINGS)
        said: list[str] = []
        with rehearsed(prepare(load(tmp_path / "gazette.toml", {})), Console(quiet=True)) as (plan, composer):
            assert isinstance(plan, Plan)
            asked = rows_asked or to
            picks = asked_for(plan, rows_asked, to) if asked else telling_rows(plan, composer, said.append)
            return [(pick.label, pick.recipient.line) for pick in picks], said

    return look


def test_the_first_the_longest_name_the_shortest_and_each_shape_are_shown(look):
    rows = [("Grace Hopper", "")] * 30 + [("Augusta Ada King-Noel", ""), ("", ""), ("Li", "pro"), ("Bo", "new")]
    shown, said = look(rows)
    assert shown[:3] == [("first", 2), ("longest name", 32), ("shortest name", 33)]
    assert set(shown[3:5]) == {("plan: pro", 34), ("plan: new", 35)}
    assert said == []


def test_a_row_that_makes_no_letter_does_not_end_the_preview_but_is_named(look):
    rows = [("Zoe", ""), ("Anna", ""), ("Maximilian the Unrenderable", "bad")]
    shown, said = look(rows, "{{ 1 // (0 if plan == 'bad' else 1) }} {{ name }}\n")
    assert shown[:2] == [("first", 2), ("longest name", 3)]
    assert 4 not in [line for _, line in shown]
    assert said[0].startswith("row 4 cannot be made into a letter: ")


def test_more_shapes_than_a_person_looks_at_are_counted(look):
    letter = "".join(f"{{% if plan == 's{at}' %}}{at}{{% endif %}}" for at in range(30)) + "\n"
    shown, said = look([("Ada", f"s{at}") for at in range(30)], letter)
    assert len(shown) == MOST
    assert said == [f"{30 - MOST} more forms of the letter are not shown; --row N shows any row"]


def test_a_row_is_the_line_that_check_names(look):
    assert look([("Ada", ""), ("Bo", "")], rows_asked=(3, 2))[0] == [("row 3", 3), ("row 2", 2)]
    assert look([("Ada", ""), ("Bo", "")], to="P1@example.com")[0] == [("P1@example.com", 3)]


def test_an_address_is_found_by_the_domain_that_people_know(look, tmp_path):
    look([("Ada", "")])
    (tmp_path / "list.csv").write_text("email,name,plan\nada@bücher.example,Ada,\n", "utf-8")
    with rehearsed(prepare(load(tmp_path / "gazette.toml", {})), Console(quiet=True)) as (plan, _):
        assert [one.recipient.line for one in asked_for(plan, (), "ada@BÜCHER.example")] == [2]


def test_a_row_or_an_address_without_a_letter_is_said_plainly(look):
    with pytest.raises(ConfigError, match="Row 1 gets no letter") as raised:
        look([("Ada", ""), ("Bo", "")], rows_asked=(1,))
    assert "the first that gets a letter is 2, the last 3" in str(raised.value)
    with pytest.raises(ConfigError, match=r"nobody@example\.com is not in the plan"):
        look([("Ada", "")], to="nobody@example.com")


def test_where_no_row_makes_a_letter_the_reason_is_told(look, tmp_path):
    look([("Ada", "")], rows_asked=(2,))
    (tmp_path / "letter.txt").write_text("{{ 1 // 0 }}\n")
    with pytest.raises(Exception, match="cannot be made into a letter"):
        preview(prepare(load(tmp_path / "gazette.toml", {})), Console(quiet=True), rows=(), to="", output=None)


def test_all_letters_of_a_row_with_several_addresses_are_shown(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,name,plan\na@example.com; b@example.com,Ada,\n")
    (tmp_path / "letter.txt").write_text(LETTER)
    (tmp_path / "gazette.toml").write_text(SETTINGS.replace('address = "email"', "split_addresses = true"))
    with rehearsed(prepare(load(tmp_path / "gazette.toml", {})), Console(quiet=True)) as (plan, _):
        assert [pick.recipient.address for pick in asked_for(plan, [2], "")] == ["a@example.com", "b@example.com"]
