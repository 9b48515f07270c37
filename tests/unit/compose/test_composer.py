"""Whole letters, read back by the standard library: the same bytes every time, or the reason why there is none."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import struct
import zlib
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from markupsafe import escape

from campaign.compose.composer import RENDERING, WAY_OF_RENDERING, Brief, Composer
from campaign.compose.html.shape_cache import MOST_SHAPES
from campaign.config.compose import ComposeSection
from campaign.errors import ConfigError
from campaign.model import Identity, Letter, Mailbox, Recipient, Unrenderable
from tests.support.rendering import rendered_html

ROW = {"name": "Zoë", "link": "https://example.com/?a=1&b=ü", "plan": "pro", "words": ["one", "two"], "file": ""}
IDENTITY = Identity("gazette", "2026-11", 1, b"a secret of thirty-two octets :-)")
NOON = 1_800_000_000.0


def png(side: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" + b"\xff\0\0" * side) * side)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def brief(folder: Path, source: str = "<p>{{ name }}</p>", **more: Any) -> Brief:
    (folder / "body.html").write_text(source, encoding="utf-8")
    settings = {"subject": "Hello {{ name }}", "html": "body.html", **more}
    compose = ComposeSection(**settings)
    sender = Mailbox("Ada's Gazette", "news@example.com")
    return Brief(IDENTITY, sender, Mailbox("", "desk@example.com"), "bounce@example.com", compose, folder, tuple(ROW))


def recipient(number: int = 0, **row: Any) -> Recipient:
    address = f"reader{number}@example.com"
    return Recipient(number, address, address, "Zoë, the Reader", number + 2, {**ROW, **row})


def letter(composer: Composer, one: Recipient | None = None) -> Letter:
    made = composer.compose(one or recipient(), NOON)
    assert isinstance(made, Letter), made
    return made


def reason(composer: Composer, one: Recipient) -> str:
    made = composer.compose(one, NOON)
    assert isinstance(made, Unrenderable), made
    assert made.number == one.number
    return made.reason


def read(made: Letter) -> EmailMessage:
    return message_from_bytes(made.content, policy=policy.default)  # type: ignore[return-value]


def html_of(made: Letter) -> str:
    part = read(made).get_body(("html",))
    assert part is not None
    return str(part.get_content())


def text_of(made: Letter) -> str:
    part = read(made).get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_a_letter_reads_back_as_it_was_meant(tmp_path):
    made = letter(Composer(brief(tmp_path, "<style>p { color: red }</style><p>Dear {{ name }}</p>")))
    message = read(made)
    assert message["From"] == "Ada's Gazette <news@example.com>"
    assert message["To"].addresses[0].addr_spec == made.recipient == "reader0@example.com"
    assert message["To"].addresses[0].display_name == "Zoë, the Reader"
    assert message["Reply-To"] == "desk@example.com"
    assert message["Subject"] == "Hello Zoë"
    assert message["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    assert message["Message-ID"] == made.message_id
    assert made.sender == "bounce@example.com"
    assert '<p style="color:red">Dear Zoë</p>' in html_of(made)
    assert text_of(made).strip() == "Dear Zoë"
    assert [part.defects for part in message.walk()] == [[], [], []]


def test_a_letter_is_complete_canonical_and_known_by_its_digest(tmp_path):
    made = letter(Composer(brief(tmp_path)))
    assert made.content.endswith(b"\r\n")
    assert made.content.isascii()
    assert b"\n" not in made.content.replace(b"\r\n", b"")
    assert made.digest == hashlib.sha256(made.content).digest()
    assert not made.smtputf8
    assert made.sound, "so that nobody has to search it again before it goes"


def test_the_same_row_gives_the_same_bytes_in_another_process(tmp_path):
    given = brief(tmp_path)
    again = pickle.loads(pickle.dumps(given))
    assert letter(Composer(given)) == pickle.loads(pickle.dumps(letter(Composer(again))))


def test_another_key_date_edition_or_generation_is_another_letter(tmp_path):
    given = brief(tmp_path)
    first = letter(Composer(given))
    for identity in (
        replace(IDENTITY, edition="2026-12"),
        replace(IDENTITY, generation=2),
        replace(IDENTITY, test=True),
    ):
        assert letter(Composer(replace(given, identity=identity))).message_id != first.message_id
    assert letter(Composer(given), recipient()._replace(key="other")).message_id != first.message_id


@pytest.mark.parametrize(
    ("html", "row", "words"),
    [
        ("{{ words[7] }}", {}, "body.html:1"),
        ("<p>{{ name.nick }}</p>", {}, "body.html:1"),
        ("<p>{{ name }}</p>", {"name": "half \ud800"}, "surrogate"),
        ("<p>x</p>", {"name": "a\r\nBcc: b@example.com"}, "Subject"),
        ("<a href='{{ link }}'>x</a>", {"link": "javascript:alert(1)"}, "a link begins with 'javascript:'"),
        ("<a href='{{ link }}'>x</a>", {"link": " JaVaScRiPt :alert(1)"}, "a link begins with"),
        ("<a href='{{ link }}'>x</a>", {"link": "data:text/html,x"}, "a link begins with 'data:'"),
        ("{{ ('<a href=%s>' % link)|safe }}x</a>", {"link": "javascript:x"}, "a link begins with"),
        ("{% set a %}<a href='{{ link }}'>x</a>{% endset %}{{ a }}", {"link": "javascript:x"}, "a link begins with"),
        ("<p class={{ plan }}>x</p>", {"plan": "a onclick=x"}, "outside of quotes"),
        ("<{{ plan }}>x", {"plan": "p onclick=x"}, "in the name of a tag"),
        ("<p style='color: {{ plan }}'>x</p>", {"plan": "red; x: url(https://example.com)"}, "stands in a style"),
        ("<style>p { color: {{ plan }} }</style><p>x</p>", {"plan": "red } * { top: 0"}, "stands in a style"),
        ("<img src='{{ file }}'>", {"file": "gone.png"}, "gone.png"),
        ("<img src='{{ file }}'>", {"file": "../../etc/passwd"}, "etc/passwd"),
        ("<img src='{{ file }}'>", {"file": "file:///etc/passwd"}, "file"),
        ("<p>{{ name * 900000 }}</p>", {}, "body.html:1"),
        ("<p>{{ name }}</p>" * 3, {"name": "x" * 1_000_000}, "characters"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_rendered_gives_the_reason(tmp_path, html, row, words):
    composer = Composer(brief(tmp_path, html))
    assert words in reason(composer, recipient(3, **row))
    composer.compose(recipient(4), NOON)


def test_a_bad_row_leaves_nothing_behind_for_the_next(tmp_path):
    composer = Composer(brief(tmp_path, "<p>{{ name }}</p><p>{{ words[1] }}</p>"))
    good = letter(composer)
    reason(composer, recipient(1, words=[]))
    assert letter(composer) == good


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"subject": "{{ nmae }}"}, "nmae"),
        ({"html": "gone.html"}, "no template"),
        ({"html": ""}, "no body"),
        ({"markdown": "body.html"}, "one body"),
        ({"headers": {"Bcc": "x"}}, "Bcc"),
        ({"attachments": ["gone.pdf"]}, "gone.pdf"),
        ({"locale": "klingon_XX_Y"}, "locale"),
        ({"unsubscribe_id": "gone"}, "gone"),
        ({"unsubscribe": "https://example.com/{{ unsubscribe_tokn }}"}, "did you mean unsubscribe_token"),
        ({"root": Path("gone")}, "gone"),
    ],
)
def test_what_would_fail_for_every_row_is_told_before_the_first(tmp_path, settings, words):
    with pytest.raises(ConfigError) as error:
        Composer(brief(tmp_path, **settings))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "html", ["<img src='gone.png'>", "<td background='gone.png'>", "<p style='background:url(gone.png)'>x</p>"]
)
def test_a_picture_that_no_row_decides_is_looked_up_before_the_first(tmp_path, html):
    with pytest.raises(ConfigError, match=r"gone\.png") as error:
        Composer(brief(tmp_path, f"\n{html}"))
    assert error.value.evidence[0] == "body.html:2"
    Composer(brief(tmp_path, html, images="link"))


def test_a_picture_is_embedded_once_and_found_by_its_content_id(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    html = "<img src='a.png'><table background='a.png'><tr><td style='background: url(\"a.png\")'>x</td></tr></table>"
    message = read(letter(Composer(brief(tmp_path, html))))
    images = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert len(images) == 1
    assert images[0].get_content() == png()
    assert message.get_body(("html",)).get_content().count(f"cid:{images[0]['Content-ID'][1:-1]}") == 3


def test_a_picture_may_differ_for_each_row_without_a_shape_for_each(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(png(number + 1))
    composer = Composer(brief(tmp_path, "<p>{{ name }}</p><img src='{{ plan }}.png'>"))
    for number in range(5):
        message = read(letter(composer, recipient(number, plan=str(number))))
        assert [part.get_content() for part in message.walk() if "image" in part.get_content_type()] == [
            png(number + 1)
        ]
    assert composer.inliner_runs == 1


@pytest.mark.parametrize(("images", "found"), [("data", 'src="data:image/png;base64,'), ("link", 'src="a.png"')])
def test_pictures_can_be_data_or_links_too(tmp_path, images, found):
    (tmp_path / "a.png").write_bytes(png())
    made = letter(Composer(brief(tmp_path, '<p>x</p><img src="a.png">', images=images)))
    assert found in html_of(made)
    assert "image/png" not in [part.get_content_type() for part in read(made).walk()]


def test_pictures_on_the_network_stay_links(tmp_path):
    made = letter(Composer(brief(tmp_path, '<img src="https://example.com/{{ name }}.png"><img src="{{ link }}">')))
    assert 'src="https://example.com/Zo%C3%AB.png"' in html_of(made)
    assert 'src="https://example.com/?a=1&amp;b=%C3%BC"' in html_of(made)


def test_attachments_are_those_of_the_campaign_and_of_the_row(tmp_path):
    (tmp_path / "terms.txt").write_text("terms")
    (tmp_path / "bill-7.txt").write_text("seven")
    composer = Composer(brief(tmp_path, attachments=["terms.txt", "{{ file }}"]))
    both = read(letter(composer, recipient(file="bill-7.txt")))
    assert [part.get_filename() for part in both.iter_attachments()] == ["terms.txt", "bill-7.txt"]
    assert [part.get_filename() for part in read(letter(composer)).iter_attachments()] == ["terms.txt"]
    assert "gone.txt" in reason(composer, recipient(file="gone.txt"))


def test_one_click_unsubscribe_is_in_the_header_and_in_the_letter(tmp_path):
    html = '<a href="{{ unsubscribe_url }}">stop</a>'
    composer = Composer(brief(tmp_path, html, unsubscribe="https://example.com/u?t={{ unsubscribe_token }}"))
    made = letter(composer)
    url = str(read(made)["List-Unsubscribe"]).strip("<>")
    assert url.startswith("https://example.com/u?t=")
    assert read(made)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f'href="{url}"' in html_of(made)
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in made.content
    assert url not in letter(composer, recipient(1)).content.decode()


def test_the_token_stands_for_the_column_that_is_named(tmp_path):
    settings = {"unsubscribe": "https://example.com/{{ unsubscribe_token }}", "unsubscribe_id": "plan"}
    composer = Composer(brief(tmp_path, **settings))
    first, second = (str(read(letter(composer, recipient(n)))["List-Unsubscribe"]) for n in (0, 1))
    assert first == second
    assert "the column plan is empty" in reason(composer, recipient(plan=""))


def test_headers_of_the_users_own_are_templates(tmp_path):
    message = read(letter(Composer(brief(tmp_path, headers={"X-Plan": "{{ plan }}/{{ campaign }}/{{ edition }}"}))))
    assert message["X-Plan"] == "pro/gazette/2026-11"


def test_the_users_own_text_part_is_plain_text_and_not_escaped(tmp_path):
    (tmp_path / "body.txt").write_text("Dear {{ name }} & co,\n{% for word in words %}- {{ word }}\n{% endfor %}")
    made = letter(Composer(brief(tmp_path, text="body.txt")), recipient(name="<Zoë>"))
    assert text_of(made) == "Dear <Zoë> & co,\n- one\n- two\n"


def test_text_alone_makes_a_plain_letter(tmp_path):
    (tmp_path / "body.txt").write_text("Dear {{ name }}")
    message = read(letter(Composer(brief(tmp_path, html="", text="body.txt"))))
    assert message.get_content_type() == "text/plain"
    assert message.get_content().strip() == "Dear Zoë"


@pytest.mark.parametrize("ending", ["j2", "md"])
def test_branches_that_look_alike_and_print_other_columns_are_told_apart(tmp_path, ending):
    source = (
        "{{ name }}: {% if plan == 'pro' %}{{ link }} {{ name }}{% else %}{{ name }} {{ link }}{% endif %} {{ plan }}"
    )
    body = tmp_path / f"letter.{ending}"
    body.write_text(source if ending == "md" else f"<p>{source}</p>", encoding="utf-8")
    composer = Composer(brief(tmp_path, source, html=body.name, text="body.html"))
    for number, plan in enumerate(["pro", "free", "free", "pro", "free", "pro"]):
        made = letter(composer, recipient(number, plan=plan, name=f"N{number} & co", link=f"L{number}"))
        pair = f"L{number} N{number} & co" if plan == "pro" else f"N{number} & co L{number}"
        expected = f"N{number} & co: {pair} {plan}"
        assert text_of(made).strip() == expected
        assert str(escape(expected)) in html_of(made)
    assert composer.shapes == 1


def test_the_locale_may_come_from_the_row(tmp_path):
    composer = Composer(brief(tmp_path, "<p>{{ 1234.5|number }}</p>", locale="{{ plan }}"))
    assert [
        html_of(letter(composer, recipient(plan=plan))).count(shown)
        for plan, shown in (("de", "1.234,5"), ("en", "1,234.5"), ("", "1,234.5"))
    ] == [1, 1, 1]
    assert "locale" in reason(composer, recipient(plan="xx_YY_ZZ_Q"))


def test_a_markdown_body_is_html_and_its_own_text_part(tmp_path):
    source = "# Dear {{ name }}\n\nSee [your page]({{ link }}):\n\n{% for word in words %}- {{ word }}\n{% endfor %}"
    given = brief(tmp_path, source, html="", markdown="body.html")
    made = letter(Composer(given), recipient(name="*Zoë* <b>"))
    assert "<h1>Dear *Zoë* &lt;b&gt;</h1>" in html_of(made)
    assert '<a href="https://example.com/?a=1&amp;b=%C3%BC">your page</a>' in html_of(made)
    assert "<li>two</li>" in html_of(made)
    assert text_of(made).startswith("# Dear *Zoë* <b>\n\nSee [your page](https://example.com/?a=1&b=ü):")


def test_an_mjml_body_is_html(tmp_path):
    source = """<mjml><mj-body><mj-section><mj-column><mj-text color="{{ plan }}">Dear {{ name }}</mj-text>
    <mj-button href="{{ link }}">Go</mj-button></mj-column></mj-section></mj-body></mjml>"""
    composer = Composer(brief(tmp_path, source, html="", mjml="body.html"))
    html = html_of(letter(composer, recipient(plan="#123456", name="<Zoë>")))
    assert "Dear &lt;Zoë&gt;" in html
    assert "color:#123456" in html
    assert 'href="https://example.com/?a=1&amp;b=%C3%BC"' in html
    assert "<!--[if mso" in html
    letter(composer, recipient(1, plan="#123456"))
    assert composer.shapes == 1


def test_mjml_that_is_none_is_told_as_the_reason(tmp_path):
    composer = Composer(brief(tmp_path, "<mjml><mj-body>", html="", mjml="body.html"))
    assert "MJML" in reason(composer, recipient())


def test_a_hundred_rows_of_eight_shapes_are_inlined_eight_times(tmp_path):
    html = "<style>p { color: red }</style>{% for word in words %}<p>{{ word }}</p>{% endfor %}<p>{{ name }}</p>"
    composer = Composer(brief(tmp_path, html))
    for number in range(100):
        letter(composer, recipient(number, name=f"N{number}", words=["w"] * (number % 8)))
    assert (composer.inliner_runs, composer.shapes) == (8, 8)
    assert composer.warnings == []


def test_the_number_of_shapes_kept_is_bounded_and_a_new_shape_for_each_row_is_told_with_the_reason(tmp_path):
    composer = Composer(brief(tmp_path, "<p id='{{ name }}'>x</p>", inline_css=False))
    for number in range(MOST_SHAPES + 50):
        letter(composer, recipient(number, name=f"N{number}"))
    assert len(composer.files.shapes._shapes) == MOST_SHAPES
    assert "class or id" in composer.warnings[0]


def test_inheritance_includes_macros_calls_and_scopes_all_end_in_one_shape(tmp_path):
    (tmp_path / "base.html").write_text("<p>{{ name }}</p>{% block body %}<i>{{ plan }}</i>{% endblock %}")
    (tmp_path / "part.html").write_text("<b>{{ name }} {{ word }}</b>")
    (tmp_path / "macros.html").write_text("{% macro box(x) %}<u>{{ x }}{{ caller() }}</u>{% endmacro %}")
    html = """{% extends 'base.html' %}{% from 'macros.html' import box %}{% block body %}{{ super() }}
    {% for word in words %}{% include 'part.html' %}{% endfor %}{% call box(name) %}<s>{{ plan }}</s>{% endcall %}
    {% set short %}{{ name }}!{% endset %}<h1>{{ short }}</h1>{% with x = name %}{{ x }}{% endwith %}
    {% filter upper %}{{ plan }}{% endfilter %}{% endblock %}"""
    composer = Composer(brief(tmp_path, html))
    for name in ("Zoë", "<b>", "A & B"):
        found = html_of(letter(composer, recipient(name=name)))
        safe = str(escape(name))
        assert f"<p>{safe}</p><i>pro</i>" in found
        assert f"<b>{safe} two</b><u>{safe}<s>pro</s></u>" in found
        assert f"<h1>{safe}!</h1>{safe}" in found
        assert "PRO" in found
    assert composer.shapes == 1


def test_data_in_a_script_element_stays_data(tmp_path):
    html = '<script type="application/ld+json">{"name": {{ name|tojson }}, "n": {{ words|tojson }}}</script><p>x</p>'
    composer = Composer(brief(tmp_path, html))
    for name in ("Zo\"ë @ <x> & '", "plain"):
        found = re.search(r"json\">(.*)</script>", html_of(letter(composer, recipient(name=name))))
        assert found is not None
        assert json.loads(found[1]) == {"name": name, "n": ["one", "two"]}
    assert composer.shapes == 1


def test_an_address_that_is_its_own_link_stands_once_in_the_text(tmp_path):
    composer = Composer(brief(tmp_path, "<p><a href='{{ link }}'>{{ plan }}</a></p>"))
    assert (
        text_of(letter(composer, recipient(link="https://example.com/", plan="https://example.com/")))
        == "https://example.com/\n"
    )
    assert text_of(letter(composer, recipient(link="https://example.com/", plan="go"))) == "go (https://example.com/)\n"
    assert composer.shapes == 1


def test_what_is_printed_unescaped_is_listed(tmp_path):
    composer = Composer(brief(tmp_path, "<p>\n{{ name|safe }}</p>"))
    assert composer.warnings == ["body.html:2 prints a value unescaped (|safe): a row could write HTML there."]
    assert "<b>x</b>" in html_of(letter(composer, recipient(name="<b>x</b>")))


def test_inlining_by_shape_is_chosen_where_it_is_exact(tmp_path):
    composer = Composer(brief(tmp_path, "<style>p { color: red }</style><p>{{ name }}</p><a href='{{ link }}'>x</a>"))
    assert composer.choose_inlining([recipient(number) for number in range(5)]) == ("shape", "")


@pytest.mark.parametrize("filters", ["replace('Z', '<b>z</b>'|safe)", "truncate(9, True)", "length", "reverse"])
def test_a_template_that_works_on_what_a_macro_printed_is_inlined_per_row(tmp_path, filters):
    html = f"{{% macro card(x) %}}<p>{{{{ x }}}}</p>{{% endmacro %}}{{{{ card(name)|{filters} }}}}"
    given = brief(tmp_path, html)
    found, why = Composer(given).choose_inlining([recipient()])
    if found == "row":
        assert why.startswith("line 2: ")
    plain = rendered_html(Composer(given, found), Composer(given)._variables.of(recipient()), "row")
    by_choice = html_of(letter(Composer(given, found)))
    assert by_choice.strip() == plain.strip()


def test_inlined_per_row_the_letter_is_the_same_as_a_tree(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    given = brief(tmp_path, "<style>p { color: red }</style><p>{{ name }}</p><img src='{{ plan }}.png'>")
    row = recipient(plan="a")
    assert html_of(letter(Composer(given, "row"), row)) == html_of(letter(Composer(given), row))


def test_styles_are_left_where_they_are_if_the_user_says_so(tmp_path):
    html = "<style>p { color: red }</style><P>{{ name }}</P>"
    assert html_of(letter(Composer(brief(tmp_path, html, inline_css=False)))).strip() == html.replace(
        "{{ name }}", "Zoë"
    )


@pytest.mark.parametrize("inliner", ["premailer", "css-inline"])
def test_both_inliners_make_letters(tmp_path, inliner):
    html = "<style>p { color: red } p:hover { top: 0 } @media print { p { top: 1px } }</style><p>{{ name }}</p>"
    found = html_of(letter(Composer(brief(tmp_path, html, inliner=inliner)))).replace("color: red;", "color:red")
    assert '<p style="color:red">Zoë</p>' in found
    assert "p:hover { top: 0 !important }" in found
    assert "@media print" in found


def test_an_address_beyond_ascii_asks_for_smtputf8(tmp_path):
    made = letter(Composer(brief(tmp_path)), recipient()._replace(address="zoë@example.com"))
    assert made.smtputf8
    assert "<zoë@example.com>".encode() in made.content


def test_a_letter_over_its_size_is_refused(tmp_path):
    assert "max_letter_size" in reason(Composer(brief(tmp_path, max_letter_size=300)), recipient())


def test_fingerprints_change_with_everything_that_shapes_a_letter(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "own.css").write_text("p { top: 0 }")
    html = "<link rel=stylesheet href='own.css'><img src='a.png'><p>{{ name }}</p>"
    given = brief(tmp_path, html)
    before = Composer(given).fingerprints()
    assert {"body.html", "a.png", "own.css", "compose.subject", "campaign.from", "campaign.secret"} <= set(before)

    def changed(now: Brief) -> set[str]:
        after = Composer(now).fingerprints()
        return {name for name in before | after if before.get(name) != after.get(name)}

    assert changed(given) == set()
    assert changed(replace(given, sender=Mailbox("", "other@example.com"))) == {"campaign.from"}
    assert changed(replace(given, settings=given.settings.model_copy(update={"subject": "x"}))) == {"compose.subject"}
    assert changed(replace(given, identity=replace(IDENTITY, secret=b"x" * 32))) == {"campaign.secret"}
    assert changed(replace(given, settings=given.settings.model_copy(update={"row_timeout": 9.0}))) == set()
    assert changed(replace(given, rewritten=("Date",))) == set()  # nothing is signed, so nothing is left out
    (tmp_path / "a.png").write_bytes(png(2))
    assert changed(given) == {"a.png"}
    (tmp_path / "own.css").write_text("p { top: 1px }")
    assert changed(given) == {"a.png", "own.css"}
    assert IDENTITY.secret.decode() not in repr(before)


def test_another_relay_that_rewrites_other_headers_changes_signed_letters_and_is_told_by_name(tmp_path):
    (tmp_path / "ed").write_bytes(
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "ed").chmod(0o600)
    given = brief(tmp_path, dkim={"domain": "example.com", "selector": "s1", "key_file": "ed"})
    before, after = Composer(given), Composer(replace(given, rewritten=("Date", "Message-ID")))
    assert letter(before, recipient()).content != letter(after, recipient()).content
    told = after.fingerprints().items() - before.fingerprints().items()
    assert told == {("headers that a relay rewrites", "Date, Message-ID")}


def test_the_way_of_rendering_is_a_fingerprint_that_no_file_can_hide(tmp_path, monkeypatch):
    (tmp_path / WAY_OF_RENDERING).write_text("a template of that name")
    composer = Composer(brief(tmp_path, f"{{% include '{WAY_OF_RENDERING}' %}}"))
    assert composer.fingerprints()[WAY_OF_RENDERING] == str(RENDERING)
    monkeypatch.setattr("campaign.compose.composer.RENDERING", 77)
    assert composer.fingerprints()[WAY_OF_RENDERING] == "77"


def test_an_if_without_else_prints_nothing_where_it_is_false(tmp_path):
    source = "<p>{{ 'dear' if name == 'Ada' }}{{ name }}</p>"
    composer = Composer(brief(tmp_path, source))
    assert "dearAda" in html_of(letter(composer, recipient(name="Ada")))
    assert "<p>Bob</p>" in html_of(letter(composer, recipient(name="Bob")))


def test_a_header_by_which_a_relay_drops_second_copies_is_the_letters_own_and_never_changes(tmp_path):
    given = replace(brief(tmp_path), idempotency_header="Resend-Idempotency-Key")
    first, second = letter(Composer(given)), letter(Composer(given), recipient(1))
    assert read(first)["Resend-Idempotency-Key"] == first.message_id[1:].partition("@")[0]
    assert letter(Composer(given)).content == first.content
    assert read(first)["Resend-Idempotency-Key"] != read(second)["Resend-Idempotency-Key"]
    assert "Idempotency" not in str(read(letter(Composer(brief(tmp_path)))))
    assert "header that drops second copies" in Composer(given).fingerprints()


def test_such_a_header_of_the_users_own_takes_its_place(tmp_path):
    own = brief(tmp_path, headers={"resend-idempotency-key": "mine"})
    made = read(letter(Composer(replace(own, idempotency_header="Resend-Idempotency-Key"))))
    assert made.get_all("Resend-Idempotency-Key") == ["mine"]
