"""A fast path for columns that a template only prints: they are filled in without Jinja, at positions found beforehand.

A second version of the template has a mark in place of each such ``{{ column }}``, so the text around them is one
piece. Its output is split at the marks once for each path through the template, and each mark is replaced by the row's
column. A column that the template binds to anything else, or changes, is left to Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec
from jinja2 import nodes

from campaign.compose.lru_cache import LruCache
from campaign.compose.value_positions import Pick, SlotOrder, in_order, picker

START, END = "\x0e", "\x0f"  #: around the number of a column, in place of its value
MOST_WAYS, HEAVIEST = 512, 2_000_000  #: paths through one template in the cache; pieces of them all
_MARK = re.compile(f"{START}([0-9]+){END}")
_SPECIAL = frozenset({"loop", "self", "super", "caller", "varargs", "kwargs"})
_UNFIT = (nodes.Block, nodes.Extends, nodes.EvalContextModifier, nodes.ScopedEvalContextModifier)

Statics = tuple[str | None, ...]


class RenderPath(msgspec.Struct, frozen=True, gc=False):
    """One path through a template: its text with ``None`` for each value, and the origin of the values.

    ``columns`` takes columns, those of ``names``, from a row; ``order`` is the order of these, followed by the printed
    values.
    """

    statics: Statics
    names: tuple[str, ...]
    columns: Pick
    order: SlotOrder


class Straight(NamedTuple):
    """A template of only text and columns, which needs no rendering by Jinja. ``form`` has ``%s`` for each column."""

    statics: Statics
    columns: Pick
    form: str


class RenderPaths:
    """The paths through one shortened template. ``names`` are the columns that the marks stand for."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._kept: LruCache[Statics, RenderPath] = LruCache(MOST_WAYS, HEAVIEST)

    def way(self, printed: Statics) -> RenderPath:
        """The path that gave this output of the shortened template."""
        way = self._kept.get(printed)
        if way is None:
            way = self._apart(printed)
            self._kept.keep(printed, way, len(way.statics))
        return way

    def _apart(self, printed: Statics) -> RenderPath:
        statics: list[str | None] = []
        places: list[int] = []  # a column by its number, a printed value by its own, counted from -1 down
        values = 0
        for piece in printed:
            if piece is None:
                values += 1
                places.append(-values)
                statics.append(None)
                continue
            for at, part in enumerate(_MARK.split(piece)):
                if at % 2:
                    places.append(int(part))
                    statics.append(None)
                elif part:
                    statics.append(part)
        used = sorted({place for place in places if place >= 0})
        numbers = {place: number for number, place in enumerate(used)}
        order = [numbers[place] if place >= 0 else len(used) - 1 - place for place in places]
        names = tuple([self._names[place] for place in used])
        return RenderPath(tuple(statics), names, picker(names), in_order(order))


def shortened(tree: nodes.Template, others: Iterable[nodes.Template], columns: Collection[str]) -> RenderPaths | None:
    """Put marks into ``tree`` where it only prints one of ``columns``. If impossible, change nothing and return None.

    ``others`` are the templates it includes.
    """
    if next(tree.find_all(_UNFIT), None) or any(map(_holds_marks, (tree, *others))):
        return None
    names: list[str] = []
    _mark_all(tree.body, frozenset(columns) - bound_names(tree), names)
    return RenderPaths(names) if names else None


def straight(tree: nodes.Template) -> Straight | None:
    """``tree`` as text with columns between, if it contains nothing else."""
    statics: list[str | None] = []
    names: list[str] = []
    for output in tree.body:
        for node in output.nodes if isinstance(output, nodes.Output) else [output]:
            if isinstance(node, nodes.Name):
                names.append(node.name)
                statics.append(None)
            elif isinstance(node, nodes.TemplateData):
                statics.append(node.data)
            else:
                return None
    form = "".join("%s" if static is None else static.replace("%", "%%") for static in statics)
    return Straight(tuple(statics), picker(names), form)


def captures(tree: nodes.Template) -> bool:
    """Whether text is captured in ``tree`` before it is printed, as in macros."""
    kinds = (nodes.Macro, nodes.CallBlock, nodes.AssignBlock, nodes.FilterBlock, nodes.Name)
    found = tree.find_all(kinds)
    return any(not isinstance(one, nodes.Name) or one.name in ("super", "self") for one in found)


def _holds_marks(tree: nodes.Template) -> bool:
    return any(START in text.data or END in text.data for text in tree.find_all(nodes.TemplateData))


def bound_names(tree: nodes.Template) -> set[str]:
    """Names that the template binds to something other than a column, at least in one place."""
    bound = set(_SPECIAL)
    for node in tree.find_all((nodes.Name, nodes.Macro, nodes.Import, nodes.FromImport)):
        match node:
            case nodes.Name(name=name, ctx=use) if use != "load":
                bound.add(name)
            case nodes.Macro(name=name) | nodes.Import(target=name):
                bound.add(name)
            case nodes.FromImport(names=names):
                bound |= {name if isinstance(name, str) else name[1] for name in names}
    return bound


def _mark_all(body: Iterable[nodes.Node], free: frozenset[str], names: list[str]) -> None:
    """Put marks into what is printed directly; macros and blocks that capture their text are left alone."""
    for node in body:
        match node:
            case nodes.Output():
                node.nodes = [_marked(child, free, names) for child in node.nodes]
            case nodes.For(recursive=False):
                _mark_all((*node.body, *node.else_), free, names)
            case nodes.If():
                _mark_all((*node.body, *node.elif_, *node.else_), free, names)
            case nodes.With():
                _mark_all(node.body, free, names)


def _marked(node: nodes.Expr, free: frozenset[str], names: list[str]) -> nodes.Expr:
    if not isinstance(node, nodes.Name) or node.name not in free:
        return node
    if node.name not in names:
        names.append(node.name)
    return nodes.TemplateData(f"{START}{names.index(node.name)}{END}", lineno=node.lineno)
