"""HTML built from elements instead of strings, so that everything except markup is escaped.

Relays' texts and rows of the source end up in these pages and are untrusted; a `str` becomes text, only `Html` is
markup, and only `tag` and `document` make it. No template language: a page here is a function of values.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files

from campaign.report import formatting

#: Elements without an end tag.
VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})

#: Nothing external and no script, even if an escape is missed: styles and images come with the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'"

Child = object


class Html(str):
    """Markup that is safe to put into a page unchanged."""

    __slots__ = ()


def text_node(value: str) -> Html:
    """``value`` as text: escaped, and control and bidirectional characters made visible."""
    return Html(escape(formatting.printable(value)))


def tag(name: str, /, *children: Child, **attributes: object) -> Html:
    """``tag("p", "a < b", cls="note")`` -> ``<p class="note">a &lt; b</p>``.

    Children are Html, text, numbers, or iterables of these; None and False are left out. In attribute names ``cls``
    stands for class, ``for_`` for for and ``_`` for a hyphen; True gives a bare attribute, None and False give none.
    """
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Html(opening if name in VOID else f"{opening}{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Children one after another, without an element around them."""
    return Html("".join(_child(one) for one in children))


def html_document(title: str, style: str, *body: Child, rules: str = "", script: str = "") -> Html:
    """A whole page: one file with its style inside, which may not load anything, or run anything but ``script``.

    ``style`` and ``script`` name files here; ``rules`` are further style rules, from our own constants only. The script
    is allowed by its hash, so no other one runs.
    """
    code = _file(script) if script else ""
    digest = b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"{POLICY}; script-src 'sha256-{digest}'" if script else POLICY
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", **{"http-equiv": "Content-Security-Policy", "content": policy}),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Html(_file(style) + rules)),
    )
    ending = tag("script", Html(code)) if script else None
    return Html(f"<!doctype html>\n{tag('html', head, tag('body', *body, ending), lang='en')}\n")


@cache
def _file(name: str) -> str:
    return files("campaign.report.html").joinpath(name).read_text("utf-8")


def _child(child: Child) -> str:
    if child is None or child is False:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return text_node(child)
    if isinstance(child, int):
        return formatting.grouped(child)
    if isinstance(child, Iterable):
        return join(child)
    raise TypeError(f"{type(child).__name__} is no child of an element")


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = "class" if key == "cls" else key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
