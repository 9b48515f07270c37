"""Which variables a template asks for that no row will have: found before the first letter, over all it includes.

Only looks at templates; opens them through the environment's loader. A variable that the same template tests with
``is defined`` or gives a ``default`` may be missing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, TemplateNotFound, meta, nodes

from campaign.errors import ConfigError

MOST_TEMPLATES = 500  #: in one closure


@dataclass(slots=True)
class Part:
    """One template of a closure. ``alone``: imported without context, so it sees no column."""

    name: str
    tree: nodes.Template
    alone: bool


@dataclass(slots=True)
class Closure:
    """A template and all it extends, includes and imports. ``dynamic``: some names are only known with a row."""

    environment: Environment
    name: str
    source: str
    parts: dict[str, Part] = field(init=False, default_factory=dict)
    dynamic: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Walk. Raises TemplateNotFound, TemplateSyntaxError."""
        waiting = [(self.name, self.environment.parse(self.source, self.name, self.name), False)]
        while waiting and len(self.parts) < MOST_TEMPLATES:
            name, tree, alone = waiting.pop()
            known = self.parts.get(name)
            if known is None or (known.alone and not alone):
                self.parts[name] = Part(name, tree, alone)
                waiting += [(wanted, self._parse(wanted), alone or lonely) for wanted, lonely in self._references(tree)]

    def _parse(self, name: str) -> nodes.Template:
        source, file, _ = self.environment.loader.get_source(self.environment, name)  # type: ignore[union-attr]  # we set one
        return self.environment.parse(source, name, file)

    def _references(self, tree: nodes.Template) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        kinds = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
        for node in tree.find_all(kinds):
            names = _constants(node.template)  # type: ignore[attr-defined]  # all four have one
            if names is None:
                self.dynamic = True
                continue
            lonely = not getattr(node, "with_context", True)
            optional = getattr(node, "ignore_missing", False) or len(names) > 1
            found += [(name, lonely) for name in names if not optional or _readable(self.environment, name)]
        return found


def _readable(environment: Environment, name: str) -> bool:
    try:
        environment.loader.get_source(environment, name)  # type: ignore[union-attr]  # we set one
    except TemplateNotFound:
        return False
    return True


def _constants(node: nodes.Node) -> list[str] | None:
    """The template names a node names, or None where they are computed."""
    if isinstance(node, nodes.Const):
        value: Any = node.value
        return [value] if isinstance(value, str) else list(value)
    if isinstance(node, nodes.Tuple | nodes.List) and all(isinstance(item, nodes.Const) for item in node.items):
        return [item.value for item in node.items if isinstance(item, nodes.Const)]
    return None


def undeclared(closure: Closure, columns: Iterable[str], extras: Iterable[str]) -> None:
    """Raises ConfigError naming every variable that nothing provides: template, line, name, and the columns."""
    columns, extras = tuple(columns), tuple(extras)
    always = frozenset(extras) | frozenset(closure.environment.globals)
    stored = {part.name: _stored(part.tree) for part in closure.parts.values()}
    evidence = []
    for part in closure.parts.values():
        elsewhere = frozenset().union(*(names for name, names in stored.items() if name != part.name))
        provided = always if part.alone else always | elsewhere | frozenset(columns)
        missing = meta.find_undeclared_variables(part.tree) - provided - _optional(part.tree)
        evidence += [
            f"{part.name}:{_line(part.tree, name)}: {name}{_hint(name, columns, extras, part.alone)}"
            for name in sorted(missing, key=lambda name: (_line(part.tree, name), name))
        ]
    if evidence:
        raise ConfigError(
            f"{closure.name} uses {len(evidence)} variable{'s' if len(evidence) > 1 else ''} that no row has.",
            evidence=[*evidence, f"columns: {', '.join(columns) or 'none'}", f"always there: {', '.join(extras)}"],
            next_step="correct the template, or write {{ name|default('') }} where a column may be missing",
        )


def _stored(tree: nodes.Template) -> frozenset[str]:
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    names |= {node.name for node in tree.find_all(nodes.Macro)}
    for node in tree.find_all(nodes.Import):
        names.add(node.target)
    for imported in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in imported.names}
    return frozenset(names)


def _optional(tree: nodes.Template) -> frozenset[str]:
    tested = [test.node for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")]
    filtered = [item.node for item in tree.find_all(nodes.Filter) if item.name in ("default", "d")]
    return frozenset(node.name for node in (*tested, *filtered) if isinstance(node, nodes.Name))


def _line(tree: nodes.Template, name: str) -> int:
    return min((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), default=1)


def _hint(name: str, columns: tuple[str, ...], extras: tuple[str, ...], alone: bool) -> str:
    if alone and name in columns:
        return " (imported without context: pass it as an argument, or import … with context)"
    close = difflib.get_close_matches(name, (*columns, *extras), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
