"""Editions side by side: what the page and the SVG file show, and that they run and load nothing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from campaign.report.html.editions_page import (
    MOST_COLUMNS,
    SVG_HEIGHT,
    SVG_WIDEST,
    EditionFigures,
    edition_series,
    editions_page,
    editions_svg,
    percent,
    round_share,
)
from tests.unit.report.test_report_page import HOSTILE, read


def edition(name: str = "2026-01", **changes: Any) -> EditionFigures:
    given: dict[str, Any] = {
        "generation": 1,
        "begun": 1767225600.0,
        "runs": 1,
        "recipients": 1000,
        "accepted": 990,
        "bounced": 30,
        "complained": 2,
        "unsubscribed": 5,
        "seconds": 200.0,
    }
    return EditionFigures(name, **(given | changes))


def year(**changes: Any) -> list[EditionFigures]:
    return [edition(f"2026-{month:02}", begun=1767225600.0 + month * 2_629_800.0, **changes) for month in range(1, 13)]


@pytest.mark.parametrize(
    "said",
    [
        "12 editions",
        "11,880 letters accepted from 2026-01-31 to 2027-01-01.",
        "2026-03",
        "99.0 %",
        "3.0 %",
        "0.20 %",
        "0.51 %",
        "3m20s",
        "The line marks a warning from 2 %.",
        "The lines mark a warning from 0.1 % and an alarm above 0.3 %.",
    ],
)
def test_the_page_says(said: str) -> None:
    editions = year()
    editions[5] = edition("2026-06", complained=3, begun=editions[5].begun)
    text = "".join(read(editions_page("gazette", editions)).text)
    assert said in text


def test_it_runs_and_loads_nothing_and_escapes_what_it_shows() -> None:
    html = editions_page(HOSTILE, [edition(HOSTILE), *year()])
    reader = read(html)
    assert not reader.tags & {"script", "iframe", "img", "link", "a"}
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in {"src", "href"}]
    assert "<script>alert" not in html
    assert not set(html) & set("\x1b\u202e\r")


def drawn(html: str) -> list[str]:
    return re.findall(r"<h2>(\w+)</h2>", html)


def test_of_few_editions_there_is_a_table_and_no_picture() -> None:
    assert drawn(editions_page("gazette", year()[:2])) == ["Figures"]
    assert drawn(editions_page("gazette", year()[:3])) == [
        "Accepted", "Bounced", "Complained", "Unsubscribed", "Figures",
    ]  # fmt: skip


def test_where_no_feedback_is_read_a_dash_stands_for_it_and_nothing_is_drawn() -> None:
    unknown = {"bounced": None, "complained": None, "unsubscribed": None}
    html = editions_page("gazette", year(**unknown))
    assert drawn(html) == ["Accepted", "Figures"]
    assert html.count(">–<") == 3 * 12
    assert "A dash stands" in html
    assert "A dash stands" not in editions_page("gazette", year())


def test_the_newest_of_very_many_are_drawn_and_all_are_in_the_table() -> None:
    many = [edition(f"e{at}") for at in range(MOST_COLUMNS + 40)]
    html = editions_page("gazette", many)
    assert html.count('<rect x="0" ') == 4  # one in each chart
    assert html.count('class="hit"') == 4 * MOST_COLUMNS
    assert html.count("<tr>") == len(many) + 1


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0.0, 0.0001), (0.001, 0.001), (0.0011, 0.002), (0.05, 0.05), (0.051, 0.06), (0.7, 0.8), (0.81, 1.0), (1.0, 1.0)],
)
def test_the_upper_edge_of_a_chart_is_a_round_share(highest: float, top: float) -> None:
    assert round_share(highest) == pytest.approx(top)


@pytest.mark.parametrize(("share", "said"), [(0.0, "0 %"), (0.0015, "0.15 %"), (0.05, "5 %"), (1.0, "100 %")])
def test_labels_have_no_zeros_at_their_end(share: float, said: str) -> None:
    assert percent(share) == said


def test_the_level_of_a_warning_is_always_in_sight() -> None:
    tops = {one.title: one.top for one in edition_series(year(bounced=0, complained=0))}
    assert tops["Bounced"] == pytest.approx(0.02)
    assert tops["Complained"] == pytest.approx(0.001)


@pytest.mark.parametrize(("generation", "name"), [(1, "2026-01"), (2, "2026-01, again"), (3, "2026-01, again 2")])
def test_an_edition_that_was_served_again_says_so(generation: int, name: str) -> None:
    assert edition(generation=generation).name == name
    assert edition("").name == "no edition"


@pytest.mark.parametrize("count", [1, 2, 12, MOST_COLUMNS + 1])
def test_the_svg_file_is_well_formed_and_its_columns_are_inside_it(count: int) -> None:
    root = ET.fromstring(editions_svg(HOSTILE.strip(), [edition(f"e{at}") for at in range(count)]))
    names = {one.tag.removeprefix("{http://www.w3.org/2000/svg}") for one in root.iter()}
    assert names == {"svg", "style", "rect", "text", "line", "g", "title"}
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    columns = [one.attrib for one in root.iter() if one.attrib.get("class") in {"accepted", "hard", "complaint"}]
    assert len(columns) == 3 * min(count, MOST_COLUMNS)
    for one in columns:
        assert 0 <= float(one["x"]) <= width - float(one["width"])
        assert 0 <= float(one["y"]) <= height - float(one["height"])
        assert float(one["height"]) <= SVG_HEIGHT
        assert float(one["width"]) <= SVG_WIDEST


def test_shares_are_of_the_accepted_and_nothing_of_nobody_is_nothing() -> None:
    assert edition().share(30) == pytest.approx(30 / 990)
    assert edition(accepted=0).share(3) == 0.0
    assert edition(recipients=0, accepted=0).accepted_share == 0.0
    assert edition().share(None) is None
