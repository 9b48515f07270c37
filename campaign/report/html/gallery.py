"""The preview gallery: one offline page that shows each letter as its recipients will see it.

Each is shown as a line in an inbox, wide and narrow, in dark mode, with images off, as plain text, and with its
attachments and headers. Letters are in sandboxed frames: none of their scripts runs and nothing is fetched, so a
preview does not reach any tracker. The page's own script makes each frame as tall as its letter; for that the frames
share the page's origin. The caller has put data URIs in place of ``cid:`` references, and chooses the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from campaign.report import formatting
from campaign.report.html.html_builder import POLICY, Html, html_document, join, tag
from campaign.report.html.simulated_views import in_front, in_scheme, inverted, without_images
from campaign.report.report_file import replacing

NAME = "index.html"
WIDE, NARROW = 600, 375

#: No allow-scripts and no allow-popups: a letter runs nothing, opens nothing, and can only be measured.
SANDBOX = "allow-same-origin"
#: Limits a letter even if the sandbox failed; links lead nowhere, so that a click does not empty its frame.
_GUARD = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}; form-action \'none\'"><base target="_blank">'
INVERTED = (
    "The letter has no rules for dark mode. Some mail programs show it as it is; others, such as Gmail and Outlook on "
    "telephones, change its colours, roughly like this."
)
OWN_RULES = (
    "By the letter's own rules for dark mode, as Apple Mail shows it. Gmail and Outlook may ignore them and change the "
    "colours themselves."
)


class Enclosed(msgspec.Struct, frozen=True):
    """An attachment of a letter; ``size`` in octets. ``href`` leads to its bytes, or is ``""``.

    ``saved``: a browser must not open it, as it could run scripts there.
    """

    name: str
    type: str
    size: int
    href: str = ""
    saved: bool = False


class Preview(msgspec.Struct, frozen=True):
    """One letter to show. ``size`` is the whole letter in octets; ``eml_name`` is a file beside the page (or ``""``).

    ``label`` and ``detail`` say why it is shown and how it differs from others; ``sender`` is a name and an address;
    ``preheader`` is what an inbox shows after the subject; ``own_dark``: the letter supports dark mode.
    """

    label: str
    row: int
    to: str
    subject: str
    headers: Sequence[tuple[str, str]]
    html: str
    text: str
    size: int
    eml_name: str = ""
    detail: str = ""
    sender: tuple[str, str] = ("", "")
    preheader: str = ""
    own_dark: bool = False
    attachments: Sequence[Enclosed] = ()


def write_gallery(
    folder: Path,
    letters: Sequence[Preview],
    *,
    title: str = "Preview",
    names: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write ``index.html`` (0600) into ``folder`` and return its path.

    ``names`` are those a template may use; ``notes`` describe what is not shown. Raises StorageError.
    """
    path = folder / NAME
    with replacing(path) as stream:
        stream.write(gallery(letters, title, names, notes=notes))
    return path


def gallery(letters: Sequence[Preview], title: str, names: Sequence[str] = (), *, notes: Sequence[str] = ()) -> Html:
    """The whole document; one letter shown at a time, chosen by radio buttons. ``notes`` describe what is not shown."""
    numbers = range(1, len(letters) + 1)
    picks = (tag("input", type="radio", name="letter", id=f"pick-{at}", cls="pick", checked=at == 1) for at in numbers)
    labels = (_label(at, letter) for at, letter in zip(numbers, letters, strict=True))
    count = formatting.counted(len(letters), "letter")
    seen = "its reader sees it" if len(letters) == 1 else "their readers see them"
    return html_document(
        title,
        "gallery.css",
        tag("header", tag("h1", title), tag("p", f"{count}, as {seen}. Nothing is loaded from outside.")),
        tag(
            "div",
            picks,
            tag("nav", labels, _notes(notes), aria_label="Letters"),
            tag("main", (_letter(at, letter) for at, letter in zip(numbers, letters, strict=True))),
            cls="letters",
        ),
        _names(names),
        rules="".join(map(_rules, numbers)),
        script="gallery.js",
    )


def _rules(at: int) -> str:
    return (
        f"#pick-{at}:checked~main #letter-{at}{{display:block}}"
        f"#pick-{at}:checked~nav [for=pick-{at}]{{background:var(--card);border-color:var(--ink);color:var(--ink)}}"
        f"#pick-{at}:focus-visible~nav [for=pick-{at}]{{outline:2px solid var(--accent);outline-offset:2px}}"
    )


def _label(at: int, letter: Preview) -> Html:
    row = f"row {letter.row}"
    why = " · ".join(one for one in (row, letter.detail) if one and one != letter.label)
    return tag("label", tag("b", letter.label), tag("span", why), for_=f"pick-{at}")


def _notes(notes: Sequence[str]) -> list[Html]:
    return [tag("p", formatting.sentence(one), cls="quiet") for one in notes]


def _names(names: Sequence[str]) -> Html | None:
    """Every column, under the name that a template may print."""
    codes = ((" ", tag("code", name)) for name in names)
    return tag("footer", tag("p", "A template may use: "), tag("p", codes, cls="names")) if names else None


def _letter(at: int, letter: Preview) -> Html:
    return tag(
        "article",
        _inbox(letter),
        tag("h2", letter.subject or "No subject", dir="auto"),
        _about(letter),
        _attachments(letter),
        _panes(letter),
        id=f"letter-{at}",
    )


def _inbox(letter: Preview) -> Html:
    """The letter as one line of an inbox, cut where an inbox cuts it."""
    name, address = letter.sender
    who = name or formatting.people_address(address) or "No sender"
    clip = tag("span", formatting.counted(len(letter.attachments), "attachment"), cls="clip")
    words = [tag("b", letter.subject or "No subject"), " ", tag("bdi", letter.preheader, cls="preheader")]
    return tag(
        "section",
        tag("h3", "In the inbox"),
        tag(
            "div",
            tag("span", who[:1].upper(), cls="face", aria_hidden="true"),
            tag("bdi", who, cls="who"),
            tag("p", words, dir="auto"),
            clip if letter.attachments else None,
            cls="inbox",
        ),
    )


def _about(letter: Preview) -> Html:
    name, address = letter.sender
    about: dict[str, object] = {
        "From": f"{name} <{formatting.people_address(address)}>" if name else formatting.people_address(address),
        "To": formatting.people_address(letter.to),
        "Row": letter.row,
        "Size": formatting.size(letter.size),
        "File": tag("a", letter.eml_name, href=quote(letter.eml_name)) if letter.eml_name else "",
    }
    facts = (tag("div", tag("dt", name), tag("dd", value)) for name, value in about.items() if value)
    return tag("dl", facts, cls="about")


def _attachments(letter: Preview) -> Html | None:
    """Each attachment with its name, type and size; the name links to its bytes."""
    if not letter.attachments:
        return None
    heading = tag("h3", formatting.counted(len(letter.attachments), "attachment").capitalize())
    return tag("section", heading, tag("ul", map(_attachment, letter.attachments)), cls="attachments")


def _attachment(one: Enclosed) -> Html:
    name = one.name or "without a name"
    how = "" if one.href and not one.saved else ", saved and not opened" if one.href else ", look into the .eml file"
    about = tag("span", f"{one.type}, {formatting.size(one.size)}{how}")
    content = join([tag("bdi", name), about])
    if not one.href:
        return tag("li", tag("span", content))
    return tag(
        "li",
        tag(
            "a", content, href=one.href, target="_blank", download=formatting.printable(one.name) if one.saved else None
        ),
    )


def _panes(letter: Preview) -> Html:
    headers = tag(
        "dl", (tag("div", tag("dt", name), tag("dd", value)) for name, value in letter.headers), cls="headers"
    )
    plain = tag("pre", ([line, Html("\n")] for line in letter.text.splitlines()))
    text, head = _pane("Plain text", "wide text", plain), _pane("Headers", "narrow text", headers)
    if not letter.html:
        return _pair(text, head)
    light = in_scheme(letter.html, "light")
    off = _pane("Images off", "wide", _frame(without_images(light), "images off", letter))
    return join(
        [
            _pair(
                _pane(f"Wide, {WIDE} px", "wide", _frame(light, "wide", letter)),
                _pane(f"Narrow, {NARROW} px", "narrow", _frame(light, "narrow", letter)),
            ),
            _in_the_dark(letter),
            _pair(tag("div", off, text), head),
        ]
    )


def _in_the_dark(letter: Preview) -> Html:
    """The letter in dark mode: by its own rules, or else as programs recolour it; the text says which."""
    if letter.own_dark:
        html, cls, words = in_scheme(letter.html, "dark"), "dark", OWN_RULES
    else:
        html, cls, words = inverted(in_scheme(letter.html, "light")), "inverted", INVERTED
    return join(
        [
            tag("p", tag("b", "Dark mode"), " ", words, cls="note"),
            _pair(
                _pane("Dark", f"wide {cls}", _frame(html, "dark", letter)),
                _pane("Dark and narrow", f"narrow {cls}", _frame(html, "dark and narrow", letter)),
            ),
        ]
    )


def _pair(wide: Html, narrow: Html) -> Html:
    """Side by side on a wide screen; on a telephone the narrow view comes first."""
    return tag("div", wide, narrow, cls="pair")


def _pane(title: str, cls: str, content: Html) -> Html:
    return tag("section", tag("h3", title), content, cls=f"pane {cls}")


def _frame(html: str, view: str, letter: Preview) -> Html:
    title = formatting.printable(f"{letter.label}, {view}")
    frame = tag("iframe", sandbox=SANDBOX, srcdoc=in_front(html, _GUARD), title=title, loading="lazy")
    return tag("div", frame, cls="frame", tabindex="0")
