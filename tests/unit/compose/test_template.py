"""Templates: what is found before anything is sent, what a row can do to them, and what it cannot."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from campaign.compose.template.row_timeout import RowTimer
from campaign.compose.template.template import LOCALE, Page, RowRefused, Templates
from campaign.errors import ConfigError

COLUMNS = ("name", "items", "due", "price", "nick")


def templates(root: Path, **more: Any) -> Templates:
    return Templates(root.resolve(), root.resolve(), COLUMNS, ("campaign",), more.pop("watch", RowTimer(5.0)), **more)


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        (root / f"{name}.html").write_text(text, encoding="utf-8")


def page(root: Path, source: str, *, html: bool = True) -> Page:
    (root / "page.html").write_text(source, encoding="utf-8")
    return templates(root).file((root / "page.html").resolve(), html=html)


def test_an_unknown_variable_is_told_with_template_line_and_the_columns_there_are(tmp_path):
    with pytest.raises(ConfigError) as error:
        page(tmp_path, "Hello\n{{ nmae }}")
    assert error.value.evidence[0] == "page.html:2: nmae (did you mean name?)"
    assert error.value.evidence[1] == "columns: name, items, due, price, nick"


def test_every_unknown_variable_of_all_included_templates_is_told_at_once(tmp_path):
    write(tmp_path, base="{% block body %}{{ basis }}{% endblock %}", part="{{ piece }}")
    with pytest.raises(ConfigError) as error:
        page(
            tmp_path, "{% extends 'base.html' %}\n{% block body %}{{ super() }}{% include 'part.html' %}{% endblock %}"
        )
    assert {"part.html:1: piece (did you mean price?)", "base.html:1: basis"} <= set(error.value.evidence)


def test_variables_set_by_the_including_template_are_known_in_the_included_one(tmp_path):
    write(tmp_path, part="<i>{{ item }} {{ shout }}</i>")
    found = page(tmp_path, "{% set shout = 'x' %}{% for item in items %}{% include 'part.html' %}{% endfor %}")
    assert found.text({"items": ["a", "b"]}) == "<i>a x</i><i>b x</i>"


def test_a_macro_imported_without_context_sees_no_columns_and_the_error_says_so(tmp_path):
    write(tmp_path, macros="{% macro hello() %}{{ name }}{% endmacro %}")
    with pytest.raises(ConfigError, match="imported without context"):
        page(tmp_path, "{% from 'macros.html' import hello %}{{ hello() }}")


@pytest.mark.parametrize(
    "source",
    ["{{ gone|default('-') }}", "{% if gone is defined %}{{ gone }}{% endif %}", "{{ campaign }}{{ range(2) }}"],
)
def test_what_may_be_missing_is_no_error(tmp_path, source):
    page(tmp_path, source)


@pytest.mark.parametrize(
    ("source", "place"),
    [("a\n{% if %}", "page.html:2"), ("{{ name", "page.html:1"), ("{% include 'part.html' %}", "part.html:3")],
)
def test_a_syntax_error_names_file_and_line(tmp_path, source, place):
    write(tmp_path, part="\n\n{% endfor %}")
    with pytest.raises(ConfigError) as error:
        page(tmp_path, source)
    assert error.value.evidence == (place,)


@pytest.mark.parametrize(
    ("source", "step"),
    [
        ("Dear\n{{ First Name }}", "correct line 2 of page.html: write {{ First_Name }}"),
        ("{{ First_Name }} {{ First Name|upper }}", "correct line 1 of page.html: write {{ First_Name }}"),
        ("{% if Member No. == 7 %}x{% endif %}", "correct line 1 of page.html: write {{ Member_No }}"),
        ("{{ First", "correct line 1 of page.html"),
        ("First Name {{ 1 2 }}", "correct line 1 of page.html"),
        ("{{ First Name\n}}", "correct line 1 of page.html: write {{ First_Name }}"),
    ],
)
def test_a_column_written_with_its_blanks_is_told_by_the_name_that_a_template_can_write(tmp_path, source, step):
    (tmp_path / "page.html").write_text(source, encoding="utf-8")
    found = Templates(tmp_path, tmp_path, ("Name", "First_Name", "Member_No"), (), RowTimer(5.0))
    with pytest.raises(ConfigError) as error:
        found.file(tmp_path / "page.html", html=True)
    assert error.value.next_step == step


@pytest.mark.parametrize("name", ["../secret.html", "link.html", "/etc/passwd", "gone.html", "folder"])
def test_nothing_outside_the_root_is_included(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    (root / "folder").mkdir()
    (tmp_path / "secret.html").write_text("secret")
    (root / "link.html").symlink_to(tmp_path / "secret.html")
    with pytest.raises(ConfigError, match="not there"):
        page(root, f"{{% include '{name}' %}}")


def test_a_link_that_stays_inside_the_root_is_followed(tmp_path):
    write(tmp_path, real="real")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    assert page(tmp_path, "{% include 'link.html' %}").text({}) == "real"


@pytest.mark.parametrize(("octets", "what"), [(b"a\nb\xff", "UTF-8"), (b"a\n\x02", "control character")])
def test_a_template_that_is_no_text_is_refused_with_its_line(tmp_path, octets, what):
    (tmp_path / "page.html").write_bytes(octets)
    with pytest.raises(ConfigError, match=what) as error:
        templates(tmp_path).file((tmp_path / "page.html").resolve(), html=True)
    assert error.value.evidence[0].endswith(":2")


def test_values_are_never_compiled(tmp_path):
    assert page(tmp_path, "{{ name }}").text({"name": "{{ 7 * 7 }}{% raw %}"}) == "{{ 7 * 7 }}{% raw %}"


def test_a_field_of_a_row_wins_over_a_method_of_the_same_name(tmp_path):
    assert page(tmp_path, "{{ items.items }} {{ items.keys()|list }}").text({"items": {"items": 3}}) == "3 ['items']"


def test_none_prints_nothing(tmp_path):
    assert page(tmp_path, "<{{ name }}>").text({"name": None}) == "<>"


def test_a_missing_attribute_is_told_with_the_line_of_the_template_it_stands_in(tmp_path):
    write(tmp_path, part="\n{{ item.titel }}")
    found = page(tmp_path, "{% for item in items %}{% include 'part.html' %}{% endfor %}")
    with pytest.raises(RowRefused, match=r"part\.html:2: .*titel"):
        found.text({"items": [{"title": "x"}]})


def test_a_failing_expression_is_told_with_its_line(tmp_path):
    with pytest.raises(RowRefused, match=r"page\.html:2: .*by zero"):
        page(tmp_path, "x\n{{ 1 // price }}").text({"price": 0})


@pytest.mark.parametrize("source", ["{{ name.upper }}", "{{ cycler }}", "{{ items.keys }}"])
def test_a_forgotten_pair_of_brackets_is_no_text(tmp_path, source):
    with pytest.raises(RowRefused, match=r"page\.html:1: a function is printed"):
        page(tmp_path, source).text({"name": "x", "items": {}})


def test_chance_has_no_place_in_a_letter(tmp_path):
    with pytest.raises(ConfigError, match="random"):
        page(tmp_path, "{{ items|random }}")


def test_printing_at_the_top_of_an_imported_template_stays_out_of_the_letter(tmp_path):
    write(tmp_path, macros="{{ 'noise'|upper }}{% macro hello(x) %}<b>{{ x }}</b>{% endmacro %}")
    drawn = page(tmp_path, "{{ name }}{% from 'macros.html' import hello %}{{ hello(name) }}").render({"name": "A"})
    assert drawn.statics.count(None) == len(drawn.values) == 2


BOMBS = [
    '{{ "a" * 10**9 }}',
    "{{ [1] * 10**9 }}",
    '{{ "%0100000000d"|format(1) }}',
    '{{ "%0100000000d" % 1 }}',
    '{{ "%*d" % (100000000, 1) }}',
    '{{ "{:0100000000d}".format(1) }}',
    '{{ "{:{}}".format(1, 100000000) }}',
    '{{ "a".center(100000000) }}',
    '{{ "a"|center(100000000) }}',
    '{{ "a".ljust(100000000) }}',
    '{{ "a".zfill(100000000) }}',
    '{{ ("\t" * 1000).expandtabs(10000000) }}',
    '{{ ("a" * 2000000).replace("a", "b" * 1000000) }}',
    '{{ ("a" * 2000000)|replace("a", "b" * 1000000) }}',
    '{{ ("a" * 1000000).join(range(9999)|map("string")|list) }}',
    '{{ range(9999)|join("a" * 1000000) }}',
    '{{ ("a\n" * 100000)|indent(100000) }}',
    "{{ 10 ** (10 ** 9) }}",
    "{% set ns = namespace(n=10 ** 5000) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    '{% set ns = namespace(s="aa") %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}',
    '{% set ns = namespace(s="aa") %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}',
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{{ j }}{% endfor %}{% endfor %}",
    "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{{ range(999999999)|list }}",
    "{{ lipsum(n=100000) }}",
]


@pytest.mark.parametrize("source", BOMBS)
def test_a_template_cannot_take_the_machine_with_it(tmp_path, source):
    began = time.process_time()
    with pytest.raises((RowRefused, ConfigError)):
        page(tmp_path, source).text({})
    assert time.process_time() - began < 2


def test_a_row_has_its_time_and_no_more(tmp_path):
    ticks = iter(range(1_000_000))
    watch = RowTimer(5.0, clock=lambda: float(next(ticks)), cpu=lambda: float(next(ticks)))
    opened = templates(tmp_path, watch=watch)
    watch.start()
    slow = opened.source("{% for i in range(90000) %}{% endfor %}", "compose.subject")
    with pytest.raises(RowRefused, match="row_timeout"):
        slow.text({})


def test_a_row_is_not_to_blame_for_a_machine_that_stood_still(tmp_path):
    ticks = iter(range(1_000_000))
    watch = RowTimer(5.0, clock=lambda: float(next(ticks)), cpu=lambda: 0.0)
    opened = templates(tmp_path, watch=watch)
    watch.start()
    assert opened.source("{% for i in range(90000) %}{% endfor %}x", "compose.subject").text({}) == "x"


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ name.__class__.__mro__ }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__}'.format_map({'0': 1}) }}",
    "{{ ('{0.__class__}'.format)(1) }}",
    "{{ ['{0.__class__}']|map('format', 1)|first }}{{ ''.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ items.append(1) }}",
    "{{ items.clear() }}",
    "{{ namespace.__init__ }}",
    "{{ name.encode.__self__ }}",
    "{{ (items|attr('append'))(1) }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_no_way_leads_out_of_the_sandbox(tmp_path, source):
    with pytest.raises((RowRefused, ConfigError)):
        page(tmp_path, source).text({"name": "x", "items": [1]})


def test_an_object_with_powers_has_none_in_a_template(tmp_path):
    class Powerful:
        secret = "open"

        def delete(self) -> str:
            raise AssertionError("called")

    for source in ("{{ name.delete() }}", "{{ name.secret }}"):
        with pytest.raises(RowRefused):
            page(tmp_path, source).text({"name": Powerful()})


@pytest.mark.parametrize(
    ("source", "locale", "shown"),
    [
        ("{{ due|date }}", "en", "Nov 24, 2026"),
        ("{{ due|date('full') }}", "de", "Dienstag, 24. November 2026"),
        ("{{ due|date('yyyy/MM') }}", "en", "2026/11"),
        ("{{ '2026-11-24T08:05'|datetime('short') }}", "de", "24.11.26, 08:05"),
        ("{{ price|number }}", "de", "1.234,5"),
        ("{{ price|number('0.00') }}", "en", "1234.50"),
        ("{{ price|currency('EUR') }}", "en_US", "€1,234.50"),
        ("{{ price|currency('EUR') }}", "pt-BR", "€\xa01.234,50"),
        ("{{ 0.25|percent }}", "en", "25%"),
        ("{{ due|date(locale='fr') }}", "en", "24 nov. 2026"),
    ],
)
def test_dates_numbers_and_money_are_written_in_the_rows_locale(tmp_path, source, locale, shown):
    found = templates(tmp_path).source(source, "compose.subject")
    assert found.text({LOCALE: locale, "due": "2026-11-24", "price": "1234.5"}) == shown
    assert found.text({LOCALE: locale, "due": date(2026, 11, 24), "price": 1234.5}) == shown


@pytest.mark.parametrize(
    "source", ["{{ name|date }}", "{{ name|number }}", "{{ name|currency('EUR') }}", "{{ 1|date(locale='xx_YY_Z') }}"]
)
def test_what_is_no_date_or_number_is_told_in_words(tmp_path, source):
    with pytest.raises(RowRefused, match=r"page\.html:1: .* is not a"):
        page(tmp_path, source).text({"name": "tomorrow"})


def test_fingerprints_cover_every_template_that_is_read(tmp_path):
    write(tmp_path, part="x", spare="y")
    opened = templates(tmp_path)
    opened.source("{% include 'part.html' %}", "compose.subject")
    assert set(opened.fingerprints()) == {"part.html"}


@pytest.mark.parametrize(
    "source",
    [
        "{% include name %}",
        "{% include [name, 'part.html'] %}",
        "{% include 'part' ~ nick ~ '.html' %}",
        "{% extends name %}",
        "{% extends 'part.html' if nick else name %}",
        "{% import name as x %}",
        "{% from name or 'part.html' import x %}",
        "{% include items[0] %}",
        "{% include {'a': 'part.html', 'b': name}[nick] %}",
        "{% for one in items %}{% include one %}{% endfor %}",
        "{% set one %}{{ name }}{% endset %}{% include one %}",
        "{% set one = one ~ 'x' %}{% include one %}",
        "{% macro show(one) %}{% include one %}{% endmacro %}{{ show(name) }}",
    ],
)
def test_a_row_cannot_choose_what_is_read(tmp_path, source):
    write(tmp_path, part="x")
    with pytest.raises(ConfigError) as error:
        page(tmp_path, "\n" + source)
    assert error.value.evidence == ("page.html:2",)
    assert "a row could name any file" in error.value.what
    assert "include {" in error.value.next_step


@pytest.mark.parametrize(
    "source",
    [
        "{% include 'a.html' if nick else 'b.html' %}",
        "{% include {'x': 'a.html', 'y': 'b.html'}[nick] %}",
        "{% include {'x': 'a.html'}.get(nick, 'b.html') %}",
        "{% set pages = {'x': 'a.html', 'y': 'b.html'} %}{% include pages[nick] %}",
        "{% set kind = 'a' if nick else 'b' %}{% include kind ~ '.html' %}",
        "{% for one in ['a.html', 'b.html'] %}{% include one %}{% endfor %}",
        "{% with one = 'a.html' %}{% include one %}{% endwith %}{% include 'b.html' %}",
        "{% include ['gone.html', 'a.html'] %}{% include 'b.html' ignore missing %}",
    ],
)
def test_a_template_may_choose_among_its_own(tmp_path, source):
    write(tmp_path, a="A{{ name }}", b="B{{ name }}")
    opened = templates(tmp_path)
    assert opened.source(source, "compose.subject").text({"name": "1", "nick": "x"})[:2] == "A1"
    assert set(opened.fingerprints()) == {"a.html", "b.html"}


def test_of_several_templates_one_has_to_be_there(tmp_path):
    with pytest.raises(ConfigError, match="not there"):
        page(tmp_path, "{% include ['gone.html', 'none.html'] %}")


DECLARED = [
    "{% macro hello(x) %}<b>{{ x }}</b>{% endmacro %}",
    "{% set hello = 'x'.format %}",
    "{% from 'parts.html' import hello %}",
    "{% from 'parts.html' import other as hello %}",
    "{% import 'parts.html' as hello %}",
    "{% set hello %}x{% endset %}",
    "{% set one, hello = 'a', 'b' %}",
    "{% if nick %}{% set hello = 'x' %}{% else %}{% set hello = 'y' %}{% endif %}",
]


@pytest.mark.parametrize("declared", DECLARED)
@pytest.mark.parametrize("extends", ["{% extends 'base.html' %}", ""])
def test_what_stands_at_the_top_of_a_template_is_known_in_its_blocks(tmp_path, declared, extends):
    parts = "{% macro hello(x) %}{{ x }}{% endmacro %}{% macro other(x) %}{{ x }}{% endmacro %}"
    write(tmp_path, base="{% block body %}{% endblock %}", parts=parts)
    inner = "{% block inner %}{{ hello|string|length }}{% endblock %}"
    found = page(tmp_path, extends + declared + "{% block body %}" + inner + "{% endblock %}")
    assert found.text({"name": "1", "nick": ""}).strip()


@pytest.mark.parametrize(
    "source",
    [
        "{% if nick %}{% set hello = 1 %}{% else %}{% set hello = 2 %}{% endif %}{{ hello }}",
        "{% for x in items %}{% if x %}{% set hello = 1 %}{% else %}{% set hello = 2 %}{% endif %}{{hello}}{%endfor%}",
        "{% if nick %}{% set hello = 1 %}{% endif %}{% if nick %}{{ hello }}{% endif %}",
        "{% if nick %}{% macro hello() %}{% endmacro %}{% endif %}{% if nick %}{{ hello() }}{% endif %}",
    ],
)
def test_what_the_branches_of_an_if_set_is_known_behind_it(tmp_path, source):
    page(tmp_path, source).text({"nick": "", "items": [0, 1]})


@pytest.mark.parametrize(
    "source",
    [
        "{% for hello in items %}{% endfor %}{% block body %}{{ hello }}{% endblock %}",
        "{% block body %}{% set hello = 1 %}{% endblock %}{% block other %}{{ hello }}{% endblock %}",
        "{% macro m() %}{% set hello = 1 %}{% endmacro %}{% block body %}{{ hello }}{% endblock %}",
        "{{ hello }}{% block body %}{{ hello }}{% endblock %}",
        "{{ hello }}{% set hello = 1 %}",
    ],
)
def test_what_is_not_known_in_a_block_is_still_found(tmp_path, source):
    with pytest.raises(ConfigError, match="hello"):
        page(tmp_path, source)


@pytest.mark.parametrize(
    ("source", "step"),
    [
        ("a\n{% if %}", "correct line 2 of page.html"),
        ("{{ name", "correct line 1 of page.html"),
        ("{{ name|uper }}", "correct line 1 of page.html; did you mean upper?"),
        (
            "{{ name|zzzz }}",
            "correct line 1 of page.html; there are those of Jinja, and date, datetime, number, currency",
        ),
        ("{{ name is evne }}", "correct line 1 of page.html; did you mean even?"),
        ("{% include 'part.html' %}", "correct line 3 of part.html"),
        ("{{ gone }}", "correct the template"),
        ("{% include 'gone.html' %}", "correct the name"),
        ("\x02", "delete that character"),
    ],
)
def test_every_refusal_says_what_to_do_next(tmp_path, source, step):
    write(tmp_path, part="\n\n{% endfor %}")
    with pytest.raises(ConfigError) as error:
        page(tmp_path, source)
    assert error.value.next_step.startswith(step)


def test_a_mistake_in_the_campaign_file_itself_is_mended_there(tmp_path):
    with pytest.raises(ConfigError) as error:
        templates(tmp_path).source("Hello {{ name", "compose.subject")
    assert error.value.next_step == "correct compose.subject in the campaign file"


@pytest.mark.parametrize("value", ["x", "", "100%s", None, 7, 1.5, ["a"], True])
def test_a_template_of_columns_between_words_gives_what_drawing_gives(tmp_path, value):
    opened = templates(tmp_path)
    straight, drawn = (
        opened.source(f"{{# #}}50% {{{{ name }}}} {extra}%d{{{{ nick }}}}", "s") for extra in ("", "{{ '' }}")
    )
    row = {"name": value, "nick": "n"}
    assert straight.text(row) == drawn.text(row) == f"50% {'' if value is None else value} %dn"
    with pytest.raises(RowRefused, match=r"s:1: 'nick' is undefined"):
        straight.text({"name": value})
