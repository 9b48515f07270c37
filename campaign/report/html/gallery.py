"""The preview gallery: one offline page that shows each letter as its readers will see it.

Wide and narrow, in the dark, with images off, as plain text, and its headers. Letters stand in sandboxed frames:
no script runs and nothing is fetched, so a preview tells no tracker anything. The caller has put data URIs in
place of ``cid:`` references. Which rows are worth showing is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from campaign.report import formatting
from campaign.report.files import replacing
from campaign.report.html.html_builder import Html, html_document, tag

NAME = "index.html"
WIDE, NARROW = 600, 375

_SCHEME = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*(?:<!--.*?-->\s*)*<!doctype[^>]*>", re.IGNORECASE | re.DOTALL)
_VALUE = r"""\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)"""
_IMAGE = re.compile(r"""<(?:img|source)\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_SOURCE = re.compile(rf"\s(?:src|srcset|sizes){_VALUE}", re.IGNORECASE)
_BACKGROUND = re.compile(rf"\sbackground{_VALUE}", re.IGNORECASE)
_URL = re.compile(r"""url\(\s*(?:"[^"]*"|'[^']*'|[^)]*)\s*\)""", re.IGNORECASE)
#: Where a reader would see a picture's place and its alternative text; red where there is none.
_OUTLINES = "img{outline:1px dashed #8a8f98;outline-offset:-1px}img:not([alt]){outline:2px dashed #d23f31}"


@dataclass(frozen=True, slots=True)
class Preview:
    """One letter to show. ``size`` is the whole letter in octets; ``eml_name`` lies beside the page (or ``""``)."""

    label: str
    row: int
    to: str
    subject: str
    headers: Sequence[tuple[str, str]]
    html: str
    text: str
    size: int
    eml_name: str = ""


def write_gallery(
    folder: Path, letters: Sequence[Preview], *, title: str = "Preview", names: Sequence[str] = ()
) -> Path:
    """Write ``index.html`` (0600) into ``folder`` and return its path. ``names`` are those a template may use.

    Raises StorageError.
    """
    path = folder / NAME
    with replacing(path) as stream:
        stream.write(gallery(letters, title, names))
    return path


def gallery(letters: Sequence[Preview], title: str, names: Sequence[str] = ()) -> Html:
    """The whole document; one letter shown at a time, chosen by radio buttons."""
    numbers = range(1, len(letters) + 1)
    picks = (tag("input", type="radio", name="letter", id=f"pick-{at}", cls="pick", checked=at == 1) for at in numbers)
    labels = (_label(at, letter) for at, letter in zip(numbers, letters, strict=True))
    count = formatting.counted(len(letters), "letter")
    return html_document(
        title,
        "gallery.css",
        tag(
            "header",
            tag("h1", title),
            tag("p", f"{count}, as their readers see them. Nothing is loaded from outside."),
            tag("p", "A template may use: ", ((", " if at else "", tag("code", name)) for at, name in enumerate(names)))
            if names
            else None,
        ),
        picks,
        tag("nav", labels, aria_label="Letters"),
        tag("main", (_letter(at, letter) for at, letter in zip(numbers, letters, strict=True))),
        rules="".join(map(_rules, numbers)),
    )


def in_scheme(html: str, scheme: Literal["light", "dark"]) -> str:
    """``html`` as a reader with that preference sees it, whatever the browser's own."""
    settled = _SCHEME.sub(lambda match: "(min-width:0)" if match[1].lower() == scheme else "(max-width:0)", html)
    return _with_style(settled, f":root{{color-scheme:{scheme}!important}}")


def without_images(html: str) -> str:
    """``html`` as a mail reader shows it before images are allowed: alternative texts and empty frames."""
    bare = _IMAGE.sub(lambda match: _SOURCE.sub("", match[0]), html)
    return _with_style(_BACKGROUND.sub("", _URL.sub("none", bare)), _OUTLINES)


def _with_style(html: str, rules: str) -> str:
    """After the doctype and before everything else, where a parser opens the head for it."""
    match = _DOCTYPE.match(html)
    at = match.end() if match else 0
    return f"{html[:at]}<style>{rules}</style>{html[at:]}"


def _rules(at: int) -> str:
    return (
        f"#pick-{at}:checked~main #letter-{at}{{display:block}}"
        f"#pick-{at}:checked~nav [for=pick-{at}]{{background:var(--ink);border-color:var(--ink);color:var(--paper)}}"
        f"#pick-{at}:focus-visible~nav [for=pick-{at}]{{outline:2px solid var(--accent);outline-offset:2px}}"
    )


def _label(at: int, letter: Preview) -> Html:
    return tag("label", tag("b", letter.label), tag("span", f"row {letter.row}"), for_=f"pick-{at}")


def _letter(at: int, letter: Preview) -> Html:
    about = {
        "To": letter.to,
        "Row": str(letter.row),
        "Size": formatting.size(letter.size),
    }
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in about.items()]
    if letter.eml_name:
        facts.append(tag("div", tag("dt", "File"), tag("dd", tag("a", letter.eml_name, href=quote(letter.eml_name)))))
    return tag("article", tag("h2", letter.subject), tag("dl", facts, cls="about"), _panes(letter), id=f"letter-{at}")


def _panes(letter: Preview) -> Html:
    headers = tag(
        "dl", (tag("div", tag("dt", name), tag("dd", value)) for name, value in letter.headers), cls="headers"
    )
    plain = tag("pre", ([line, Html("\n")] for line in letter.text.splitlines()))
    words = tag("div", _pane("Plain text", "text", plain), _pane("Headers", "text", headers), cls="words")
    if not letter.html:
        return tag("div", words, cls="panes")
    light, dark = in_scheme(letter.html, "light"), in_scheme(letter.html, "dark")
    return tag(
        "div",
        _pane(f"Wide, {WIDE} px", "wide", _frame(light, "wide", letter)),
        _pane(f"Narrow, {NARROW} px", "narrow", _frame(light, "narrow", letter)),
        _pane("Dark", "wide dark", _frame(dark, "dark", letter)),
        _pane("Dark and narrow", "narrow dark", _frame(dark, "dark and narrow", letter)),
        _pane("Images off", "wide", _frame(without_images(light), "images off", letter)),
        words,
        cls="panes",
    )


def _pane(title: str, cls: str, content: Html) -> Html:
    return tag("section", tag("h3", title), content, cls=f"pane {cls}")


def _frame(html: str, view: str, letter: Preview) -> Html:
    title = formatting.printable(f"{letter.label}, {view}")
    return tag("div", tag("iframe", sandbox="", srcdoc=html, title=title, loading="lazy"), cls="frame")
