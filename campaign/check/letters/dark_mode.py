"""Legibility in dark mode of letters that declare support for it: no dark text on a ground that is painted dark.

A reader paints the ground and the default text of such a letter (``color-scheme: light dark``) in its own dark colours,
and keeps the colours that the letter sets. So a text colour set without its ground, or the reverse, is lost. Not judged
are letters that do not mention dark mode, which are shown unchanged or recoloured as a whole, those with their own
rules for it, and those whose sheets set colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from campaign.check.letters.client_support import elements
from campaign.check.letters.letter_fault import Fault
from campaign.compose.mime.read_back import ReadLetter

if TYPE_CHECKING:  # lxml is loaded when a letter is checked
    from lxml.etree import _Element

Colour = tuple[int, int, int]
Painted = tuple[str, str]  #: colour of the text and of its ground, each as the letter writes it, or ""

DARK_GROUND, LIGHT_TEXT = (0x1E, 0x1E, 0x1E), (0xFF, 0xFF, 0xFF)  #: what dark readers paint
LEAST_CONTRAST = 3.0  #: WCAG 2.2, 1.4.11; less is hardly visible

_NAMES = {
    "black": (0, 0, 0),
    "navy": (0, 0, 128),
    "maroon": (128, 0, 0),
    "darkblue": (0, 0, 139),
    "darkslategray": (47, 79, 79),
    "dimgray": (105, 105, 105),
    "white": (255, 255, 255),
    "snow": (255, 250, 250),
    "ivory": (255, 255, 240),
    "whitesmoke": (245, 245, 245),
    "lightgray": (211, 211, 211),
    "yellow": (255, 255, 0),
}
_HEX = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})")
_RGB = re.compile(r"rgb\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*\)")
_COLOURED = re.compile(r"(?<![\w-])(?:color|background(?:-color|-image)?)\s*:", re.IGNORECASE)
_UNSET = frozenset({"transparent", "none", "inherit", "initial", "unset", "currentcolor"})
_NO_TEXT = frozenset({"head", "style", "script", "title"})
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|mso-hide", re.IGNORECASE)


def unreadable_in_the_dark(seen: ReadLetter) -> Iterator[Fault]:
    """One warning for each pair of colours that dark mode makes alike."""
    if not seen.allows_dark or seen.has_dark_rules:
        return
    found = elements(seen.html)
    if any(one.tag == "style" and _COLOURED.search(one.text or "") for one in found):
        return
    for text, ground in dict.fromkeys(_painted(one) for one in found if _says_something(one)):
        if bool(text) == bool(ground):
            continue
        first, second = colour_of(text) if text else LIGHT_TEXT, colour_of(ground) if ground else DARK_GROUND
        if first and second and contrast(first, second) < LEAST_CONTRAST:
            what = f"text in {text} has no background" if text else f"text on {ground} has no colour"
            yield Fault(
                "warning",
                "dark-mode",
                f"{what} of its own, and cannot be read in dark mode",
                "HTML part",
                "set color and background-color together, or leave out color-scheme",
            )


def _says_something(element: _Element) -> bool:
    texts = (element.text, *(child.tail for child in element))
    return element.tag not in _NO_TEXT and any(text and text.strip() for text in texts)


def _painted(element: _Element) -> Painted:
    """The nearest colour and ground around a text; both empty if it is hidden, or a link, which has its own."""
    text = ground = ""
    for one in (element, *element.iterancestors()):
        style = one.get("style") or ""
        if one.tag == "a" or one.tag in _NO_TEXT or _UNSEEN.search(style):
            return "", ""
        declared = _declared(style)
        text = text or declared.get("color") or (one.get("color") or "" if one.tag == "font" else "")
        ground = ground or declared.get("background-color") or declared.get("background") or one.get("bgcolor") or ""
        ground = ground or ("a picture" if one.get("background") or declared.get("background-image") else "")
    return text, ground


def _declared(style: str) -> dict[str, str]:
    pairs = (one.partition(":") for one in style.split(";") if ":" in one)
    found = {name.strip().lower(): value.replace("!important", "").strip().lower() for name, _, value in pairs}
    return {name: value for name, value in found.items() if value not in _UNSET}


def colour_of(text: str) -> Colour | None:
    """``#222``, ``rgb(34, 34, 34)`` or a common name; None for anything else, which is not judged."""
    text = text.strip().lower()
    if match := _HEX.fullmatch(text):
        digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    if match := _RGB.fullmatch(text):
        return int(match[1]), int(match[2]), int(match[3])
    return _NAMES.get(text)


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4  # part/255 <= 0.04045
        for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
