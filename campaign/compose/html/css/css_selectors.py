"""Analyses selectors: their specificity, the elements that they may match, and whether the match is certain.

Only a mail reader can decide whether ``:hover`` or ``:visited`` match. From such a selector, the part that the document
decides is kept; it matches at least the elements that the whole selector can match. Source: Selectors Level 4.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import msgspec

Specificity = tuple[int, int, int]  #: ids; classes, attributes and pseudo-classes; elements and pseudo-elements

_DECIDED = frozenset(
    {"first-child", "last-child", "only-child", "first-of-type", "last-of-type", "only-of-type", "empty", "root"}
)
_COUNTED = frozenset({"nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"})
_PSEUDO_CLASSES = (
    _DECIDED
    | _COUNTED
    | {"link", "any-link", "visited", "hover", "active", "focus", "focus-within", "focus-visible", "target", "checked",
       "disabled", "enabled", "required", "optional", "valid", "invalid", "in-range", "out-of-range", "read-only",
       "read-write", "placeholder-shown", "default", "indeterminate", "fullscreen", "lang", "dir", "scope", "defined",
       "autofill", "host", "modal", "open"}
)  # fmt: skip
_PSEUDO_ELEMENTS = frozenset(
    {
        "before",
        "after",
        "first-line",
        "first-letter",
        "selection",
        "marker",
        "placeholder",
        "backdrop",
        "cue",
        "file-selector-button",
        "part",
        "slotted",
    }
)
#: Attributes whose values are compared without regard to case (HTML Standard, 4.16.2).
CASELESS = frozenset(
    {"accept", "align", "alink", "axis", "bgcolor", "charset", "clear", "codetype", "color", "compact", "dir", "face",
     "frame", "hreflang", "http-equiv", "lang", "language", "link", "media", "method", "nowrap", "rel", "rev", "rules",
     "scope", "shape", "target", "text", "type", "valign", "valuetype", "vlink"}
)  # fmt: skip
_ATTRIBUTE = re.compile(r"\[\s*([A-Za-z_][\w:.-]*)")
_OF_TYPE = re.compile(r"(?:^|[\s>+~(,*])(?:[.#\[][^\s>+~:]*)*:(?:nth-|nth-last-|first-|last-|only-)+of-type")


class Selector(msgspec.Struct, frozen=True):
    """One selector of a rule's list.

    ``matching`` is the selector for an inliner, None if inliners cannot match it. If ``exact``, it matches exactly what
    the selector matches in every mail reader, otherwise at least that. ``inlinable``: exact, and not universal.
    ``hook``: it targets something that a mail client adds. ``beside``: it styles not an element, but a pseudo-element
    such as ``::before``.
    """

    text: str
    specificity: Specificity
    matching: str | None = None
    exact: bool = False
    inlinable: bool = False
    hook: bool = False
    beside: bool = False


@lru_cache(4_000)
def selector(text: str, *, quirks: bool = False) -> Selector | None:
    """The analysis of ``text``; None if it is not a known selector.

    With ``quirks``, the case of classes and ids is ignored; the tree must have them in lower case.
    """
    from cssselect import SelectorError
    from cssselect.parser import parse

    try:
        [parsed] = parse(text)
    except (SelectorError, ValueError):
        return None
    if "!=" in text or not _is_known(parsed):
        return None
    hook = _is_hook(parsed.parsed_tree)
    if parsed.pseudo_element is not None:
        return Selector(text, parsed.specificity(), hook=hook, beside=True)
    tree, exact = _decided(parsed.parsed_tree, quirks)
    matching = tree.canonical()
    if not _can_be_asked(matching):
        return Selector(text, parsed.specificity(), hook=hook)
    inlinable = exact and not _is_universal(tree)
    return Selector(text, parsed.specificity(), matching, exact, inlinable, hook)


def attributes_named(selectors: Iterable[str]) -> frozenset[str]:
    """The attributes that selectors test in brackets (so not ``.class`` and ``#id``), in lower case."""
    return frozenset(name.lower() for one in selectors if "[" in one for name in _ATTRIBUTE.findall(one))


def _is_known(parsed: Any) -> bool:
    """Whether all browsers support each pseudo-class and pseudo-element; an unknown one invalidates a whole rule."""
    element = parsed.pseudo_element
    name = getattr(element, "name", element)
    if name is not None and not (name in _PSEUDO_ELEMENTS or name.startswith("-webkit-")):
        return False
    waiting = [parsed.parsed_tree]
    while waiting:
        tree = waiting.pop()
        kind = type(tree).__name__
        if kind in ("Pseudo", "Function") and getattr(tree, "ident", getattr(tree, "name", "")) not in _PSEUDO_CLASSES:
            return False
        waiting += [one for one in (getattr(tree, "selector", None), getattr(tree, "subselector", None)) if one]
    return True


def _can_be_asked(matching: str) -> bool:
    from cssselect import ExpressionError, HTMLTranslator

    if _OF_TYPE.search(matching):
        return False  # *:first-of-type, which XPath cannot express
    try:
        HTMLTranslator().css_to_xpath(matching)
    except (ExpressionError, NotImplementedError, ValueError):
        return False
    return True


def _decided(tree: Any, quirks: bool) -> tuple[Any, bool]:
    """The part of a selector that the document decides, and whether that is all of it."""
    kind = type(tree).__name__
    if kind == "Element":
        return _element(tree), True
    if kind == "CombinedSelector":
        left, left_exact = _decided(tree.selector, quirks)
        right, right_exact = _decided(tree.subselector, quirks)
        return type(tree)(left, tree.combinator, right), left_exact and right_exact
    inner, exact = _decided(tree.selector, quirks)
    if kind in ("Class", "Hash", "Attrib"):
        return _simple(tree, inner, quirks), exact
    if kind == "Pseudo":
        return _pseudo(tree, inner, exact)
    if kind == "Function" and tree.name in _COUNTED:
        return _with(tree, inner), exact
    if kind == "Negation":
        argument, argument_exact = _decided(tree.subselector, quirks)
        return (type(tree)(inner, argument), exact) if argument_exact else (inner, False)
    return inner, False  # also :is() and :where(), which css-inline does not support


def _pseudo(tree: Any, inner: Any, exact: bool) -> tuple[Any, bool]:
    if tree.ident in _DECIDED:
        return _with(tree, inner), exact
    if tree.ident in ("link", "any-link"):  # in mail readers these match every link
        from cssselect.parser import Attrib

        return Attrib(inner, None, "href", "exists", None), exact
    return inner, False


def _element(tree: Any) -> Any:
    name = tree.element
    if name and not (name[0].islower() and name.isalpha()):  # those of SVG, such as linearGradient, are case-sensitive
        name = name.lower()
    return type(tree)(tree.namespace, name)


def _simple(tree: Any, inner: Any, quirks: bool) -> Any:
    """A copy of a class, ID or attribute selector, normalised to the way HTML compares it."""
    from cssselect.parser import Token

    made = _with(tree, inner)
    if hasattr(made, "attrib"):
        made.attrib = made.attrib.lower()
        if made.attrib in CASELESS and made.value is not None and made.value.value:
            made.value = Token(made.value.type, made.value.value.lower(), made.value.pos)
    elif quirks:
        field = "id" if hasattr(made, "id") else "class_name"
        setattr(made, field, getattr(made, field).lower())
    return made


def _with(tree: Any, inner: Any) -> Any:
    """A copy of a simple selector that follows ``inner``."""
    from copy import copy

    made = copy(tree)
    made.selector = inner
    return made


def _is_universal(tree: Any) -> bool:
    """Whether the styled element may be any: ``*``, ``.box > *``."""
    while type(tree).__name__ == "CombinedSelector":
        tree = tree.subselector
    return type(tree).__name__ == "Element" and tree.element is None


def _is_hook(tree: Any) -> bool:
    """Whether the selector contains an ID, class, attribute or element that a mail client adds."""
    kind, hooks = type(tree).__name__, _hooks()
    if kind == "Element":
        return ("element", (tree.element or "").lower()) in hooks
    if kind == "Hash":
        found = ("id", tree.id) in hooks
    elif kind == "Class":
        found = ("class", tree.class_name) in hooks or tree.class_name.startswith(_prefixes())
    elif kind == "Attrib":
        found = _is_hook_attribute(tree)
    elif kind == "CombinedSelector":
        found = _is_hook(tree.subselector)
    else:
        found = False
    return found or _is_hook(tree.selector)


def _is_hook_attribute(tree: Any) -> bool:
    if ("attribute", tree.attrib.lower()) in _hooks():
        return True
    value = (tree.value.value or "") if tree.value else ""
    if tree.attrib.lower() == "class":
        return ("class", value) in _hooks() or (bool(value) and value.startswith(_prefixes()))
    return tree.attrib.lower() == "id" and ("id", value) in _hooks()


@cache
def _table() -> list[dict[str, str]]:
    file = resources.files("campaign.compose").joinpath("data/client_hooks.toml")
    return list(tomllib.loads(file.read_text(encoding="utf-8"))["hook"])


@cache
def _hooks() -> frozenset[tuple[str, str]]:
    return frozenset((one["kind"], one["name"]) for one in _table())


@cache
def _prefixes() -> tuple[str, ...]:
    return tuple(one["name"] for one in _table() if one["kind"] == "class-prefix")
