"""MJML: attributes come out as they were written, and a text that is no MJML is a ValueError."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html as reader

from campaign.compose.html.markdown_mjml import mjml

ASTONISHING = {
    "a line feed": "color:\n red",
    "a tab and a carriage return": "color:\t\r\n red",
    "a backslash": r"C:\new\u{a0}\\",
    "a no-break space": "10\u00a0000",
    "joined emoji": "\U0001f469\u200d\U0001f680 \U0001f9d1\U0001f3fd",
    "a combining mark": "Zoe\u0308",
    "nothing to be seen": "\u00ad\u200b\u200c\u2028\u2060\ufeff",
    "a control character": "\x01\x7f\x85",
    "apostrophes": "it's",
    "halfwidth marks": "\uff76\uff9e",
    "other scripts": "Größe, Ελλάδα, 漢字, हिन्दी, ‏עברית",
    "what is private or not assigned": "\ue000\U0010ffff\U000e0001\u0378",
    "no tag": "a < b > c </a> <b>",
    "an entity": "a &quot;b&quot; &amp; &nbsp;",
}


@pytest.fixture(scope="module")
def convert():
    return mjml()


def page(inside: str, head: str = "") -> str:
    column = f"<mj-section><mj-column>{inside}</mj-column></mj-section>"
    return f"<mjml><mj-head>{head}</mj-head><mj-body>{column}</mj-body></mjml>"


@pytest.mark.parametrize("value", ASTONISHING.values(), ids=ASTONISHING)
@pytest.mark.parametrize(
    ("element", "attribute"),
    [
        ("<mj-text><p {}>x</p></mj-text>", "style"),
        ("<mj-text><p {}>x</p></mj-text>", "title"),
        ("<mj-raw><p {}>x</p></mj-raw>", "style"),
        ("<mj-raw><!--[if mso]><p {}></p><![endif]--></mj-raw>", "style"),
        ("<mj-table><tr><td {}>x</td></tr></mj-table>", "style"),
        ("<mj-image {} src='x'/>", "alt"),
        ("<mj-image {} src='x'/>", "title"),
        ("<mj-image {}/>", "src"),
        ("<mj-button {}>x</mj-button>", "href"),
        ("<mj-navbar><mj-navbar-link {}>x</mj-navbar-link></mj-navbar>", "href"),
    ],
)
def test_a_value_comes_out_as_it_was_written(convert, element, attribute, value):
    written = f'{attribute}="{value}"'
    assert written in convert(page(element.format(written)))


@pytest.mark.parametrize("value", ["a\nb", "größe", "a\u00a0b", "a\\b"])
@pytest.mark.parametrize(
    "around", ["<mj-text {}>x</mj-text>", "<mj-wrapper {}></mj-wrapper>", "<mj-image {} src='x'/>"]
)
def test_a_class_comes_out_as_it_was_written(convert, around, value):
    made = around.format(f'css-class="{value}"')
    assert f'class="{value}"' in convert(
        page(made) if "wrapper" not in around else f"<mjml><mj-body>{made}</mj-body></mjml>"
    )
    assert f'class="{value}"' in convert(f'<mjml><mj-body css-class="{value}"></mj-body></mjml>')


def test_quotation_marks_between_apostrophes_do_not_end_the_value(convert):
    made = convert(page("""<mj-text font-family='"Open Sans", serif'><b title='say "hi"'>x</b></mj-text>"""))
    root = reader.document_fromstring(made)
    assert root.xpath("//b/@title") == ['say "hi"']
    assert any('font-family:"Open Sans", serif' in style for style in root.xpath("//div/@style"))


def test_the_title_which_becomes_an_attribute_too_is_read_as_it_was_written(convert):
    root = reader.document_fromstring(convert(page("", '<mj-title>10\u00a0000 \\n "cats"</mj-title>')))
    assert root.xpath("//title/text()") == root.xpath("//@aria-label") == ['10\u00a0000 \\n "cats"']


def test_text_that_looks_like_an_escape_stays_text(convert):
    text = r"C:\new \u{a0} \\ \" Zq0Z00005c Zq1Z000000"
    assert f"<p>{text}</p>" in convert(page(f"<mj-text><p>{text}</p></mj-text>"))
    assert f"<!-- {text} -->" in convert(page(f"<mj-text><!-- {text} --></mj-text>"))
    assert text in convert(page("", f"<mj-style>.a::after {{ content: '{text}' }}</mj-style>"))


@pytest.mark.parametrize(
    "text", ["<!-- it's <a title='x --><b title=\"\n\">x</b>", '<!-- <b title="-->\'<b title="\n">x</b>']
)
def test_a_comment_is_no_markup(convert, text):
    assert text in convert(page(f"<mj-text>{text}</mj-text>"))


def test_lengths_and_lists_over_several_lines_are_understood(convert):
    head = """<mj-font name="Größe" href="https://example.com/font.css"/>
    <mj-attributes><mj-class name="a" color="red"/><mj-class name="b" align="right"/></mj-attributes>"""
    made = convert(
        page('<mj-image mj-class="a\nb" padding="10px\n100px" font-family="Arial,\n\tGröße" src="x"/>', head)
    )
    assert 'align="right"' in made
    assert 'width="400"' in made
    assert 'href="https://example.com/font.css"' in convert(
        page('<mj-text font-family="Arial,\nGröße">x</mj-text>', head)
    )


def test_what_is_html_keeps_its_line_feeds_in_every_attribute(convert):
    assert '<td width="1\n0" style="a\nb">' in convert(
        page('<mj-table><tr><td width="1\n0" style="a\nb">x</td></tr></mj-table>')
    )


def test_what_some_clients_take_for_a_comment_is_markup(convert):
    shown = '<!--[if !mso]><!--><b title="\n">x</b><!--<![endif]-->'
    assert shown in convert(page(f"<mj-text>{shown}</mj-text>"))


def test_what_mjml_sets_itself_and_a_font_of_another_script_are_kept(convert):
    assert 'width="100"' in convert(page('<mj-image width="100px" src="x"/>'))
    assert "font-family:Größe;" in convert(page('<mj-text font-family="Größe">x</mj-text>'))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<mjml><mj-body>", "end of stream"),
        (page("<mj-text title=é>x</mj-text>"), "unable to parse"),
        (page("<mj-text>\x01</mj-text>"), "unable to parse"),
        (page("<mj-text title='\ud800'>x</mj-text>"), "surrogates"),
        (page("<mj-text><!--[if mso] --></mj-text>"), "conditional comment is broken: '<!--[if mso] -->"),
        (page("<mj-text><![endif] --></mj-text>"), "conditional comment is broken"),
        (page("<mj-text><!--[if mso"), "conditional comment is broken"),
        (page("<mj-text><!--<![endif"), "conditional comment is broken"),
    ],
)
def test_mjml_that_is_none_is_a_value_error_in_the_words_of_the_parser(convert, text, words):
    with pytest.raises(ValueError, match="MJML cannot be read") as caught:
        convert(text)
    assert words in str(caught.value)


def test_a_position_is_that_in_the_text_as_it_was_written(convert):
    before, odd, after = page('<mj-image alt="éé"/><mj-text>|<![CDATA[ x ]]>|</mj-text>').split("|")
    start = len(before.encode())
    with pytest.raises(ValueError, match=rf"unexpected token in root template at position {start}:{start + len(odd)}$"):
        convert(before + odd + after)


def test_a_panic_of_the_library_is_a_value_error_too(monkeypatch):
    class Panic(BaseException):
        pass

    def panics(text: str) -> str:
        raise Panic("oops")

    monkeypatch.setattr("mjml.mjml2html", panics)
    with pytest.raises(ValueError, match="oops"):
        mjml()("<mjml/>")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_none(monkeypatch, interruption):
    def interrupted(text: str) -> str:
        raise interruption

    monkeypatch.setattr("mjml.mjml2html", interrupted)
    with pytest.raises(interruption):
        mjml()("<mjml/>")


@pytest.mark.parametrize("form", ["{}", "./{}", "file://{}", "../../../../../..{}", "http://127.0.0.1:9{}"])
@pytest.mark.parametrize("inside", [True, False])
def test_no_file_and_no_address_is_ever_included(convert, tmp_path, form, inside):
    secret = Path(tmp_path, "part.mjml")
    secret.write_text("<mj-text>secret</mj-text>", encoding="utf-8")
    include = f'<mj-include path="{form.format(secret)}"/>'
    with pytest.raises(ValueError, match="unable to load included template"):
        convert(page(include) if inside else page("", include))


@given(
    st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"])), st.sampled_from(["mj-text", "mj-raw"])
)
def test_any_value_comes_out_as_it_was_written(value, element):
    made = mjml()(page(f'<mj-image alt="{value}" src="{value}"/><{element}><i title="{value}">{{}}</i></{element}>'))
    assert f'alt="{value}"' in made
    assert f'src="{value}"' in made
    assert f'<i title="{value}">{{}}</i>' in made


@given(st.text(st.characters(exclude_characters="'", exclude_categories=["Cs"])))
def test_any_value_between_apostrophes_comes_out_as_it_was_written(value):
    made = mjml()(page(f"<mj-text css-class='k' color='{value}'><i title='{value}'>x</i></mj-text>"))
    written = value.replace('"', "&quot;")
    assert f'<i title="{written}">x</i>' in made
    assert f"color:{written};" in made
