"""Finds and replaces references to pictures in finished HTML, by a cid, by the data itself, or by a link.

It covers ``src`` of ``img`` and ``input``, ``background`` and ``poster``, ``url(…)`` in style attributes and sheets,
and VML in conditional comments. References with a network scheme stay links. `file_parts.py` reads the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_QUOTED = r"(?:\"([^\"]*)\"|'([^']*)')"
_ATTRIBUTE = r"(?:[^\s\"'>/=]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?)"
_PICTURED = r"<(?:img|input|v:imagedata|v:fill|v:image)\b"
_SOURCE = re.compile(rf"({_PICTURED}(?:\s+{_ATTRIBUTE})*?\s+src\s*=\s*){_QUOTED}", re.IGNORECASE)
_BACKGROUND = re.compile(rf"(<[a-z][\w:]*(?:\s+{_ATTRIBUTE})*?\s+(?:background|poster)\s*=\s*){_QUOTED}", re.IGNORECASE)
_STYLED = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)|(\sstyle\s*=\s*)(\"[^\"]*\"|'[^']*')", re.IGNORECASE | re.DOTALL)
_HAS_BACKGROUND = re.compile(r"\s(?:background|poster)\s*=", re.IGNORECASE)
_HAS_URL = re.compile(r"url\(", re.IGNORECASE)
_URL = re.compile(r"(url\(\s*)(&quot;|&#39;|&apos;|\"|'|)(.*?)\2(\s*\))", re.IGNORECASE)
_FONT = re.compile(r"@font-face\s*\{[^}]*\}|@import[^;]*;|@namespace[^;]*;", re.IGNORECASE)
_ELSEWHERE = re.compile(r"\s*(?:https?:|//|cid:|data:|mailto:|#|about:|$)", re.IGNORECASE)

Replace = Callable[[str], str]  #: from the reference as written (escaped) to its replacement


def elsewhere(reference: str) -> bool:
    """Whether a reference is not to a local file: it leads to the network, or is data already."""
    return _ELSEWHERE.match(reference) is not None


def replaced(html: str, replace: Replace) -> str:
    """``html`` with each reference to a picture replaced."""

    def quoted(match: re.Match[str]) -> str:
        double, single = match[2], match[3]
        mark, reference = ("'", single) if double is None else ('"', double)
        return f"{match[1]}{mark}{_kept_or(replace, reference)}{mark}"

    html = _SOURCE.sub(quoted, html)
    if _HAS_BACKGROUND.search(html):  # the two full patterns are slow when nothing matches
        html = _BACKGROUND.sub(quoted, html)
    return _STYLED.sub(lambda match: _in_style(match, replace), html) if _HAS_URL.search(html) else html


def _in_style(match: re.Match[str], replace: Replace) -> str:
    if match[2] is None:
        return match[4] + _URL.sub(lambda url: _in_url(url, replace), match[5])
    css, start, pieces = match[2], 0, []
    for font in _FONT.finditer(css):
        pieces += [_URL.sub(lambda url: _in_url(url, replace), css[start : font.start()]), font[0]]
        start = font.end()
    pieces.append(_URL.sub(lambda url: _in_url(url, replace), css[start:]))
    return match[1] + "".join(pieces) + match[3]


def _in_url(match: re.Match[str], replace: Replace) -> str:
    return f"{match[1]}{match[2]}{_kept_or(replace, match[3])}{match[2]}{match[4]}"


def _kept_or(replace: Replace, reference: str) -> str:
    return reference if elsewhere(reference) else replace(reference)
