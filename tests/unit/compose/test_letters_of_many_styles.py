"""Letters written the way people write them: old, hybrid, for Outlook, for dark mode, from right to left."""

from __future__ import annotations

import sys
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from campaign.compose.composer import Brief, Composer
from campaign.compose.html.tree_diff import difference
from campaign.config.compose import ComposeSection
from campaign.model import Identity, Letter, Mailbox, Recipient
from tests.support.rendering import rendered_html

FOLDER = Path(__file__).parent / "letters"
NAMES = sorted(path.name for path in FOLDER.glob("*.j2"))
ROWS: list[dict[str, Any]] = [
    {"name": "Zoë & Co", "place": "São Paulo", "words": ["one", "two <b>"], "plan": "pro", "direction": "ltr"},
    {"name": "李雷", "place": "北京", "words": [], "plan": "", "direction": "rtl"},
    {"name": 'O\'Hara "Jo"', "place": "a\nb", "words": ["=", "&nbsp;", "x" * 300], "plan": "free", "direction": "rtl"},
    {"name": "شيماء", "place": "القاهرة", "words": ["واحد"], "plan": "pro", "direction": "rtl"},
    {"name": "{{ 7 * 7 }}", "place": " ", "words": ["</p><script>x</script>"], "plan": "pro", "direction": "ltr"},
]
MORE: dict[str, Any] = {
    "amount": "€ 12,50", "link": "https://example.com/?q=李&n=a b", "due": "2026-11-24", "share": 40
}  # fmt: skip
SURVIVE = {
    "tables.html.j2": ["mso-table-lspace:0", "rgb(0 0 0 / 60%)", "color:#ffffff", "&nbsp;", "XHTML 1.0"],
    "hybrid.html.j2": [
        '<!--[if mso]></td><td width="300"><![endif]-->', "<![if !mso]>", "<!--[if !mso]><!-->", "@font-face",
        "@supports (display: grid)", "(width >= 600px)", "max-width: 50% !important", "table { width: 600px }",
    ],
    "dark.html.j2": [
        "prefers-color-scheme: dark", "a:hover, a:focus { color: #c06 !important }", "* { box-sizing: border-box }",
        "color:var(--ink, #222)", "&nbsp;", 'class="card gold"',
    ],
    "rtl.html.j2": ["text-align:left", "border-right:3px solid #999"],
    "old.html.j2": ["#333", "url('https://example.com/x.gif')", "<HR>"],
}  # fmt: skip


def composer(name: str, **more: Any) -> Composer:
    settings = ComposeSection(subject="{{ name }}", html=name, **more)
    columns = (*ROWS[0], *MORE)
    identity = Identity("demo", "", 1, b"k" * 32)
    return Composer(Brief(identity, Mailbox("", "news@example.com"), None, None, settings, FOLDER, columns))


def people() -> list[Recipient]:
    return [
        Recipient(number, "b@example.com", str(number), "", number + 2, {**MORE, **row})
        for number, row in enumerate(ROWS)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_by_shape_and_per_row_give_the_same_tree(name):
    made = composer(name)
    assert made.choose_inlining(people()) == ("shape", "")


@pytest.mark.parametrize("name", NAMES)
def test_what_readers_depend_on_survives(name):
    made = composer(name)
    html = rendered_html(made, made._variables.of(people()[0]))
    assert [piece for piece in SURVIVE[name] if piece not in html] == []


@pytest.mark.parametrize("inliner", ["premailer", "css-inline"])
@pytest.mark.parametrize("name", NAMES)
def test_every_row_becomes_a_sound_letter(name, inliner):
    made = composer(name, inliner=inliner)
    for one in people():
        letter = made.compose(one, 1.0e9)
        assert isinstance(letter, Letter), letter
        message: Any = message_from_bytes(letter.content, policy=policy.default)
        assert [part.defects for part in message.walk()] == [[], [], []]
        assert message["Subject"] == one.row["name"]
        html, text = (message.get_body((kind,)).get_content() for kind in ("html", "plain"))
        assert "<script>" not in html
        assert "{%" not in html
        shown = rendered_html(made, made._variables.of(one))
        assert difference(html.rstrip(), shown.rstrip()) == ""
        assert one.row["amount"] in text.replace("\r\n", "\n")
        assert letter.content.isascii()
        assert max(map(len, letter.content.split(b"\r\n"))) <= 998


OPENED: list[str] = []
WATCH = {"on": False}


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCH["on"]:
        if event == "open" and isinstance(arguments[0], str):
            OPENED.append(arguments[0])
        elif event in ("socket.connect", "socket.getaddrinfo", "urllib.Request", "subprocess.Popen", "os.system"):
            raise AssertionError(f"{event} {arguments!r}")


sys.addaudithook(note)


@pytest.mark.parametrize("name", NAMES)
def test_rendering_opens_no_file_outside_the_root_and_no_connection(name):
    OPENED.clear()
    WATCH["on"] = True
    try:
        made = composer(name)
        for one in people():
            made.compose(one, 1.0e9)
    finally:
        WATCH["on"] = False
    zones = "/usr/share/zoneinfo"  # Babel looks for the machine's own when it is first loaded
    allowed = (str(FOLDER), sys.prefix, sys.base_prefix, str(Path(__file__).parents[3] / "campaign"), zones)
    assert [path for path in OPENED if Path(path).is_absolute() and not path.startswith(allowed)] == []
