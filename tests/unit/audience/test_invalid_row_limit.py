"""When the invalid rows of a list are too many: `send` and `check` give the same answer, with the way to say yes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from campaign.audience.screening.invalid_row_limit import InvalidRows, share_to_allow, too_many
from campaign.check.run_checks import CheckOptions, check
from campaign.config import load
from campaign.config.audience import AudienceSection
from campaign.config.units import share
from campaign.errors import InputError
from campaign.ledger import run_folder
from campaign.model import Books
from campaign.pipeline.command_context import Job, Options, prepare
from campaign.pipeline.start.choose_run import ChosenRun, choose
from campaign.report.live.console import Console

FILE = """
[campaign]
name = "gazette"
from = "news@example.com"
[audience]
source = "people.csv"
{audience}
[compose]
subject = "News"
text = "letter.txt"
"""


def job(place: Path, good: int, bad: int, audience: str = "", cell: str = "") -> Job:
    rows = [f"p{n}@example.com,2026-01-02" for n in range(good)]
    rows += [f"q{n}@example.com,{cell}" if cell else f"nobody{n},2026-01-02" for n in range(bad)]
    (place / "people.csv").write_text("\n".join(["email,born", *rows, ""]), encoding="utf-8")
    (place / "letter.txt").write_text("Hello\n", encoding="utf-8")
    (place / "gazette.toml").write_text(FILE.format(audience=audience), encoding="utf-8")
    return prepare(load(place / "gazette.toml", {}), environment={"CAMPAIGN_SECRET": "0" * 32})


def started(one: Job) -> ChosenRun:
    run_folder.make_folder(one.folder)
    chosen = choose(one, Options())
    assert isinstance(chosen, ChosenRun)
    return chosen


@pytest.mark.parametrize(
    ("books", "settings", "stops"),
    [
        (Books(read=1000, invalid=32, filtered=9), {}, False),
        (Books(read=100, invalid=20), {}, False),
        (Books(read=100, invalid=21), {}, True),
        (Books(read=3, invalid=1), {}, False),
        (Books(read=3, invalid=2), {}, False),
        (Books(read=6, invalid=3), {}, True),
        (Books(read=3, invalid=1), {"max_invalid": 0.2}, True),
        (Books(read=1000, invalid=1), {"max_invalid": 0}, True),
        (Books(read=1000), {"max_invalid": 0}, False),
        (Books(read=10, invalid=9), {"max_invalid": "90%"}, False),
        (Books(read=1000, invalid=30, filtered=900), {}, True),
    ],
)
def test_more_invalid_rows_than_the_allowed_share_are_too_many(
    books: Books, settings: dict[str, object], stops: bool
) -> None:
    assert too_many(books, AudienceSection(source="list.csv", **settings)) is stops  # type: ignore[arg-type]


@pytest.mark.parametrize("books", [Books(read=3, invalid=1), Books(read=999, invalid=334), Books(read=7, invalid=7)])
def test_the_share_that_is_named_lets_the_list_pass(books: Books) -> None:
    assert not too_many(books, AudienceSection(source="list.csv", max_invalid=share_to_allow(books)))


@pytest.mark.parametrize(("written", "value"), [("20 %", 0.2), ("2.5%", 0.025), (0.2, 0.2), (0, 0.0), (1, 1.0)])
def test_a_share_is_written_as_a_number_or_in_per_cent(written: object, value: float) -> None:
    assert share(written) == pytest.approx(value)


@pytest.mark.parametrize("written", [20, -0.1, "20", "120 %", True, "half", None])
def test_anything_else_is_no_share(written: object) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        share(written)


def test_send_stops_before_the_first_letter_and_names_reasons_file_and_setting(tmp_path: Path) -> None:
    one = job(tmp_path, good=6, bad=4)
    with pytest.raises(InputError) as caught:
        started(one)
    told = str(caught.value)
    assert "4 of the 10 rows of people.csv are invalid, so nothing is sent." in told
    assert "an address must have an @" in told
    (left,) = one.folder.rglob("screened.csv")
    assert f"{left.relative_to(one.folder)} says of each why" in told
    assert "set max_invalid = 0.4 under [audience]" in told
    assert started(job(tmp_path, good=6, bad=4, audience="max_invalid = 0.4")).plan.size == 6


@pytest.mark.parametrize(("good", "bad", "severity"), [(6, 4, "error"), (9, 1, "warning"), (2, 1, "warning")])
def test_check_says_of_the_same_list_what_send_does(good: int, bad: int, severity: str, tmp_path: Path) -> None:
    one = job(tmp_path, good=good, bad=bad)
    findings, _ = check(one, Console(io.StringIO()), CheckOptions())
    (found,) = [finding for finding in findings if finding.code == "invalid-rows"]
    assert found.severity == severity
    assert ("max_invalid = 0.4" in found.remedy) is (severity == "error")
    if severity == "error":
        with pytest.raises(InputError):
            started(one)
    else:
        assert started(one).plan.size == good


def test_both_say_which_typed_column_the_rows_fail_by_and_how_to_state_its_form(tmp_path: Path) -> None:
    one = job(tmp_path, good=6, bad=4, audience='columns = { born = "date" }', cell="24.11.1980")
    with pytest.raises(InputError) as caught:
        started(one)
    findings, _ = check(one, Console(io.StringIO()), CheckOptions())
    (found,) = [finding for finding in findings if finding.code == "invalid-rows"]
    for told in (str(caught.value), f"{found.message} {found.remedy}"):
        assert "column 'born': '24.11.1980' is not a date" in told
        assert 'columns = { born = "date:%d.%m.%Y" } under [audience]' in told


def test_a_list_that_fails_by_a_typed_column_alone_is_not_sent_to_look_at_its_addresses(tmp_path: Path) -> None:
    one = job(tmp_path, good=0, bad=4, audience='columns = { born = "date" }', cell="24.11.1980")
    for act in (lambda: started(one), lambda: check(one, Console(io.StringIO()), CheckOptions())):
        with pytest.raises(InputError, match="Not one of the 4 rows") as caught:
            act()
        assert "column 'born': '24.11.1980' is not a date" in str(caught.value)
        assert 'columns = { born = "date:%d.%m.%Y" } under [audience]' in str(caught.value)


def test_check_names_the_typed_column_also_where_the_other_rows_are_filtered_out(tmp_path: Path) -> None:
    settings = 'columns = { born = "date" }\nwhere = "born > \'2027-01-01\'"'
    one = job(tmp_path, good=1, bad=4, audience=settings, cell="24.11.1980")
    with pytest.raises(InputError, match="nobody to write to") as caught:
        check(one, Console(io.StringIO()), CheckOptions())
    assert "column 'born': '24.11.1980' is not a date" in str(caught.value)
    assert '"date:%d.%m.%Y"' in str(caught.value)


def test_cells_of_one_typed_column_are_one_reason() -> None:
    found = InvalidRows()
    for line in range(9):
        found.add(line, f"column 'born': '{line}' is not a date (write 2026-12-31)")
    found.add(9, "2 addresses in one cell; a row has one")
    assert found.commonest() == [
        "column 'born': '0' is not a date (write 2026-12-31) (9)",
        "2 addresses in one cell (1)",
    ]
    assert found.lines == [0, 1, 2, 3, 4]
    assert found.remedy().startswith("look at the column 'born'")
