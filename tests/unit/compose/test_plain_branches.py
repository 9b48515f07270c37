"""Templates with plain conditions and loops: which they are, and what their paths print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from campaign.compose.template.plain_branches import NotPlainError, PlainBranches
from campaign.compose.template.row_timeout import RowTimer
from campaign.compose.template.template import Templates

COLUMNS = ("name", "plan", "points", "items", "tags")


def branches(source: str) -> PlainBranches | None:
    templates = Templates(Path("/"), Path("/"), COLUMNS, (), RowTimer(5.0))
    return templates.source("{{ name }} " + source, "compose.subject").branches


@pytest.mark.parametrize(
    "source",
    [
        "and no more",
        "{% if plan == 'pro' %}a{% endif %}",
        "{% if plan != 'pro' %}a{% elif points > 3 %}b{% else %}{{ plan }}{% endif %}",
        "{% if plan %}a{% if not points %}b{% endif %}{% endif %}",
        "{% if plan == 'pro' and points >= 3 or not tags %}a{% endif %}",
        "{% for one in items %}{{ one.title }}, {{ one['price'] }} {{ name }}{% endfor %}",
        "{% for tag in tags %}{{ tag }} {% endfor %}",
        "{% if plan %}{% for tag in tags %}{{ tag }} {% endfor %}{% endif %}",
    ],
)
def test_plain_ones(source: str) -> None:
    assert branches(source) is not None


@pytest.mark.parametrize(
    "source",
    [
        "{{ name|upper }}",
        "{{ points + 1 }}",
        "{% if plan|length > 3 %}a{% endif %}",
        "{% if plan is defined %}a{% endif %}",
        "{% if plan == name %}a{% endif %}",
        "{% if 1 < points < 3 %}a{% endif %}",
        "{% if plan in ['a', 'b'] %}a{% endif %}",
        "{% set plan = 'x' %}{% if plan == 'x' %}a{% endif %}",
        "{% for one in items %}{{ loop.index }}{% endfor %}",
        "{% for one in items %}{% if one.title %}a{% endif %}{% endfor %}",
        "{% for one in items if one.title %}a{% endfor %}",
        "{% for one in items %}a{% else %}b{% endfor %}",
        "{% for one in items recursive %}a{% endfor %}",
        "{% for one in items|sort %}a{% endfor %}",
        "{% for one in items %}{{ one.title.first }}{% endfor %}",
        "{% for plan in items %}a{% endfor %}{% if plan == 'x' %}a{% endif %}",
        "{% macro m() %}a{% endmacro %}{{ m() }}",
    ],
)
def test_those_with_other_code_are_left_to_jinja(source: str) -> None:
    assert branches(source) is None


def test_rows_with_the_same_outcomes_and_as_many_items_have_the_same_path() -> None:
    found = branches("{% if plan == 'pro' %}a{% endif %}{% for tag in tags %}{{ tag }}{% endfor %}")
    assert found is not None
    rows = [
        {"plan": "pro", "tags": ["a"]},
        {"plan": "free", "tags": ["a"]},
        {"plan": "pro", "tags": ["b"]},
        {"plan": "pro", "tags": []},
    ]
    first, second, third, fourth = found.keys(rows)
    assert first == third
    assert len({first, second, fourth}) == 3


def test_what_loops_print_is_in_the_order_of_the_template() -> None:
    source = (
        "{% for one in items %}{{ one.title }} {{ one.price }}{% endfor %}{% for tag in tags %}{{ tag }}{% endfor %}"
    )
    found = branches(source)
    assert found is not None
    row = {"items": [{"title": "T", "price": 1}, {"title": "U", "price": 2}], "tags": ["x", "y"]}
    assert found.printed(found.keys([row])[0], [row]) == [["T", 1, "U", 2, "x", "y"]]


def test_a_loop_in_a_branch_that_is_not_taken_prints_nothing() -> None:
    found = branches("{% if plan %}{% for tag in tags %}{{ tag }}{% endfor %}{% else %}none{% endif %}")
    assert found is not None
    rows = [{"plan": "", "tags": ["x"]}, {"plan": "pro", "tags": ["x"]}]
    assert [found.printed(key, [row])[0] for key, row in zip(found.keys(rows), rows, strict=True)] == [[], ["x"]]


@pytest.mark.parametrize(
    "row",
    [
        {"tags": []},
        {"plan": "pro"},
        {"plan": ["pro"], "tags": []},
        {"plan": "pro", "tags": "ab"},
        {"plan": "pro", "tags": None},
        {"plan": "pro", "tags": ["x"] * 501},
    ],
)
def test_rows_with_other_values_are_left_to_jinja(row: dict[str, Any]) -> None:
    found = branches("{% if plan == 'pro' %}a{% endif %}{% for tag in tags %}{{ tag }}{% endfor %}")
    assert found is not None
    with pytest.raises((KeyError, NotPlainError)):
        found.keys([row])


@pytest.mark.parametrize("items", [[{"title": "T"}], ["text"], [{"title": "T", "price": 1}, None]])
def test_items_without_the_field_are_left_to_jinja(items: list[Any]) -> None:
    found = branches("{% for one in items %}{{ one.title }} {{ one.price }}{% endfor %}")
    assert found is not None
    with pytest.raises((KeyError, NotPlainError)):
        found.printed(found.keys([{"items": items}])[0], [{"items": items}])
