"""Which names decide what else a template prints."""

from __future__ import annotations

import pytest
from jinja2 import Environment

from campaign.compose.template.deciding_names import deciding_names


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{{ name }} {{ city or 'here' }}", []),
        ("{% if plan == 'pro' %}x{% elif note %}y{% endif %}{{ name }}", ["plan", "note"]),
        ("{{ 'a' if plan else 'b' }}", ["plan"]),
        ("{% for line in lines %}{{ line.cents }}{% endfor %}", ["lines"]),
        ("{% include {'de': 'a', 'en': 'b'}[language] %}", ["language"]),
        ("{% macro m(x) %}{% if x %}y{% endif %}{% endmacro %}{{ m(plan, y=note) }}", ["x", "plan", "note"]),
        ("{% set a = plan %}{% set b = a == 'pro' %}{% if b %}x{% endif %}{% set c = city %}", ["b", "a", "plan"]),
    ],
)
def test_conditions_loops_calls_and_what_stands_behind_them_decide(template: str, names: list[str]):
    assert deciding_names([Environment().parse(template)]) == names
