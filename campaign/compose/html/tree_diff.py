"""Whether two HTML documents are the same as a tree: how the results of the two ways of inlining are compared."""

from __future__ import annotations

from typing import Any


def difference(one: str, other: str) -> str:
    """The first difference in words, or ``""``. Text, attributes, comments and order count; spelling does not."""
    return _nodes(_tree(one), _tree(other))


def _tree(html: str) -> Any:
    from lxml import etree

    return etree.fromstring(html.encode("utf-8"), etree.HTMLParser(encoding="utf-8", huge_tree=True))


def _nodes(one: Any, other: Any) -> str:
    if one is None or other is None:
        return "" if one is other else "one of the two is empty"
    waiting = [(one, other)]
    while waiting:
        left, right = waiting.pop()
        name = left.tag if isinstance(left.tag, str) else "comment"
        if left.tag != right.tag:
            return f"<{name}> stands where the other way gives <{right.tag}>"
        if dict(left.attrib) != dict(right.attrib):
            return f"attributes of <{name}>: {dict(left.attrib)} and {dict(right.attrib)}"
        for where in ("text", "tail"):
            if (getattr(left, where) or "") != (getattr(right, where) or ""):
                return f"{where} of <{name}>: {getattr(left, where)!r} and {getattr(right, where)!r}"
        if len(left) != len(right):
            return f"<{name}> holds {len(left)} elements and {len(right)}"
        waiting += zip(left, right, strict=True)
    return ""
