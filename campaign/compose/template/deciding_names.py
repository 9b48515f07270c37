"""Finds the names that decide what a template prints: those in conditions, loops and calls, and the names behind them.

A preview uses them to describe how one form of a letter differs from another. Nothing is rendered here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import nodes


def deciding_names(trees: Iterable[nodes.Template]) -> list[str]:
    """The names used by conditions, loops, chosen includes and macro calls, in the order of the templates.

    ``{% set pro = plan == 'pro' %}{% if pro %}`` uses ``pro`` and, through it, ``plan``.
    """
    trees = list(trees)
    bound = [(_stored(node), node.node) for tree in trees for node in tree.find_all(nodes.Assign)]
    asked = dict.fromkeys(name for tree in trees for name in _asked(tree))
    known = 0
    while known < len(asked):
        known = len(asked)
        asked |= dict.fromkeys(name for names, value in bound if names & asked.keys() for name in _loaded(value))
    return list(asked)


def _asked(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all((nodes.If, nodes.CondExpr, nodes.For, nodes.Include, nodes.Call)):
        match node:
            case nodes.If() | nodes.CondExpr():
                yield from _loaded(node.test)
            case nodes.For():
                yield from _loaded(node.iter)
            case nodes.Include():
                yield from _loaded(node.template)
            case nodes.Call():
                for argument in (*node.args, *(one.value for one in node.kwargs)):
                    yield from _loaded(argument)


def _stored(node: nodes.Assign) -> set[str]:
    return {name.name for name in (node.target, *node.target.find_all(nodes.Name)) if isinstance(name, nodes.Name)}


def _loaded(node: nodes.Node) -> Iterator[str]:
    """The names that an expression reads, itself included."""
    for name in (node, *node.find_all(nodes.Name)):
        if isinstance(name, nodes.Name) and name.ctx == "load":
            yield name.name
