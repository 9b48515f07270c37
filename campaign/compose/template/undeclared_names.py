"""Finds variables that a template and its includes use but no row will have, before the first letter.

Templates are opened through the environment's loader and not rendered. A variable that the same template tests with
``is defined`` or gives a ``default`` may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
from jinja2 import Environment, TemplateNotFound, meta, nodes

from campaign.compose.template.includes import bindings, constants
from campaign.errors import ConfigError, close_matches

MOST_TEMPLATES = 500  #: in one closure
_REFERENCES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
#: The text between the braces in a line, closed or not.
_INSIDE = re.compile(r"\{[{%](.*?)(?:[%}]\}|$)")
#: The characters in a header for which the column's name has an underscore.
_BETWEEN = r"[\W_]+"
_BINDING = (nodes.Assign, nodes.AssignBlock, nodes.Macro, nodes.Import, nodes.FromImport)


class Part(msgspec.Struct):
    """One template of a closure. ``alone``: it is imported without context, so it sees no column."""

    name: str
    tree: nodes.Template
    alone: bool


@dataclass(slots=True)
class Closure:
    """A template and all templates that it extends, includes and imports, in any branch."""

    environment: Environment
    name: str
    source: str
    parts: dict[str, Part] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Find all parts. Raises TemplateNotFound, TemplateSyntaxError, and ConfigError for names decided by a row."""
        waiting = [(self.name, self.environment.parse(self.source, self.name, self.name), False)]
        while waiting:
            name, tree, alone = waiting.pop()
            known = self.parts.get(name)
            if known is None or (known.alone and not alone):
                self.parts[name] = Part(name, tree, alone)
                references = self._references(name, tree)
                waiting += [(wanted, self._parse(wanted), alone or lonely) for wanted, lonely in references]
            if len(self.parts) > MOST_TEMPLATES:
                raise ConfigError(
                    f"{self.name} asks for more than {MOST_TEMPLATES} templates.",
                    next_step=f"see which templates name others: grep -n 'include\\|import\\|extends' {self.name}",
                )

    def _parse(self, name: str) -> nodes.Template:
        source, file, _ = self.environment.loader.get_source(self.environment, name)  # type: ignore[union-attr]  # we set one
        return self.environment.parse(source, name, file)

    def _references(self, name: str, tree: nodes.Template) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        bound = bindings(tree)
        for node in tree.find_all(_REFERENCES):
            names = constants(node.template, bound)  # type: ignore[attr-defined]  # all four have one
            if names is None:
                raise _decided_by_a_row(name, node)
            lonely = not getattr(node, "with_context", True)
            found += [(one, lonely) for one in self._needed(node, names)]
        return found

    def _needed(self, node: nodes.Node, names: list[str]) -> list[str]:
        """All of ``names``; only the existing ones if one of several is enough or a missing one is allowed."""
        missing_is_fine = getattr(node, "ignore_missing", False)
        several = isinstance(node.template, nodes.List | nodes.Tuple)  # type: ignore[attr-defined]  # all four have one
        if not missing_is_fine and not several:
            return names
        found = [name for name in names if _readable(self.environment, name)]
        if not found and not missing_is_fine:
            raise TemplateNotFound(" or ".join(names))
        return found


def _readable(environment: Environment, name: str) -> bool:
    try:
        environment.loader.get_source(environment, name)  # type: ignore[union-attr]  # we set one
    except TemplateNotFound:
        return False
    return True


def _decided_by_a_row(name: str, node: nodes.Node) -> ConfigError:
    return ConfigError(
        f"{name} leaves it to the row which template it reads: a row could name any file.",
        evidence=f"{name}:{node.lineno}",
        next_step='name the templates there are, as in {% include {"de": "de.html", "en": "en.html"}[language] %}',
    )


def undeclared(closure: Closure, columns: Iterable[str], extras: Iterable[str]) -> None:
    """Raise ConfigError for every variable that nothing provides, with template, line and name, and the columns."""
    columns, extras = tuple(columns), tuple(extras)
    always = frozenset(extras) | frozenset(closure.environment.globals)
    stored = {part.name: _stored(part.tree) for part in closure.parts.values()}
    evidence = []
    for part in closure.parts.values():
        elsewhere = frozenset().union(*(names for name, names in stored.items() if name != part.name))
        provided = always if part.alone else always | elsewhere | frozenset(columns)
        missing = _undeclared(part.tree) - provided - _optional(part.tree)
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


def _undeclared(tree: nodes.Template) -> set[str]:
    """Names that ``tree`` itself does not provide where it uses them; a block sees the names bound at the top level.

    Jinja treats a name as undeclared if only branches of an ``if`` set it, even if all of them do.
    """
    branches = (node for branch in tree.find_all(nodes.If) for node in branch.find_all(_BINDING))
    everywhere = meta.find_undeclared_variables(tree) - set().union(*map(_names, branches))
    at_top = set().union(*map(_names, _top(tree.body)))
    return everywhere - at_top | (everywhere & _undeclared_outside_blocks(tree) if everywhere & at_top else set())


def _undeclared_outside_blocks(tree: nodes.Template) -> set[str]:
    blocks = [(block, block.body) for block in tree.find_all(nodes.Block)]
    for block, _ in blocks:
        block.body = []
    try:
        return meta.find_undeclared_variables(tree)
    finally:
        for block, body in blocks:
            block.body = body


def _top(body: Iterable[nodes.Node]) -> Iterator[nodes.Node]:
    """The statements at the top level of a template that bind names for all its blocks."""
    for node in body:
        if isinstance(node, nodes.ScopedEvalContextModifier):
            yield from _top(node.body)
        elif isinstance(node, _BINDING):
            yield node


def _names(node: nodes.Node) -> set[str]:
    """The names that one statement binds."""
    match node:
        case nodes.Assign() | nodes.AssignBlock():
            names = (node.target, *node.target.find_all(nodes.Name))
            return {name.name for name in names if isinstance(name, nodes.Name) and name.ctx != "load"}
        case nodes.Macro():
            return {node.name}
        case nodes.Import():
            return {node.target}
        case nodes.FromImport():
            return {name if isinstance(name, str) else name[1] for name in node.names}
    return set()


def _stored(tree: nodes.Template) -> frozenset[str]:
    """Every name bound anywhere in ``tree``, which other templates of the closure may see."""
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    statements = tree.find_all((nodes.Macro, nodes.Import, nodes.FromImport))
    return frozenset(names.union(*map(_names, statements)))


def _optional(tree: nodes.Template) -> frozenset[str]:
    tested = [test.node for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")]
    filtered = [item.node for item in tree.find_all(nodes.Filter) if item.name in ("default", "d")]
    return frozenset(node.name for node in (*tested, *filtered) if isinstance(node, nodes.Name))


def _line(tree: nodes.Template, name: str) -> int:
    return min((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), default=1)


def written_with_blanks(line: str, columns: Iterable[str]) -> str:
    """The column meant by an expression such as ``{{ First Name }}``, which is ``First_Name``; empty if none is."""
    inside = " ".join(_INSIDE.findall(line))
    for column in sorted(columns, key=len, reverse=True):
        words = [re.escape(word) for word in column.split("_") if word]
        pattern = _BETWEEN.join(words)
        if len(words) > 1 and any(found[0] != column for found in re.finditer(rf"\b{pattern}\b", inside)):
            return column
    return ""


def _hint(name: str, columns: tuple[str, ...], extras: tuple[str, ...], alone: bool) -> str:
    if alone and name in columns:
        return " (imported without context: pass it as an argument, or import … with context)"
    close = close_matches(name, (*columns, *extras), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
