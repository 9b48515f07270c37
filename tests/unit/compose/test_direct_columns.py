"""Columns that are only printed: what the shortened template gives is what Jinja gives, or there is none."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, UndefinedError

from campaign.compose.template.direct_columns import MOST_WAYS, START, shortened
from campaign.compose.template.row_timeout import RowTimer
from campaign.compose.template.template import Page, Templates
from campaign.compose.value_positions import in_places

COLUMNS = ("name", "city", "items", "plan", "loop")
ROW = {
    "name": "Ada <b>", "city": "Łódź", "plan": "pro", "loop": "l", "campaign": "gazette",
    "items": [{"title": "Moss & more", "price": 3}, {"title": "Salt", "price": None}],
}  # fmt: skip


def page(folder: Path, source: str, *, html: bool = True) -> Page:
    (folder / "page.html").write_text(source, encoding="utf-8")
    opened = Templates(folder.resolve(), folder.resolve(), COLUMNS, ("campaign",), RowTimer(5.0))
    return opened.file((folder / "page.html").resolve(), html=html)


def drawn(opened: Page, row: dict[str, Any]) -> tuple[str, list[Any]]:
    """Where the values stand in what was printed, and the values."""
    found = opened.render(row)
    return "".join("\0" if piece is None else piece for piece in found.statics), in_places(found.values, found.order)


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(
    "source",
    [
        "Dear {{ name }} of {{ city }}, {{ name }}",
        "{% for item in items %}{{ name }}: {{ item.title }} {{ item.price }} {{ loop.index }}\n{% endfor %}{{ city }}",
        "{% if plan == 'pro' %}{{ name }}{% elif city %}{{ city }}{% else %}{{ plan }}{% endif %}!",
        "{% for name in items %}{{ name.title }}{{ city }}{% endfor %}{{ name }}",
        "{% set city = 'Graz' %}{{ city }} {{ name }}",
        "{% set ns = namespace(city='x') %}{{ ns.city }}{{ city }}",
        "{% macro box(name) %}[{{ name }}{{ city }}]{% endmacro %}{{ box(plan) }}{{ name }}",
        "{% macro city() %}c{% endmacro %}{{ city() }}{{ name }}",
        "{% with city = plan %}{{ city }}{{ name }}{% endwith %}{{ city }}",
        "{% filter upper %}{{ name }}{% endfilter %}{{ city }}",
        "{% set box %}{{ name }}{% endset %}{{ box }}{{ city }}",
        "{{ name|upper }}{{ name ~ city }}{{ name }}{{ '%s' % city }}",
        "{% include 'part.html' %}{{ name }}",
        "{% from 'parts.html' import city %}{{ city }}{{ name }}",
        "{% import 'parts.html' as plan %}{{ plan.city }}{{ name }}",
        "{% for item in items recursive %}{{ name }}{{ item.title }}{% endfor %}",
        "{{ loop }}{{ campaign }}",
        "{% if false %}{{ name }}{% endif %}{{ city }}",
    ],
)
@pytest.mark.parametrize("more", [{}, {"name": 7}, {"name": None}, {"city": ""}, {"plan": date(2026, 11, 24)}])
def test_a_shortened_template_prints_what_jinja_prints(tmp_path, source, html, more):
    (tmp_path / "part.html").write_text("{% set name = 'part' %}<{{ name }}{{ city }}>", encoding="utf-8")
    (tmp_path / "parts.html").write_text("{% set city = 'Graz' %}", encoding="utf-8")
    opened = page(tmp_path, source, html=html)
    row = {**ROW, **more}
    found = drawn(opened, row)
    opened.shortcut = None
    assert found == drawn(opened, row)


def test_columns_that_are_only_printed_are_not_asked_of_jinja(tmp_path):
    opened = page(tmp_path, "Dear {{ name }} of {{ city }}{% for one in items %}, {{ name }}{% endfor %}")
    assert opened.shortcut
    template = opened.shortcut[0]
    assert list(template.root_render_func(template.new_context(ROW))).count(None) == 0


def test_what_one_row_sets_the_next_one_does_not_see(tmp_path):
    (tmp_path / "part.html").write_text("{{ seen is defined }}", encoding="utf-8")
    opened = page(tmp_path, "{{ name }}{% if items %}{% set seen = 1 %}{% endif %}{% include 'part.html' %}")
    assert opened.shortcut
    assert [opened.text({**ROW, "items": items}) for items in (["x"], [])] == ["Ada <b>True", "Ada <b>False"]


@pytest.mark.parametrize(
    "source",
    [
        "{% extends 'base.html' %}{% block body %}{{ name }}{% endblock %}",
        "{% block body %}{{ name }}{% endblock %}",
        "{% autoescape false %}{{ name }}{% endautoescape %}",
        "nothing but text",
        "{{ items[0].title }}",
    ],
)
def test_where_it_cannot_be_told_beforehand_there_is_no_shortcut(tmp_path, source):
    (tmp_path / "base.html").write_text("{% set name = 'x' %}{% block body %}{% endblock %}", encoding="utf-8")
    assert page(tmp_path, source).shortcut is None


def test_text_that_looks_like_a_mark_of_ours_is_no_mark():
    tree, other = Environment().parse("{{ name }}"), Environment().parse(f"{START}0")
    assert shortened(tree, [other], COLUMNS) is None
    assert shortened(tree, [], COLUMNS) is not None


def test_a_row_without_the_column_is_told_the_line(tmp_path):
    opened = page(tmp_path, "Dear\n{{ name }}")
    with pytest.raises(UndefinedError) as undefined:
        "".join(map(str, opened.render({}).values))
    assert "page.html:2: 'name' is undefined" in str(opened.explain({}, undefined.value))


def test_ways_without_end_are_not_kept(tmp_path):
    opened = page(tmp_path, "{% for one in items %}x{% endfor %}{{ name }}")
    assert opened.shortcut
    for count in range(MOST_WAYS + 20):
        opened.render({**ROW, "items": [1] * count})
    assert len(opened.shortcut[1]._kept) <= MOST_WAYS
