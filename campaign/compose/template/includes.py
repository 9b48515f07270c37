"""Finds the templates that a template names in ``include``, ``extends``, ``import`` and ``from``.

A name may be an expression if it can only be one of the template's own texts: ``a if x else b``,
``{"de": "de.html"}[language]``, and names bound to such by ``set`` and ``for``. A name from a row is not allowed: a row
must not choose what is read into a letter. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from jinja2 import nodes

MOST_NAMES = 200  #: that one expression may have as its value

Bindings = dict[str, list[nodes.Node | None]]  #: the possible values of a name; None for any value


def bindings(tree: nodes.Template) -> Bindings:
    """All values that ``tree`` itself binds to names."""
    known: dict[int, nodes.Node] = {}
    for node in tree.find_all((nodes.Assign, nodes.For, nodes.With)):
        if isinstance(node, nodes.Assign):
            known[id(node.target)] = node.node
        elif isinstance(node, nodes.For):
            known[id(node.target)] = node.iter
        elif isinstance(node, nodes.With):
            known |= {id(target): value for target, value in zip(node.targets, node.values, strict=True)}
    found: Bindings = {}
    for name in tree.find_all(nodes.Name):
        if name.ctx != "load":
            found.setdefault(name.name, []).append(known.get(id(name)))
    return found


def constants(node: nodes.Node | None, known: Bindings, seen: frozenset[str] = frozenset()) -> list[str] | None:
    """The possible texts of ``node``, or None if they depend on more than the template."""
    match node:
        case nodes.Const(value=str() as text):
            return [text]
        case nodes.List() | nodes.Tuple():
            return _union(node.items, known, seen)
        case nodes.Dict():
            return _union([pair.value for pair in node.items], known, seen)
        case nodes.CondExpr():
            return _union([node.expr1, node.expr2], known, seen)
        case nodes.Or() | nodes.And():
            return _union([node.left, node.right], known, seen)
        case nodes.Getitem():
            return constants(node.node, known, seen)
        case nodes.Call(node=nodes.Getattr(attr="get") as method):
            return _union([method.node, *node.args[1:]], known, seen)
        case nodes.Concat():
            return _joined([constants(part, known, seen) for part in node.nodes])
        case nodes.Name() if node.name in known and node.name not in seen:
            return _union(known[node.name], known, seen | {node.name})
    return None


def _union(parts: Iterable[nodes.Node | None], known: Bindings, seen: frozenset[str]) -> list[str] | None:
    found: list[str] = []
    for part in parts:
        texts = constants(part, known, seen)
        if texts is None or len(found) + len(texts) > MOST_NAMES:
            return None
        found += texts
    return found


def _joined(parts: list[list[str] | None]) -> list[str] | None:
    count, texts = 1, [part for part in parts if part is not None]
    for part in texts:
        count *= len(part)
    if len(texts) < len(parts) or count > MOST_NAMES:
        return None
    return ["".join(choice) for choice in product(*texts)]
