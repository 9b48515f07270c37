"""Letters made several at once, by columns, have the very bytes that each has when it is made alone."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from campaign.compose.composer import Brief, Composer
from campaign.compose.portion.prepared_column import prepared_column
from campaign.compose.portion.usual_letters import UsualLetters
from campaign.compose.portion.usual_parts import UsualParts
from campaign.config.compose import ComposeSection
from campaign.model import Identity, Letter, Mailbox, Recipient, Unrenderable

STYLE = "<style>p { color: #333 } .big { font-size: 20px }</style>"
BODIES = {
    "values": STYLE + "<p>{{ x }} and {{ y }}, again {{ x }}</p><p>{{ y }}</p>",
    "a link": STYLE
    + '<p><a href="{{ x }}">{{ y }}</a> <a href="https://example.com/{{ y }}?u={{ x }}">{{ x }}</a></p>',
    "a link that shapes": '<style>a[href] { top: 0 }</style><a href="{{ x }}">{{ y }}</a> <a href="/{{ y }}">x</a>',
    "a constant link": STYLE + '<p>{{ x }} <a href="https://example.com/{{ y }}">read on</a></p>',
    "a class": STYLE + '<p class="{{ y }}">{{ x }}</p>',
    "a branch": STYLE + "{% if y == 'pro' %}<p>{{ x }}</p>{% else %}<ul><li>{{ x }} {{ y }}</li></ul>{% endif %}",
    "a loop": STYLE + "<ul>{% for one in z %}<li>{{ one }}: {{ x }}</li>{% endfor %}</ul>{{ y }}",
    "conditions": STYLE + "{% if x and not y == 'pro' %}<p>{{ x }}</p>{% elif y > 1 %}<b>{{ y }}</b>{% endif %}{{ y }}",
    "fields of items": STYLE + "{{ y }}<ul>{% for one in z %}<li>{{ one.k }}: {{ x }}</li>{% endfor %}</ul>",
    "a filter": STYLE + "<p>{{ x|upper }} {{ y|default('none') }} {{ x|safe }}</p>",
    "a macro": "{% macro bold(text) %}<b>{{ text }}</b>{% endmacro %}<p>{{ bold(x) }} {{ y }}</p>",
    "a long line": "<p>" + "word " * 14 + "{{ x }}{{ y }} " + "word " * 20 + "{{ y }}</p>",
    "beyond ASCII": "<p>Grüße, {{ x }}: 你好 {{ y }}</p>",
}
TEXTS = {
    "none": "",
    "lines": "Dear {{ x }},\n{{ y }}\n.{{ x }}\nFrom {{ y }}\n\nYours {{ x }} {{ y }} ({{ x }})",
    "to the edge": "a" * 60 + "{{ x }}\n" + "b" * 74 + "{{ y }}\n" + "c " * 30 + "{{ x }} d",
    "a loop": "{% for one in z %}- {{ one }}: {{ x }}\n{% endfor %}{{ y }}",
    "mostly not ASCII": "你好你好你好你好你好 {{ x }} 你好 {{ y }}",
}
ODD: list[Any] = [
    "", " ", "pro", "Ada", "Müller & Söhne", ".", ".x", "From x", "From", "a=b", "=", "=20", "é ", "x\ny", "x\r\ny",
    "a\x00b", "<b>bold</b>", "&amp;", "'\"", "javascript:alert(1)", "mailto:a@example.com", "https://a.example/?a=b c",
    "https://example.com/" + "p" * 90, "https://example.com/?q=" + "é" * 40, "w" * 75, "w" * 76, "w " * 40, "." * 80,
    "你好" * 20, "\N{PILE OF POO}" * 9, "\u2028", "\ud800", "\x85", "a" * 31, "b" * 15, 0, -1.5, True, None,
    Decimal("1.10"), Markup("<i>x</i>"), ["a", "b"], {"k": "v"}, {"k": "ü<"}, "ü" * 30, "x y", "\t", "e\u0301",
    "\u200b", "A" * 999,
]  # fmt: skip
cells = st.one_of(st.sampled_from(ODD), st.text(max_size=90), st.text("abc.=<& é", max_size=40))
rows = st.lists(st.tuples(cells, cells, st.lists(cells, max_size=3)), min_size=2, max_size=9)
many = settings(max_examples=25, deadline=None)


def composer(folder: Path, body: str, text: str = "", **more: Any) -> Composer:
    (folder / "body.html").write_text(body, encoding="utf-8")
    if text:
        (folder / "body.txt").write_text(text, encoding="utf-8")
        more["text"] = "body.txt"
    own = {"subject": "{{ y }} for you", "html": "body.html", "headers": {"X-Own": "own: {{ x }}"}}
    found = ComposeSection(**{**own, "unsubscribe": "https://example.com/u/{{ unsubscribe_token }}", **more})
    brief = Brief(
        Identity("gazette", "", 1, b"0123456789abcdef"), Mailbox("", "news@example.com"), None, None, found, folder,
        ("x", "y", "z"),
    )  # fmt: skip
    return Composer(brief)


def people(values: list[Any]) -> list[tuple[Recipient, float]]:
    return [
        (
            Recipient(
                at,
                f"r{at}@example.com",
                f"r{at}",
                y if at % 2 and type(y) is str else "",
                at + 2,
                {"x": x, "y": y, "z": z},
            ),
            1.7e9,
        )
        for at, (x, y, z) in enumerate(values)
    ]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("body", BODIES)
@given(values=rows)
@many
def test_whatever_a_row_holds_its_letter_is_the_one_it_gets_alone(
    tmp_path_factory: pytest.TempPathFactory, body: str, text: str, values: list[Any]
) -> None:
    made = composer(tmp_path_factory.mktemp("letters"), BODIES[body], TEXTS[text])
    asked = people(values)
    alone = [made.compose(*one) for one in asked]
    assert made.compose_all(asked) == alone
    assert made.compose_all(asked * 2) == alone * 2


def plain(count: int) -> list[tuple[str, str, list[str]]]:
    return [(f"Ada {at}", f"Zoë {at % 3}", [f"Book {at}", "EUR 12.50"]) for at in range(count)]


ENOUGH = "We are open all week, and glad of every guest. " * 9


@pytest.mark.parametrize("text", ["none", "lines", "a loop"])
@pytest.mark.parametrize("body", ["values", "a constant link", "a branch", "a loop"])
def test_usual_rows_are_made_by_columns(tmp_path: Path, body: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    before = UsualParts.bodies

    def counted(self: UsualParts, *args: Any) -> Any:
        bodies = before(self, *args)
        found.append(len(bodies))
        return bodies

    monkeypatch.setattr(UsualParts, "bodies", counted)
    own = f"{TEXTS[text]}\n{ENOUGH}\n" if TEXTS[text] else ""
    made = composer(tmp_path, f"{BODIES[body]}<p>{ENOUGH}</p>", own)
    asked = people([(x.replace(" ", "-"), y.replace("ë", "e").replace(" ", "-"), z) for x, y, z in plain(20)])
    made.compose_all(asked)
    letters = made.compose_all(asked)
    assert found[-1] == 20
    assert letters == [made.compose(*one) for one in asked]


def test_letters_with_pictures_are_finished_together_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gif").write_bytes(base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"))
    made = composer(tmp_path, f"<img src='a.gif'>{BODIES['a loop']}<p>{ENOUGH}</p>", f"{TEXTS['a loop']}{ENOUGH}")
    asked = people([(x.replace(" ", "-"), "pro", z) for x, _, z in plain(20)])
    alone = [made.compose(*one) for one in asked]
    finished: list[int] = []
    right = UsualLetters._letter
    monkeypatch.setattr(UsualLetters, "_letter", lambda *given: finished.append(1) or right(*given))
    assert made.compose_all(asked) == alone
    assert len(finished) == 20
    assert b"multipart/related" in alone[0].content


def test_letters_that_differ_from_those_made_alone_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = composer(tmp_path, f"{BODIES['a loop']}<p>{ENOUGH}</p>")
    asked = people([(x.replace(" ", "-"), "pro", z) for x, _, z in plain(20)])
    alone = [made.compose(*one) for one in asked]
    right = UsualLetters._letter
    monkeypatch.setattr(UsualLetters, "_letter", lambda *given: right(*given)._replace(content=b"another"))
    assert made.compose_all(asked) == alone
    assert made.compose_all(asked) == alone
    assert "letters made together differ" in caplog.text


def test_a_fault_in_making_letters_together_costs_no_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = composer(tmp_path, f"{BODIES['a loop']}<p>{ENOUGH}</p>")
    asked = people([(x.replace(" ", "-"), "pro", z) for x, _, z in plain(20)])
    alone = [made.compose(*one) for one in asked]
    monkeypatch.setattr(UsualLetters, "_letter", lambda *_: 1 / 0)
    assert made.compose_all(asked) == alone
    assert "letters cannot be made together (ZeroDivisionError: division by zero)" in caplog.text


def test_one_odd_row_leaves_the_others_of_its_portion_by_columns(tmp_path: Path) -> None:
    made = composer(tmp_path, BODIES["values"], TEXTS["lines"], headers={})
    values: list[Any] = plain(12)
    values[5] = ("two\nlines", "x", [])
    values[7] = ("\ud800", "x", [])
    asked = people(values)
    made.compose_all(people(plain(2)))
    letters = made.compose_all(asked)
    assert letters == [made.compose(*one) for one in asked]
    assert [type(one) for one in letters].count(Unrenderable) == 1
    assert isinstance(letters[5], Letter)


def test_a_template_that_fails_for_one_row_is_that_rows_reason(tmp_path: Path) -> None:
    made = composer(tmp_path, "<p>{{ 1 / (x|length - 1) }} {{ y }}</p>")
    asked = people([("ab", "y", []), ("a", "y", []), ("abc", "y", [])])
    letters = made.compose_all(asked)
    assert [type(one) for one in letters] == [Letter, Unrenderable, Letter]
    assert letters == [made.compose(*one) for one in asked]


@pytest.mark.parametrize("value", ["", " ", "a\nb", ".", ".x", "From x", "x ", "\x00", Markup("x"), ["x"], Decimal(1)])
def test_a_value_that_needs_more_is_odd_and_costs_no_other(value: Any) -> None:
    column = prepared_column(["a", value, "é"])
    assert column.odd == {1}
    assert list(column.text.values)[::2] == ["a", "=C3=A9"]


@pytest.mark.parametrize(("value", "html"), [("a & b", "a &amp; b"), ("x=y", "x=3Dy"), (3, "3"), ("ü<", "=C3=BC&lt;")])
def test_a_value_is_escaped_and_quoted_as_it_would_be_alone(value: Any, html: str) -> None:
    column = prepared_column([value, "b"])
    assert not column.odd
    assert list(column.html.values) == [html, "b"]
