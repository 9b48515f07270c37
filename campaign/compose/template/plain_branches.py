"""Templates whose only code is plain conditions and loops: a row's path through them is found without Jinja.

A plain condition compares a column with a constant, or asks whether it is empty, also with ``not``, ``and``, ``or``. A
plain loop goes over a column, and prints columns, its items, or fields of them. Each condition is decided for all rows
at once. Jinja renders the first row of each path, which gives the path's text, and has to print the very same values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
from jinja2 import nodes

Rows = Sequence[Mapping[str, Any]]
#: For each row: what it decides, and how many items each loop has.
Key = tuple[Any, ...]
Decide = Callable[[Rows], list[bool]]

MOST_ITEMS = 500  #: of one loop; a longer one is left to Jinja, which limits what a row may take
_SCALAR: frozenset[type] = frozenset({str, int, float, bool, type(None)})
_SIZED: frozenset[type] = _SCALAR | {list, dict}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}


class NotPlainError(Exception):
    """A row, or a template, that is left to Jinja."""


class Loop(msgspec.Struct):
    """A loop over ``column``. ``fields`` are those it prints of each item, in order; "" is the item itself."""

    column: str
    fields: tuple[str, ...]

    def items(self, rows: Rows) -> list[list[Any]]:
        """The items of each row. Raises KeyError, NotPlainError."""
        found = [row[self.column] for row in rows]
        if set(map(type, found)) != {list} or max(map(len, found)) > MOST_ITEMS:
            raise NotPlainError
        return found

    def printed(self, items: list[Any]) -> list[Any]:
        """What it prints for ``items``. Raises KeyError, NotPlainError."""
        if any(self.fields) and not set(map(type, items)) <= {dict}:
            raise NotPlainError
        if self.fields == ("",):
            return items
        fields = self.fields
        return [item[name] if name else item for item in items for name in fields]


class Branch(msgspec.Struct):
    """A condition: ``number`` is its place among those of the template."""

    number: int
    then: list[Branch | Loop]
    otherwise: list[Branch | Loop]


class PlainBranches(msgspec.Struct):
    """The conditions and loops of one template."""

    decisions: list[Decide] = msgspec.field(default_factory=list)
    loops: list[Loop] = msgspec.field(default_factory=list)
    tree: list[Branch | Loop] = msgspec.field(default_factory=list)

    def keys(self, rows: Rows) -> list[Key]:
        """The path of each row: equal for those that get the same text. Raises KeyError, TypeError, NotPlainError."""
        columns: list[Iterable[Any]] = [decide(rows) for decide in self.decisions]
        columns += [list(map(len, loop.items(rows))) for loop in self.loops]
        return list(zip(*columns, strict=True)) if columns else [()] * len(rows)

    def printed(self, key: Key, rows: Rows) -> list[list[Any]]:
        """The values that loops print for each of ``rows``, whose path is ``key``. Raises KeyError, NotPlainError."""
        columns = [list(map(loop.printed, loop.items(rows))) for loop in _taken(self.tree, key)]
        if len(columns) == 1:
            return columns[0]
        return [list(chain.from_iterable(own)) for own in zip(*columns, strict=True)] if columns else [[]] * len(rows)


def plain_branches(tree: nodes.Template, columns: Collection[str]) -> PlainBranches | None:
    """The branches of a shortened template; None if it has other code, too. ``columns`` are never bound in it."""
    found = PlainBranches()
    try:
        found.tree = list(_branches(tree.body, frozenset(columns), found))
    except NotPlainError:
        return None
    return found


def _taken(tree: Iterable[Branch | Loop], key: Key) -> Iterator[Loop]:
    """The loops that this path goes through, in order."""
    for part in tree:
        if isinstance(part, Loop):
            yield part
        else:
            yield from _taken(part.then if key[part.number] else part.otherwise, key)


def _branches(body: Iterable[nodes.Node], columns: frozenset[str], found: PlainBranches) -> Iterator[Branch | Loop]:
    for node in body:
        match node:
            case nodes.Output():
                if not all(isinstance(part, nodes.TemplateData) for part in node.nodes):
                    raise NotPlainError
            case nodes.If():
                yield _branch(node.test, node.body, node.elif_, node.else_, columns, found)
            case nodes.For(
                target=nodes.Name(name=target), iter=nodes.Name(name=name), recursive=False, test=None, else_=[]
            ) if name in columns:
                loop = Loop(name, tuple(_fields(node.body, target)))
                found.loops.append(loop)
                yield loop
            case _:
                raise NotPlainError


def _branch(
    test: nodes.Node,
    body: Iterable[nodes.Node],
    others: Sequence[nodes.If],
    otherwise: Iterable[nodes.Node],
    columns: frozenset[str],
    found: PlainBranches,
) -> Branch:
    number = len(found.decisions)
    found.decisions.append(_decision(test, columns))
    then = list(_branches(body, columns, found))
    if others:
        first, *rest = others
        return Branch(number, then, [_branch(first.test, first.body, rest, otherwise, columns, found)])
    return Branch(number, then, list(_branches(otherwise, columns, found)))


def _fields(body: Iterable[nodes.Node], target: str) -> Iterator[str]:
    """The fields of its item that a loop prints."""
    for node in body:
        if not isinstance(node, nodes.Output):
            raise NotPlainError
        for part in node.nodes:
            match part:
                case nodes.TemplateData():
                    pass
                case nodes.Name(name=name) if name == target:
                    yield ""
                case nodes.Getattr(node=nodes.Name(name=name), attr=attr) if name == target:
                    yield attr
                case nodes.Getitem(node=nodes.Name(name=name), arg=nodes.Const(value=str(attr))) if name == target:
                    yield attr
                case _:
                    raise NotPlainError


def _decision(test: nodes.Node, columns: frozenset[str]) -> Decide:
    match test:
        case nodes.Name(name=name) if name in columns:
            return lambda rows: list(map(bool, _column(rows, name, _SIZED)))
        case nodes.Not(node=inner):
            other = _decision(inner, columns)
            return lambda rows: list(map(operator.not_, other(rows)))
        case nodes.And(left=left, right=right):
            return _both(_decision(left, columns), _decision(right, columns), operator.and_)
        case nodes.Or(left=left, right=right):
            return _both(_decision(left, columns), _decision(right, columns), operator.or_)
        case nodes.Compare(
            expr=nodes.Name(name=name), ops=[nodes.Operand(op=op, expr=nodes.Const(value=constant))]
        ) if name in columns and op in _COMPARISONS and type(constant) in _SCALAR:
            compare = _COMPARISONS[op]
            return lambda rows: [compare(value, constant) for value in _column(rows, name, _SCALAR)]
    raise NotPlainError


def _both(left: Decide, right: Decide, both: Callable[[bool, bool], bool]) -> Decide:
    return lambda rows: list(map(both, left(rows), right(rows)))


def _column(rows: Rows, name: str, types: frozenset[type]) -> list[Any]:
    values = [row[name] for row in rows]
    if not set(map(type, values)) <= types:
        raise NotPlainError
    return values
