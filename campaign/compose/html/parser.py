"""HTML as a tree, by the algorithm of the HTML Standard, the same that browsers use: one parser for all of compose.

The parser is Lexbor; the tree is one of lxml, because the libraries that work on it want that.
"""

from __future__ import annotations

import re
from typing import Any

from campaign.compose.html.start_tags import MOST_OPEN, start_tags

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # what lxml cannot hold
_TEMPLATE = re.compile(r"(?<=<)(/?)template(?=[\s/>])", re.IGNORECASE)
_ODD = re.compile(r"[^\w.-]")
_maker: Any = None


def parse(html: str) -> Any:
    """The ``html`` element of a document or fragment, an lxml element; comments around it are its siblings.

    Elements that the source leaves out (html, head, body, tbody) are there, as in a browser. What stands in a
    ``template``, which mail readers do not know, is parsed like other content. Control characters are left out.

    Raises ValueError for elements that are nested too deeply, UnicodeEncodeError for half a surrogate pair.
    """
    if html.count("<") > MOST_OPEN:
        start_tags(html)  # refuses what would take the parser too long
    return tree(html)


def tree(html: str) -> Any:
    """As `parse`, for HTML whose nesting was looked at before."""
    from selectolax.lexbor import LexborHTMLParser

    if "<" in html and "template" in html.lower():
        html = _TEMPLATE.sub(r"\1template-", html)
    page = LexborHTMLParser(html.encode("utf-8"))  # a page of nothing has its elements, too
    root: Any = page.root
    found = _subtree(root)
    before, after = root.prev, root.next
    while before is not None:
        if before.is_comment_node:
            found.addprevious(_comment(before))
        before = before.prev
    while after is not None:
        if after.is_comment_node:
            found.addnext(_comment(after))
        after = after.next
    return found


def _subtree(root: Any) -> Any:
    """The lxml copy of a Lexbor element and of all below it."""
    top = parent = _element(root)
    waiting: list[tuple[Any, Any, Any]] = [(root.first_child, parent, None)]  # next node, its parent, the one before it
    while waiting:
        node, parent, last = waiting.pop()
        while node is not None:
            if node.is_element_node:
                last = _element(node)
                parent.append(last)
                child = node.first_child
                if child is not None:
                    waiting.append((node.next, parent, last))
                    node, parent, last = child, last, None
                    continue
            elif node.is_text_node:
                _append_text(parent, last, node.text_content)
            elif node.is_comment_node:
                last = _comment(node)
                parent.append(last)
            node = node.next
    return top


def _element(node: Any) -> Any:
    global _maker
    if _maker is None:
        from lxml.etree import HTMLParser

        _maker = HTMLParser().makeelement  # elements of an HTML parser may have colons in their names
    try:
        element = _maker(node.tag)
    except ValueError:  # a name that XML does not know, such as a"b
        element = _maker("unknown")
    for name, value in node.attributes.items():
        try:
            element.set(name, _held(value))
        except ValueError:  # a name that lxml takes for one with a namespace, such as {x
            element.set(_ODD.sub("_", name), _held(value))
    return element


def _append_text(parent: Any, last: Any, text: str | None) -> None:
    if last is None:
        parent.text = (parent.text or "") + _held(text)
    else:
        last.tail = (last.tail or "") + _held(text)


def _comment(node: Any) -> Any:
    from lxml.etree import Comment

    comment = Comment()
    comment.text = _held(node.comment_content)  # the constructor refuses two hyphens
    return comment


def _held(text: str | None) -> str:
    """``text`` without the characters that lxml cannot hold."""
    if not text or text.isprintable():
        return text or ""
    return _CONTROLS.sub("", text)
