"""The letter that a report shows: for a made-up reader, with nothing of any recipient."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from campaign.config import load
from campaign.model import Recipient
from campaign.pipeline.command_context import Options, prepare
from campaign.pipeline.start.choose_run import ChosenRun, choose
from campaign.pipeline.start.sample_letter import made_up, read_sample

SETTINGS = """
[campaign]
name = "gazette"
from = "Ada <news@xn--bcher-kva.example>"
[audience]
source = "list.csv"
[compose]
subject = "News for {{ name }}"
html = "letter.html"
attachments = ["{{ file }}"]
unsubscribe = "https://example.com/u/{{ unsubscribe_token }}"
[delivery]
relay = "mailbox"
"""


@pytest.fixture
def begun(tmp_path: Path):
    """Begins a run with this template and gives its folder."""

    def begin(template: str) -> Path:
        (tmp_path / "secret.pdf").write_bytes(b"PDF")
        (tmp_path / "list.csv").write_text(
            "email,name,since,score,file\ngrace@example.net,Grace Hopper,1906-12-09,4711,secret.pdf\n", "utf-8"
        )
        (tmp_path / "letter.html").write_text(template, "utf-8")
        (tmp_path / "gazette.toml").write_text(SETTINGS)
        run = choose(prepare(load(tmp_path / "gazette.toml", {})), Options())
        assert isinstance(run, ChosenRun)
        return run.folder

    return begin


def test_the_sample_names_columns_and_holds_nothing_of_a_recipient(begun):
    folder = begun("<p>Dear {{ name }} of {{ email }}, {{ score }}, {{ since }}</p>")
    sample = read_sample(folder)
    assert sample.subject == "News for «name»"
    assert "Dear «name» of «email», «score», «since»" in sample.html
    content = (folder / "sample.eml").read_text("utf-8")
    assert not [one for one in ("Grace", "grace", "example.net", "4711", "1906", "secret.pdf", "PDF") if one in content]
    assert (folder / "sample.eml").stat().st_mode & 0o777 == 0o600


def test_a_template_that_computes_gets_a_made_up_date_and_number(begun):
    sample = read_sample(begun("<p>{{ since | date }}, {{ score | number }}, {{ name }}</p>"))
    assert "2030" in sample.html
    assert ", 1, «name»" in sample.html


def test_where_no_letter_can_be_made_up_the_run_begins_without_a_sample(begun):
    folder = begun("<p>{{ {'Grace Hopper': 'Admiral'}[name] }}</p>")
    assert (folder / "checkpoint.journal").exists()
    assert read_sample(folder) is None


def test_a_later_report_shows_the_letter_as_it_was_when_the_run_began(begun, tmp_path):
    folder = begun("<p>before</p>")
    (tmp_path / "letter.html").write_text("<p>after</p>")
    assert "before" in read_sample(folder).html


def test_a_damaged_sample_is_none(tmp_path):
    assert read_sample(tmp_path) is None
    (tmp_path / "sample.eml").mkdir()
    assert read_sample(tmp_path) is None


def test_every_kind_of_value_is_replaced_by_a_made_up_one():
    row = {
        "n": 7,
        "f": 2.5,
        "b": False,
        "d": date(1906, 12, 9),
        "items": [{"article": "x", "price": 9}, {}],
        "no": None,
    }
    given = made_up(Recipient(3, "a@b.example", "k", "A", 4, row), read_cells=False)
    assert given.row == {
        "n": 1,
        "f": 1.0,
        "b": True,
        "d": date(2030, 1, 1),
        "items": [{"article": "«article»", "price": 1}],
        "no": "«no»",
    }
    assert given.address == "reader@example.com"
