"""Whatever a row does, it is a letter or a reason, in bounded time and memory, and changes nothing for the others."""

from __future__ import annotations

import math
import re
import resource
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from campaign.compose import composer as room
from campaign.compose.composer import Brief, Composer
from campaign.compose.html.shape_cache import HEAVIEST
from campaign.compose.portion.draft import LONGEST_REASON
from campaign.config.compose import ComposeSection
from campaign.errors import ConfigError
from campaign.model import Identity, Letter, Mailbox, Recipient, Unrenderable

STYLED = "<style>.a { color: red } p { top: 0 } a[href] { top: 0 }</style>"
WAYS = ["shape", "row"]


def composer(folder: Path, body: str = "<p>{{ x }}</p>", inlining: Any = "shape", **more: Any) -> Composer:
    (folder / "body.html").write_text(body, encoding="utf-8")
    settings = ComposeSection(**{"subject": "s", "html": "body.html", **more})
    identity = Identity("gazette", "", 1, b"0123456789abcdef")
    brief = Brief(identity, Mailbox("", "news@example.com"), None, None, settings, folder, ("x", "y"))
    return Composer(brief, inlining)


def compose(made: Composer, x: Any = "x", y: Any = "y") -> Letter | Unrenderable:
    return made.compose(Recipient(0, "a@example.com", "a", "", 2, {"x": x, "y": y}), 1.0e9)


def reason(made: Composer, x: Any = "x", y: Any = "y") -> str:
    found = compose(made, x, y)
    assert isinstance(found, Unrenderable), found
    assert found.reason.isprintable()
    assert len(found.reason) <= LONGEST_REASON + 1
    return found.reason


# -- nothing escapes


@pytest.mark.parametrize("inlining", WAYS)
@pytest.mark.parametrize(
    ("body", "x"),
    [
        (STYLED + '<p style="font: {{ x }}">x</p>', "w " * 2_000),
        (STYLED + '<p style="font: {% for w in x %}{{ w }} {% endfor %}">x</p>', ["w"] * 2_000),
        (STYLED + '<p style="width: {{ x }}">x</p>', "calc(" * 199 + ")" * 199),
        (STYLED + '<p style="width: {% for w in x %}{{ w }}{% endfor %}1">x</p>', ["calc("] * 400),
    ],
)
def test_a_style_that_the_css_parser_cannot_take_is_the_rows_reason(tmp_path, inlining, body, x):
    made = composer(tmp_path, body, inlining)
    found = compose(made, x)
    assert isinstance(found, Letter) or re.search("characters, in an|too many words", found.reason)
    assert isinstance(compose(made, x[:2]), Letter)


@pytest.mark.parametrize("fault", [RecursionError("deep"), MemoryError(), KeyError("x"), AttributeError("a\x1b[31m")])
def test_a_fault_that_nobody_foresaw_is_one_rows_and_says_its_type(tmp_path, monkeypatch, fault):
    def fail(*_: object) -> None:
        raise fault

    made = composer(tmp_path)
    monkeypatch.setattr(room, "assembled", fail)
    assert type(fault).__name__ in reason(made)
    monkeypatch.undo()
    assert isinstance(compose(made), Letter)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_still_does(tmp_path, monkeypatch, stop):
    def fail(*_: object) -> None:
        raise stop

    made = composer(tmp_path)
    monkeypatch.setattr(room, "assembled", fail)
    with pytest.raises(stop):
        compose(made)


def test_a_row_that_fails_does_not_decide_the_way_of_inlining(tmp_path):
    made = composer(tmp_path, STYLED + '<p style="font: {% for w in x %}{{ w }} {% endfor %}">x</p>')
    row = {"x": ["w"] * 2_000, "y": ""}
    assert made.choose_inlining([Recipient(0, "a@example.com", "a", "", 2, row)]) == ("shape", "")


def test_reasons_are_short_and_fit_for_a_terminal(tmp_path):
    assert "x" * 50 in reason(composer(tmp_path, "{{ x|date }}"), "x" * 100_000)
    assert "U+001B" in reason(composer(tmp_path, subject="{{ x }}"), "\x1b[31m")
    assert "\ufffd" not in reason(composer(tmp_path, "{{ y[x] }}"), "\x1b[31m\n", {})


# -- time


@pytest.mark.parametrize("inlining", WAYS)
@pytest.mark.parametrize(
    ("body", "x"),
    [
        ("<p style='top: {{ i }}px'>x</p>", list(range(20_000))),
        ("<p class='{{ i }}'>x</p>", [f"a{n}" for n in range(40_000)]),
        ("<a href='https://example.com/{{ i }}'>{{ i }}</a> ", ["a"] * 20_000),
        ("<style>.c{{ i }} { color: red }</style>", list(range(15_000))),
        ("<div><p>{{ i }}</p>", ["a"] * 20_000),
        ("<table><tr><td><p>{{ i }}</p></td></tr></table>", ["a"] * 20_000),
    ],
)
def test_a_row_that_takes_long_to_inline_is_stopped(tmp_path, inlining, body, x):
    made = composer(tmp_path, f"{STYLED}{{% for i in x %}}{body}{{% endfor %}}", inlining, row_timeout=0.2)
    began = time.thread_time()
    assert re.search("row_timeout|inside each other", reason(made, x))
    assert time.thread_time() - began < 2.5
    assert isinstance(compose(made, x[:2]), Letter)


@pytest.mark.parametrize("inlining", WAYS)
def test_a_sheet_of_many_rules_is_stopped_between_them(tmp_path, inlining):
    body = "<style>{% for i in x %}.c{{ i }} { color: red }\n{% endfor %}</style><p>x</p>"
    made = composer(tmp_path, body, inlining, row_timeout=0.2)
    began = time.thread_time()
    assert "row_timeout" in reason(made, list(range(20_000)))
    assert time.thread_time() - began < 2.5


@pytest.mark.parametrize("value", ["x" * 500_000, "x " * 250_000])
@pytest.mark.parametrize(
    "body", ["<p class='{{ x }}'>x</p>", "<p style='{{ x }}'>x</p>", "<style>p { top: {{ x }} }</style><p>x</p>"]
)
def test_what_shapes_a_letter_is_short(tmp_path, value, body):
    assert "500,000 characters" in reason(composer(tmp_path, STYLED + body), value)


def test_elements_are_not_nested_without_end(tmp_path):
    """The inliner's parser drops what is deeper than 256, and finding one rule takes the square of the depths."""
    body = STYLED + "{% for i in x %}<div>{% endfor %}<p>here</p>"
    made = composer(tmp_path, body)
    assert "inside each other" in reason(made, ["i"] * 300)
    assert b"here" in made.compose(Recipient(0, "a@example.com", "a", "", 2, {"x": ["i"] * 150, "y": ""}), 1e9).content
    flat = composer(tmp_path, STYLED + "{% for i in x %}" + "<div>" * 150 + "<p>x" + "</div>" * 150 + "{% endfor %}")
    assert "inside each other" in reason(flat, ["i"] * 500)


TWINS = (
    "{% macro f(n) %}{% if n %}{% call g(n - 1) %}{% endcall %}{% endif %}{% endmacro %}"
    "{% macro g(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(60) }}"
)
DOUBLING = (
    "{% set ns = namespace(s=y) %}{% for i in range(40) %}{% set t %}{{ ns.s }}{{ ns.s }}{% endset %}"
    "{% set ns.s = t %}{% endfor %}{{ ns.s }}"
)
BUSY = [
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% block b %}{% set n = n|default(60) %}{% if n %}{{ self.b() }}{{ self.b() }}{% endif %}{% endblock %}",
    TWINS,
    "{% if x|length < 60 %}{% set x = x ~ 'x' %}{% include 'body.html' %}{% include 'body.html' %}{% endif %}",
    "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}",
    "{% for i in range(90000) %}{{ y|upper }}{% endfor %}",
    "{% for i in range(90000) recursive %}{{ loop(range(90000)) }}{% endfor %}",
    "{{ 1.5|round(1000000000, 'ceil') }}",
    "{{ range(99999)|batch(1)|sum(start=[]) }}",
    "{{ ('<>' * 1000000)|striptags }}",
    "{{ ('x' * 2000000)|wordwrap(1) }}",
    "{{ ('<!---->' * 200000)|striptags }}",
    "{{ ('%s' * 1000)|format(y * 100) }}",
    "{{ '%(a)s%(a)s%(a)s%(a)s' % {'a': y * 20} }}",
    "{{ '{0}{0}{0}{0}'.format(y * 20) }}",
    "{% set big = y * 19 %}{% set z %}{% for i in range(3000) %}{{ big }}{% endfor %}{% endset %}{{ z }}",
    "{% set big = y * 19 %}{% for i in range(3000) %}{{ big }}{% endfor %}",
    "{% set big = y * 19 %}{% for i in range(3000) %}{{ [big] }}{% endfor %}",
    DOUBLING,
    "{% set z %}{{ y }}{{ y }}{% endset %}" + "{% set z %}{{ z }}{{ z }}{% endset %}" * 40 + "{{ z }}",
    "{% macro d(t) %}{{ t }}{{ t }}{% endmacro %}{{ " + "d(" * 40 + "y" + ")" * 40 + " }}",
    "{% filter upper %}" * 20 + "{% for i in range(99999) %}{{ y }}{% endfor %}" + "{% endfilter %}" * 20,
]


@pytest.mark.parametrize(
    ("source", "place"),
    # only the body can include itself
    [
        (one, place)
        for one in BUSY
        for place in ("html", "text", "subject")
        if place == "html" or "body.html" not in one
    ],
)
def test_a_template_that_a_row_drives_mad_is_stopped_in_time_and_memory(tmp_path, source, place):
    (tmp_path / "body.txt").write_text(source)
    settings = {"html": {}, "text": {"text": "body.txt", "html": ""}, "subject": {"subject": source}}[place]
    made = composer(tmp_path, source if place == "html" else "<p>x</p>", row_timeout=0.5, **settings)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    reason(made, "x", "y" * 100_000)
    assert time.thread_time() - began < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kilobytes


def test_static_text_is_bounded_too(tmp_path):
    made = composer(tmp_path, "{% for i in range(90000) %}" + "static " * 100 + "{% endfor %}")
    assert "2,097,152" in reason(made)


def test_what_is_kept_of_large_letters_is_bounded(tmp_path):
    made = composer(tmp_path, "<p>{{ y|safe }}</p><i>{{ x }}</i>", inline_css=False)
    for number in range(40):
        assert isinstance(compose(made, "x", f"<b>{number}</b>" + "y" * 1_900_000), Letter)
    shapes = made.files.shapes
    assert shapes._shapes._weight <= HEAVIEST
    assert shapes._outlines._weight <= HEAVIEST
    assert len(shapes._shapes) < 20


# -- headers and links


@pytest.mark.parametrize("setting", [{"subject": "{{ x }}"}, {"headers": {"X-Y": "{{ x }}"}}])
@pytest.mark.parametrize("value", ["a\x02b", "\x02", "\x02\x03", "\x02a\x02\x03", "a\x03"])
def test_no_control_character_vanishes_from_a_header(tmp_path, setting, value):
    assert re.search(r"a control character \(U\+000[23]\)", reason(composer(tmp_path, **setting), value))


def test_captured_text_in_a_header_is_what_it_seems(tmp_path):
    made = composer(
        tmp_path, subject="{% set a %}{{ x }}{% endset %}{{ a|length }}{{ a }}{% filter upper %}{{ x }}{% endfilter %}"
    )
    found = compose(made, "abc")
    assert isinstance(found, Letter)
    assert b"Subject: 3abcABC\r\n" in found.content


JAVASCRIPT = [
    *("javascript:alert(1)", " JavaScript:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)"),
    *("java\tscript:x", "vbscript:x", "data:text/html,x", "file:///etc/passwd"),
]
LINKS = [
    *('<svg><a xlink:href="{{ x }}"><text>x</text></a></svg>', '<form><button formaction="{{ x }}">x</button></form>'),
    *(
        '<meta http-equiv="refresh" content="0; url={{ x }}">',
        '<meta http-equiv="Refresh" content="0;URL=\'{{ x }}\'">',
    ),
    *('<a href="{{ x }}">x</a>', "<a href='  {{ x }}'>x</a>"),
    *("<img src='{{ x }}'>", "<form action='{{ x }}'></form>", "<object data='{{ x }}'></object>"),
    *("<style>a[href^='https'] { top: 0 }</style><a href='{{ x }}'>x</a>", "<blockquote cite='{{ x }}'>x</blockquote>"),
    "<!--[if mso]><a href='{{ x }}'>x</a><![endif]--><p>x</p>",
]


@pytest.mark.parametrize("inlining", WAYS)
@pytest.mark.parametrize("body", LINKS)
@pytest.mark.parametrize("value", JAVASCRIPT)
def test_no_link_runs_what_a_row_says(tmp_path, inlining, body, value):
    made = composer(tmp_path, body + "<p>x</p>", inlining, images="link")
    found = compose(made, value)
    if isinstance(found, Letter):  # as a path, a line break in it written out
        assert b"%0A" in found.content or b"%09" in found.content
    else:
        assert "a link begins with" in found.reason
    assert isinstance(compose(made, "https://example.com/"), Letter)


CAPTURED = [
    "{% set link %}<a href='{{ x }}'>x</a>{% endset %}{{ link }}",
    "{% set link %}<a href={{ x }}>x</a>{% endset %}{{ link }}",
    "{% set box %}<p style='color: {{ x }}'>x</p>{% endset %}{{ box }}",
    "{% macro link(to) %}<a href='{{ to }}'>x</a>{% endmacro %}{{ link(x) }}",
    "{% macro link(to) %}<a href='{{ to }}'>x</a>{% endmacro %}{{ link(x)|replace('y', 'z') }}",
    "{% filter trim %}<a href='{{ x }}'>x</a>{% endfilter %}",
    "{% macro box() %}<div>{{ caller() }}</div>{% endmacro %}{% call box() %}<a href='{{ x }}'>x</a>{% endcall %}",
]


@pytest.mark.parametrize("inlining", WAYS)
@pytest.mark.parametrize("body", CAPTURED)
@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "\x02javascript:alert(1)", "\x02\x02\x03javascript:alert(1)//@"]
)
def test_captured_text_is_no_way_around_what_may_stand_in_links_and_styles(tmp_path, inlining, body, value):
    made = composer(tmp_path, body + "<p>x</p>", inlining, images="link")
    assert re.search("a link begins with|stands outside of quotes|stands in a style", reason(made, value))
    assert isinstance(compose(made, "red"), Letter)


@pytest.mark.parametrize(
    ("body", "x", "y"),
    [
        ("<a href='{{ x }}{{ y }}'>x</a>", "javascript", ":alert(1)"),
        ("<a href='{{ x }}:{{ y }}'>x</a>", "javascript", "alert(1)"),
        ("<a href='java{{ x }}'>x</a>", "script:alert(1)", ""),
        ("<svg><a xlink:href='{{ x }}{{ y }}'>x</a></svg>", "java", "script:alert(1)"),
        ("<meta http-equiv='refresh' content='{{ x }};url={{ y }}'>", "0", "javascript:alert(1)"),
        ("<a href='{% for c in x %}{{ c }}{% endfor %}'>x</a>", list("javascript:alert(1)"), ""),
    ],
)
def test_no_link_is_pieced_together_to_one_that_runs(tmp_path, body, x, y):
    assert "a link begins with" in reason(composer(tmp_path, body, images="link"), x, y)


@pytest.mark.parametrize(
    ("body", "x"),
    [
        ("<a href={{ x }}:{{ y }}>x</a>", "javascript"),
        ("<meta http-equiv='refresh' content='{{ x }}'>", "0;url=javascript:alert(1)"),
        ("<meta http-equiv='refresh' content='{{ x }};url=https://example.com/'>", "0;url=javascript:alert(1)"),
    ],
)
def test_where_no_quotes_are_a_word_is_all_that_may_stand(tmp_path, body, x):
    assert "quotes" in reason(composer(tmp_path, body), x, "alert%281%29")


@pytest.mark.parametrize(
    ("body", "x", "y"),
    [
        ("<a href='https://example.com/{{ x }}:{{ y }}'>x</a>", "javascript", "alert(1)"),
        ("<a href='{{ x }}?q={{ y }}'>x</a>", "https://example.com/", "a:b"),
        ("<a href='{{ x }}{{ y }}'>x</a>", "https:", "//example.com/"),
        ("<a href='http{{ x }}://example.com/'>x</a>", "s", ""),
        ("<a href='mailto:{{ x }}'>x</a>", "javascript:x", ""),
        ("<a href='#{{ x }}'>x</a>", "javascript:x", ""),
        ("<meta name='description' content='{{ x }}'>", "javascript: a language", ""),
    ],
)
def test_what_is_no_danger_in_a_link_passes(tmp_path, body, x, y):
    assert isinstance(compose(composer(tmp_path, body + "<p>x</p>"), x, y), Letter)


# -- the way out


@pytest.mark.parametrize(
    ("template", "value", "shown"),
    [
        ("{{ x }}", "", "''"),
        ("{% if x %}https://example.com/{{ x }}{% endif %}", "", "''"),
        ("{{ x }}", "http://example.com/", "'http://example.com/'"),
        ("{{ x }}", "mailto:a@example.com", "'mailto:a@example.com'"),
        ("{{ x }}://example.com/", "http", "'http://example.com/'"),
        ("https://example.com/{{ x }}", "a b", "not an https link in plain ASCII"),
        ("https://{{ x }}/", "", "not an https link in plain ASCII"),
    ],
)
@pytest.mark.parametrize("mailto", ["", "leave@example.com"])
def test_a_row_without_an_https_way_out_is_told_so(tmp_path, template, value, shown, mailto):
    made = composer(tmp_path, unsubscribe=template, unsubscribe_mailto=mailto)
    found = reason(made, value)
    assert shown in found
    assert "https link" in found
    made_for = compose(
        made, "https" if "://e" in template else "https://example.com/u" if template == "{{ x }}" else "u"
    )
    assert isinstance(made_for, Letter)
    assert made_for.content.count(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") == 1
    assert b"List-Unsubscribe: <https://" in made_for.content


@pytest.mark.parametrize(
    "template",
    [
        *("http://example.com/{{ unsubscribe_token }}", "example.com/{{ unsubscribe_token }}", "HTTP://example.com/"),
        *("mailto:leave@example.com?subject={{ unsubscribe_token }}", "//example.com/{{ x }}", "http://example.com/"),
        *("https://exämple.com/{{ x }}", "https://example.com/a b/{{ x }}", "h{{ x }}x", "httpx{{ x }}", "{# #}"),
    ][:-3],
)
def test_a_way_out_that_is_wrong_for_every_row_is_told_before_the_first(tmp_path, template):
    with pytest.raises(ConfigError, match="no https link") as error:
        composer(tmp_path, unsubscribe=template)
    assert "https://example.com/u/" in error.value.next_step


@pytest.mark.parametrize("value", [0, "0", 0.0, False])
def test_zero_is_an_id_like_any_other(tmp_path, value):
    made = composer(tmp_path, unsubscribe="https://example.com/{{ unsubscribe_token }}", unsubscribe_id="x")
    assert isinstance(compose(made, value), Letter)
    for empty in (None, "", "  "):
        assert "the column x is empty" in reason(made, empty)


@pytest.mark.parametrize("date", [math.nan, math.inf, -math.inf, 1e18, -1e18, 253_402_300_800, -3e9])
def test_a_date_that_is_none_is_refused(tmp_path, date):
    found = composer(tmp_path).compose(Recipient(0, "a@example.com", "a", "", 2, {"x": "", "y": ""}), date)
    assert isinstance(found, Unrenderable)
    assert "is not a date that a letter may have" in found.reason


# -- size, whatever a template does


TREE = "{% set n = namespace(v=[x]) %}{% for i in range(40) %}{% set n.v = [n.v, n.v] %}{% endfor %}"
TABLE = "{% set n = namespace(v=[x]) %}{% for i in range(40) %}{% set n.v = {'a': n.v, 'b': n.v} %}{% endfor %}"
KEPT = "{% set n = namespace(v=[]) %}{% for i in range(9999) %}{% set n.v = [n.v, MADE] %}{% endfor %}"
LONG, HUGE = "a" * 500_000, Decimal("1e9999999")
ENDLESS: list[tuple[str, Any, Any]] = [
    ("{{ x|join(y) }}", LONG, LONG),
    ("{{ y.join(x) }}", LONG, LONG),
    ("{{ x|join(d=y) }}", ["a"] * 2_000, LONG),
    ("{{ '%9999d' * 300 % x }}", [1], 1),
    ("{{ ('{:9999}' * 300).format(*x) }}", [1] * 300, 1),
    ("{{ '{:.3f}'.format(x) }}", HUGE, 1),
    ("{{ x|int }}", HUGE, 1),
    ("{{ x|round }}", HUGE, 1),
    ("{{ x // y }}", 1 << 90_000, 3),
    ("{{ x / y }}", 1 << 90_000, 3),
    (TREE + "{{ n.v }}", 1, 1),
    (TREE + "{{ n.v|string }}", 1, 1),
    (TREE + "{{ '%s' % (n.v,) }}", 1, 1),
    (TABLE + "{{ n.v|tojson }}", 1, 1),
    *((KEPT.replace("MADE", made), LONG, 1) for made in ("x|upper", "x[i:]", "x ~ i", "x.upper()", "x + y|string")),
]


@pytest.mark.parametrize("number", range(len(ENDLESS)))  # as parameters, some of these would have no end either
def test_no_template_makes_a_row_of_more_than_memory_holds(tmp_path, number):
    body, x, y = ENDLESS[number]
    made = composer(tmp_path, body)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    assert "the template" in reason(made, x, y)
    assert time.thread_time() - began < 6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000


def test_what_one_row_made_is_not_counted_for_the_next(tmp_path):
    made = composer(tmp_path, "{% for i in range(100) %}{% set a = x|upper %}{% endfor %}ok")
    for _ in range(8):
        assert isinstance(compose(made, "a" * 400_000), Letter)


@pytest.mark.parametrize("inlining", WAYS)
@pytest.mark.parametrize(
    "body",
    ["<p title='a' title={{ x }}>x</p>", "<p>a<td title={{ x }}>b", "<form>a<form action={{ x }}>b</form></form>"],
)
def test_a_gap_that_browsers_drop_takes_one_word_only(tmp_path, inlining, body):
    made = composer(tmp_path, body, inlining)
    assert "outside of quotes" in reason(made, "a onclick=alert(1)")
    assert isinstance(compose(made, "word"), Letter)


@pytest.mark.parametrize(
    "body", ['<!--[if mso]><a HREF="{{ x }}"><![endif]-->', '<!--[if mso]><td background="{{ x }}"><![endif]-->']
)
def test_a_link_in_a_conditional_comment_brings_no_script(tmp_path, body):
    assert "javascript" in reason(composer(tmp_path, body + "<p>x</p>"), "javascript:alert(1)")


@pytest.mark.parametrize(
    ("body", "value", "place"),
    [
        ('<script>var a = "{{ x }}";</script>', "a", "in a script element"),
        ("<svg><script>a({{ x }})</script></svg>", "1", "in a script element"),
        ("<a onclick=\"go('{{ x }}')\">t</a>", "a", "in the attribute onclick"),
        ("<img src=/x ONERROR={{ x }}>", "a", "in the attribute onerror"),
        ('<iframe srcdoc="{{ x }}"></iframe>', "a", "in the attribute srcdoc"),
        ('<svg><a><animate attributeName="href" values="{{ x }}"/></a></svg>', "a", "in a tag animate"),
        ('<svg><a><set attributeName="href" to="{{ x }}"/></a></svg>', "a", "in a tag set"),
        ("<{{ x }}>t</{{ x }}>", "script", "in the name of a tag"),
        ("<h{{ x }}>t</h{{ x }}>", "1", "in the name of a tag"),
        ('<a {{ x }}="/y">t</a>', "href", "in the name of an attribute"),
        ('<img src=/x data-{{ x }}="{{ y }}">', "a", "in the name of an attribute"),
        ("<input {{ x }}>", "onfocus", "in the name of an attribute"),
        ('<a title="a"{{ x }}>t</a>', "onclick", "in the name of an attribute"),
    ],
)
@pytest.mark.parametrize("inlining", WAYS)
def test_a_value_in_code_or_in_a_name_is_refused_with_the_place(tmp_path, inlining, body, value, place):
    made = composer(tmp_path, body + "<p>x</p>", inlining, images="link")
    assert f"a value stands {place}" in reason(made, value)


@pytest.mark.parametrize(
    "body",
    [
        '<script type="application/ld+json">{"name": "{{ x }}"}</script>',
        "<td title={{ x }}>t</td>",
        '<input {% if x %}checked{% endif %} title="{{ x }}">',
        "<a onclick=\"go()\" title='{{ x }}'>t</a>",
        '<svg><animate attributeName="x" to="1"/><text>{{ x }}</text></svg>',
    ],
)
def test_code_and_names_that_the_template_writes_out_stay(tmp_path, body):
    assert isinstance(compose(composer(tmp_path, body + "<p>x</p>", images="link"), "word"), Letter)
