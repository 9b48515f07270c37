"""Simulated views of a letter's HTML: in dark mode, with inverted colours, or before images are allowed.

They are approximations: each mail program changes colours in its own way.
"""

from __future__ import annotations

import re
from typing import Literal

_SCHEME = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*(?:<!--.*?-->\s*)*<!doctype[^>]*>", re.IGNORECASE | re.DOTALL)
_VALUE = r"""\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)"""
_IMAGE = re.compile(r"""<(?:img|source)\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_SOURCE = re.compile(rf"\s(?:src|srcset|sizes){_VALUE}", re.IGNORECASE)
_BACKGROUND = re.compile(rf"\sbackground{_VALUE}", re.IGNORECASE)
_URL = re.compile(r"""url\(\s*(?:"[^"]*"|'[^']*'|[^)]*)\s*\)""", re.IGNORECASE)
#: The frame is inverted as a whole; pictures are inverted back.
_AS_THEY_ARE = "img,picture,video,svg{filter:invert(1) hue-rotate(180deg)}picture img{filter:none}"
#: A picture's outline and its alternative text; red if there is none.
_OUTLINES = "img{outline:1px dashed #8a8f98;outline-offset:-1px}img:not([alt]){outline:2px dashed #d23f31}"


def in_scheme(html: str, scheme: Literal["light", "dark"]) -> str:
    """``html`` as shown to a reader with that preference, whatever the browser's own."""
    settled = _SCHEME.sub(lambda match: "(min-width:0)" if match[1].lower() == scheme else "(max-width:0)", html)
    return _with_style(settled, f":root{{color-scheme:{scheme}!important}}")


def without_images(html: str) -> str:
    """``html`` as a mail reader shows it before images are allowed: alternative texts and empty frames."""
    bare = _IMAGE.sub(lambda match: _SOURCE.sub("", match[0]), html)
    return _with_style(_BACKGROUND.sub("", _URL.sub("none", bare)), _OUTLINES)


def _with_style(html: str, rules: str) -> str:
    return in_front(html, f"<style>{rules}</style>")


def in_front(html: str, markup: str) -> str:
    """Insert ``markup`` after the doctype and before everything else, where a parser opens the head for it."""
    match = _DOCTYPE.match(html)
    at = match.end() if match else 0
    return f"{html[:at]}{markup}{html[at:]}"


def inverted(html: str) -> str:
    """``html`` for a frame with inverted colours, as mail programs show letters without dark rules."""
    return _with_style(html, _AS_THEY_ARE)
