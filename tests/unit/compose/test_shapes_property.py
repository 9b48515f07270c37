"""Random templates and rows: what is inlined once per shape is, as a tree, what is made of each row alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from campaign.compose.composer import Brief, Composer
from campaign.compose.html.css.css_inliner import Styles
from campaign.compose.html.tree_diff import difference
from campaign.config.compose import ComposeSection
from campaign.model import Identity, Letter, Mailbox, Recipient
from tests.support.rendering import rendered_html

RULES = [
    "p { color: #333 }",
    ".a { font-weight: bold; margin: 0 }",
    ".b { text-align: right; width: 50px }",
    "#x { background-color: #abc }",
    "td { vertical-align: top }",
    "p.a { color: red !important }",
    "a[href^='https'] { color: green }",
    "td[align=right] { padding: 1px }",
    "div > p { line-height: 2 }",
    "p + p { margin-top: 3px }",
    "li:first-child { font-size: 9px }",
    "a:hover { color: blue }",
    "@media (max-width: 9px) { p { color: black } }",
    "td { width: calc(100% - 2px) }",
]
PARTS = [
    "<p>{{ one }}</p>",
    "<p class='{{ two }}'>{{ one }} and {{ three }}</p>",
    '<p id="{{ two }}">x{{ one }}y{{ two }}</p>',
    '<a href="https://example.com/{{ one }}?q={{ three }}">{{ one }}</a>',
    '<a href="https://example.com/" title="{{ three }}">link</a>',
    '<img src="https://example.com/{{ one }}.png" alt="{{ one }}">',
    '<table><tr><td align="{{ two }}">{{ three }}</td><td>{{ one }}</td></tr></table>',
    '<div>{% if three %}<p class="a">{{ three }}</p>{% else %}<p>none</p>{% endif %}</div>',
    "<ul>{% for word in words %}<li class='b'>{{ word }}{{ loop.index }}</li>{% endfor %}</ul>",
    "{% macro card(text) %}<div class='a'><p>{{ text }}</p></div>{% endmacro %}{{ card(one) }}{{ card(three) }}",
    "{% set whole %}{{ one }} - {{ three }}{% endset %}<p>{{ whole }}</p>",
    "{% filter upper %}<p>{{ one }}</p>{% endfilter %}",
    "{% macro box(x) %}<u>{{ x }}{{ caller() }}</u>{% endmacro %}{% call box(one) %}<s>{{ three }}</s>{% endcall %}",
    "{% macro tag(x) %}<em>{{ x }}</em>{% endmacro %}{% set y %}{{ tag(one) }}{{ three }}{% endset %}{{ tag(y) }}",
    "{% macro all(xs) %}{% for x in xs %}{{ caller(x) }}{% endfor %}{% endmacro %}"  # noqa: ISC004 - one template
    "{% filter upper %}{% call(z) all(words) %}{{ z }}-{% endcall %}{% endfilter %}",
    "{% autoescape false %}{{ one|e }}{% endautoescape %}",
    "<!--[if mso]><p>{{ one }}</p><![endif]-->",
    '<p style="font-size: {{ size }}px">&nbsp;{{ size }} &copy;</p>',
    "<p>{{ three|upper }} {{ words|join(', ') }} {{ one|e }}</p>",
    "<b>{{ one ~ three }}</b>",
]
TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00\r\ufffe\uffff"), max_size=12)
NAME = st.sampled_from(["a", "b", "x", "a b", "right", "zz"])
ROW = st.fixed_dictionaries(
    {
        "one": TEXT,
        "two": NAME,
        "three": st.one_of(st.just(""), TEXT, st.sampled_from(["<b>", "a&b", "&amp;", '"', "'", "中文 链接", " "])),
        "words": st.lists(TEXT, max_size=3),
        "size": st.integers(1, 40),
    }
)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def page(rules: list[str], parts: list[str]) -> str:
    return (
        f"<!DOCTYPE html><html><head><meta charset='utf-8'><style>{' '.join(rules)}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def composer(folder: Path, source: str, **more: Any) -> Composer:
    (folder / "body.html.j2").write_text(source, encoding="utf-8")
    compose = ComposeSection(subject="s", html="body.html.j2", **more)
    identity = Identity("demo", "1", 1, b"k" * 32)
    columns = ("one", "two", "three", "words", "size")
    return Composer(Brief(identity, Mailbox("", "a@example.com"), None, None, compose, folder, columns))


def recipient(row: dict[str, Any], number: int = 0) -> Recipient:
    return Recipient(number, "b@example.com", "b@example.com", "", number + 2, row)


def printable(row: dict[str, Any]) -> dict[str, Any]:
    """What the composer makes of control characters is its own rule; the comparison is about the rest."""
    from campaign.compose.template.static_dynamic_split import cleaned

    return {
        key: cleaned(value) if isinstance(value, str) else [cleaned(v) for v in value] if key == "words" else value
        for key, value in row.items()
    }


@SLOW
@given(
    st.lists(st.sampled_from(RULES), max_size=6),
    st.lists(st.sampled_from(PARTS), max_size=6),
    st.lists(ROW, min_size=1, max_size=4),
)
def test_the_tree_by_shape_is_the_tree_per_row(tmp_path_factory, rules, parts, rows):
    made = composer(tmp_path_factory.mktemp("shape"), page(rules, parts))
    for row in rows:
        variables = made._variables.of(recipient(row))
        assert difference(rendered_html(made, variables, "row"), rendered_html(made, variables)) == ""


@SLOW
@given(
    st.lists(st.sampled_from(RULES), max_size=6),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=6),
    st.lists(ROW, min_size=1, max_size=3),
)
def test_the_tree_is_that_of_plain_jinja_inlined_whole(tmp_path_factory, rules, parts, rows):
    source = page(rules, parts)
    made = composer(tmp_path_factory.mktemp("plain"), source)
    inliner = Styles(Path("/nowhere"), (), "premailer")
    plain = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    for row in map(printable, rows):
        variables = made._variables.of(recipient(row))
        ours = rendered_html(made, variables)
        assert difference(inliner.inline(plain.render(**variables)), ours) == ""


HOSTILE = st.sampled_from(
    [
        *("<script>x</script>", "'\" onload=x ", "--><b>", "</style><b>", "]]><b>", "&lt;b&gt;", "<![endif]--><b>"),
        *("\x02<b>\x02\x03", "\x02", "\x03", "{{ 7 }}", "campaign-veiled-3c623e-", "\ue000\ue0a0", "=3Cb=3E"),
        *("\u2028<b>", "x\x00<b>", "v0n0z"),
    ]
)


@SLOW
@given(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=6),
    HOSTILE,
    HOSTILE,
    st.lists(HOSTILE, min_size=2, max_size=2),
)
def test_no_value_can_add_an_element_or_an_attribute(tmp_path_factory, parts, one, three, words):
    made = composer(tmp_path_factory.mktemp("hostile"), page(RULES, parts))
    mild = {"one": "1", "two": "a", "three": "3", "words": ["w", "w"], "size": 3}
    for inlining in ("shape", "row"):
        bones = [
            skeleton(rendered_html(made, made._variables.of(recipient(row)), inlining))
            for row in (mild, {**mild, "one": one, "three": three, "words": words})
        ]
        assert bones[0] == bones[1]


def skeleton(html: str) -> list[tuple[str, list[str]]]:
    tree = etree.fromstring(html.encode(), etree.HTMLParser(encoding="utf-8"))
    return [(str(element.tag), sorted(element.attrib)) for element in tree.iter() if isinstance(element.tag, str)]


@SLOW
@given(st.lists(st.sampled_from(PARTS), max_size=4), st.lists(ROW, min_size=2, max_size=4))
def test_letters_are_the_same_in_any_order_and_in_any_company(tmp_path_factory, parts, rows):
    folder = tmp_path_factory.mktemp("order")
    source = page(RULES[:4], parts)
    forward, backward = composer(folder, source), composer(folder, source)
    people = [recipient(row, number) for number, row in enumerate(rows)]
    ahead = {one.number: forward.compose(one, 1.0e9) for one in people}
    back = {one.number: backward.compose(one, 1.0e9) for one in reversed(people)}
    assert ahead == back
    for letter in ahead.values():
        if isinstance(letter, Letter):
            assert letter.content.isascii()
            assert all(len(line) <= 998 for line in letter.content.split(b"\r\n"))
            assert b"\n" not in letter.content.replace(b"\r\n", b"")
            assert b"\r" not in letter.content.replace(b"\r\n", b"")
            assert not letter.sound or (b"\n." not in letter.content and b"\0" not in letter.content)


if __name__ == "__main__":
    pytest.main([__file__, "-n0"])
