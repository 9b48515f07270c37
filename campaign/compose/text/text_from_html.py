"""Derives the text part from the HTML part, for campaigns without a text template.

Links become ``text (address)``, pictures become their alternative text, and lists and tables keep their lines. What the
HTML hides (a preheader, ``display: none``) is left out. The input is finished HTML in which tokens may replace values,
so the text is derived once per shape; the columns of a table are therefore not padded to the width of their values.
"""

from __future__ import annotations

import re
from typing import Any

from campaign.compose.html.html_parser import parse_html

_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE)
_GAPS = re.compile(r"(?<=\S)[ \t\u00a0]{2,}")
_BLANK_LINES = re.compile(r"\n{3,}")
_FILLERS = re.compile("[\u200b-\u200d\u034f\u00ad\ufeff]")  # pad preheaders; mean nothing in plain text
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # HTML may contain them as &#3;
_QUIET = ("#", "cid:", "javascript:")


def derived(html: str) -> str:
    """The plain text of ``html``: lines end in LF, no line ends in a blank, one empty line at most in a row."""
    from inscriptis.html_engine import Inscriptis
    from inscriptis.model.config import ParserConfig

    tree = parse_html(html)
    _drop_hidden(tree)
    for element in tree.iter():
        element.attrib.pop("style", "")  # margins and paddings would become blanks and empty lines
    for link in list(tree.iter("a")):
        _name_address(link)
    for picture in list(tree.iter("img")):
        _replace(picture, (picture.get("alt") or "").strip())
    text = Inscriptis(tree, ParserConfig(display_links=False, display_images=False)).get_text()
    lines = [_GAPS.sub("  ", _FILLERS.sub("", line)).rstrip() for line in text.split("\n")]
    whole = _CONTROLS.sub("", "\n".join(lines))
    return _BLANK_LINES.sub("\n\n", whole).strip("\n").replace("\u00a0", " ") + "\n"


def _drop_hidden(tree: Any) -> None:
    hidden = [
        element
        for element in tree.iter()
        if not isinstance(element.tag, str)
        or element.tag in ("script", "style", "title", "head")
        or _HIDDEN.search(element.get("style") or "")
        or element.get("hidden") is not None
    ]
    for element in hidden:
        if element.getparent() is not None:
            _replace(element, "")


def _replace(element: Any, text: str) -> None:
    """Replace the element with ``text``; the text after it stays."""
    parent, text = element.getparent(), text + (element.tail or "")
    before = element.getprevious()
    if before is not None:
        before.tail = _CONTROLS.sub("", (before.tail or "") + text)
    else:
        parent.text = _CONTROLS.sub("", (parent.text or "") + text)
    parent.remove(element)


def _name_address(link: Any) -> None:
    """Append the address in parentheses to the link's text, unless the text already shows it."""
    address = (link.get("href") or "").strip()
    shown = "".join(link.itertext()).strip()
    bare = address.removeprefix("mailto:").removeprefix("tel:")
    if not address or address.startswith(_QUIET) or bare in (shown, f"https://{shown}", f"http://{shown}"):
        return
    _append(link, f" ({bare})" if shown or link.find(".//img") is not None else bare)


def _append(element: Any, text: str) -> None:
    last = element[-1] if len(element) else None
    if last is not None:
        last.tail = _CONTROLS.sub("", (last.tail or "") + text)
    else:
        element.text = _CONTROLS.sub("", (element.text or "") + text)
