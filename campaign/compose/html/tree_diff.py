"""Compares two HTML documents as trees, to check that both modes of inlining give the same result."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from campaign.compose.html.html_parser import parse_html
from campaign.compose.html.value_contexts import URL_ATTRIBUTES
from campaign.compose.html.value_escaping import URL_SAFE


def difference(one: str, other: str) -> str:
    """The first difference in words, or ``""``. Text, attributes, comments and order count; spelling does not."""
    return "" if one == other else _nodes(parse_html(one), parse_html(other))


def _nodes(one: Any, other: Any) -> str:
    waiting = [(one, other)]
    while waiting:
        left, right = waiting.pop()
        name = left.tag if isinstance(left.tag, str) else "comment"
        if left.tag != right.tag:
            return f"<{name}> stands where the other way gives <{right.tag}>"
        if dict(left.attrib) != dict(right.attrib) and _shown(left) != _shown(right):
            return f"attributes of <{name}>: {dict(left.attrib)} and {dict(right.attrib)}"
        for where in ("text", "tail"):
            if (getattr(left, where) or "") != (getattr(right, where) or ""):
                return f"{where} of <{name}>: {getattr(left, where)!r} and {getattr(right, where)!r}"
        if len(left) != len(right):
            return f"<{name}> holds {len(left)} elements and {len(right)}"
        waiting += zip(left, right, strict=True)
    return ""


def _shown(element: Any) -> dict[str, str]:
    """The attributes with links percent-encoded as browsers do, since the modes of inlining differ in that."""
    return {
        name: quote(value, safe=URL_SAFE) if name in URL_ATTRIBUTES else value for name, value in element.attrib.items()
    }
