"""Parses HTML into a tree by the algorithm of the HTML Standard, as browsers do; all of compose uses this parser.

The parser is Lexbor; the tree is an lxml tree, because the libraries that use it need one.
"""

from __future__ import annotations

import re
from typing import Any

from campaign.compose.html.start_tags import MOST_OPEN, start_tags

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # what lxml cannot hold
_TEMPLATE = re.compile(r"(?<=<)(/?)template(?=[\s/>])", re.IGNORECASE)
_ODD = re.compile(r"[^\w.-]")


def parse_html(html: str) -> Any:
    """The ``html`` element of a document or fragment, an lxml element; comments around it are its siblings.

    Elements that the source omits (html, head, body, tbody) are added, as in a browser. The content of a ``template``,
    which mail readers do not support, is parsed like other content. Control characters are removed.

    Raises ValueError for elements that are nested too deeply, UnicodeEncodeError for half a surrogate pair.
    """
    if html.count("<") > MOST_OPEN:
        start_tags(html)  # refuses a source that would take the parser too long
    return tree(html)


def tree(html: str) -> Any:
    """As `parse_html`, for HTML whose nesting has been checked before."""
    from selectolax.lexbor import LexborHTMLParser

    if "template" in html.lower():
        html = _TEMPLATE.sub(r"\1template-", html)
    page = LexborHTMLParser(html.encode("utf-8"))  # even an empty page has its elements
    root: Any = page.root
    copy = Copy(odd="&#" in html or _CONTROLS.search(html) is not None)
    found = copy.below(root)
    before, after = root.prev, root.next
    while before is not None:
        if before.is_comment_node:
            found.addprevious(copy.comment(before))
        before = before.prev
    while after is not None:
        if after.is_comment_node:
            found.addnext(copy.comment(after))
        after = after.next
    return found


class Copy:
    """Copies Lexbor's nodes into lxml elements. ``odd``: there may be characters that lxml cannot hold."""

    def __init__(self, *, odd: bool) -> None:
        from lxml.etree import Comment, HTMLParser

        self._odd, self._comment = odd, Comment
        self._make = HTMLParser().makeelement  # elements of an HTML parser may have colons in their names

    def below(self, root: Any) -> Any:
        """A copy of an element and all its descendants."""
        top = parent = self._element(root)
        waiting: list[tuple[Any, Any, Any]] = [(root.first_child, parent, None)]  # next node, parent, the one before
        while waiting:
            node, parent, last = waiting.pop()
            while node is not None:
                if node.is_text_node:
                    self._append(parent, last, node.text_content)
                elif node.is_element_node:
                    last = self._element(node)
                    parent.append(last)
                    child = node.first_child
                    if child is not None:
                        waiting.append((node.next, parent, last))
                        node, parent, last = child, last, None
                        continue
                elif node.is_comment_node:
                    last = self.comment(node)
                    parent.append(last)
                node = node.next
        return top

    def comment(self, node: Any) -> Any:
        """A copy of a comment, with any content."""
        comment = self._comment()
        comment.text = self._held(node.comment_content or "")  # the constructor refuses two hyphens
        return comment

    def _element(self, node: Any) -> Any:
        try:
            element = self._make(node.tag)
        except ValueError:  # a name that is not valid in XML, such as a"b
            element = self._make("unknown")
        for name, value in node.attributes.items():
            try:
                element.set(name, self._held(value or ""))
            except ValueError:  # a name that lxml reads as one with a namespace, such as {x
                element.set(_ODD.sub("_", name), self._held(value or ""))
        return element

    def _append(self, parent: Any, last: Any, text: str | None) -> None:
        text = self._held(text or "")
        if last is None:
            before = parent.text
            parent.text = before + text if before else text
        else:
            before = last.tail
            last.tail = before + text if before else text

    def _held(self, text: str) -> str:
        return _CONTROLS.sub("", text) if self._odd else text
