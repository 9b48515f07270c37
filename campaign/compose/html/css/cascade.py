"""Decides the content of each element's style attribute, and which remaining declarations need ``!important``.

These are pure decisions by the CSS cascade: importance, then origin (element or sheet), specificity, order. A
declaration in an element loses its ``!important``, because otherwise no rule under ``@media`` could override it. One
that stays in a style sheet gets ``!important`` only if the author's cascade puts it above a declaration moved into an
element. If it must win over one element and lose to another, the other's declaration gets ``!important`` too. Source:
CSS Cascade Level 4.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from campaign.compose.html.css.css_rules import Declaration, StyleRule
from campaign.compose.html.css.css_selectors import Selector, Specificity
from campaign.compose.html.css.css_values import is_known

_SIDE = re.compile(r"border-(?:top|right|bottom|left|block|inline)")
_PART = re.compile(r"border(?:-\w+)*-?(color|style|width)$")
Priority = tuple[bool, bool, Specificity, int, int]  #: important; in the style attribute; specificity; order; place
Stronger = dict[int, list[tuple[str, str, Priority]]]  #: element -> condition, property, priority


class Entry(msgspec.Struct):
    """One selector of one rule. ``order`` is its place among all; ``elements`` are those it matches, by number.

    ``condition``: the group around it, such as ``@media``, else empty. ``layered``: it is under ``@layer``, so it
    already loses to every moved rule, and wins if it is important. ``moves``: it goes into these elements. ``stays``:
    it remains in the style sheet.
    """

    selector: Selector | None
    rule: StyleRule
    order: int
    condition: str
    layered: bool = False
    moves: bool = False
    stays: bool = True
    elements: tuple[int, ...] = ()

    @property
    def competes(self) -> bool:
        """Whether it stays in the sheet and may style elements that have declarations of their own."""
        if self.moves or not self.stays or self.layered:
            return False
        if self.selector is None:
            return bool(self.condition)
        waits = self.selector.hook and not self.elements and not self.condition  # for elements that a mail client adds
        return not self.selector.beside and not waits


class Piece(msgspec.Struct):
    """One declaration in an element. ``index`` is its place in the author's style attribute, else -1."""

    priority: Priority
    declaration: Declaration
    index: int = -1
    important: bool = False  #: needed against a declaration that stays in a style sheet


class Inlined(msgspec.Struct):
    """The declarations of one element in the order of writing, in which a later one wins."""

    below: list[Piece] = msgspec.field(default_factory=list)
    own: list[Piece] = msgspec.field(default_factory=list)
    above: list[Piece] = msgspec.field(default_factory=list)

    def __iter__(self) -> Iterator[Piece]:
        yield from self.below
        yield from self.own
        yield from self.above


def inlined(
    entries: Iterable[Entry], own: Mapping[int, tuple[Declaration, ...]], tick: Callable[[], None]
) -> dict[int, Inlined]:
    """The declarations that go into each element, below and above those of its ``own`` style attribute.

    A declaration that a later one of the same property overrides in every mail reader is left out.
    """
    matched: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.moves:
            tick()
            for number in entry.elements:
                matched[number].append(entry)
    for found in matched.values():
        found.sort(key=_weight)
    made = {}
    for number in sorted(matched.keys() | own.keys()):
        tick()
        made[number] = _written(matched.get(number, []), own.get(number, ()))
    return made


def _weight(entry: Entry) -> tuple[Specificity, int]:
    return (entry.selector.specificity if entry.selector else (0, 0, 0)), entry.order


def _written(matched: list[Entry], own: tuple[Declaration, ...]) -> Inlined:
    made = Inlined(own=[Piece((one.important, True, (0, 0, 0), 0, at), one, at) for at, one in enumerate(own)])
    settled: set[str] = set()
    for important, where in ((True, made.above), (False, made.below)):
        for entry in reversed(matched):
            kept = [piece for piece in _pieces(entry, important) if piece.declaration.name not in settled]
            where[:0] = kept
            settled |= {piece.declaration.name for piece in kept if _is_known(piece.declaration)}
        if important:
            settled |= {one.name for one in own if _is_known(one)}
    return made


def _is_known(one: Declaration) -> bool:
    return is_known(one.name, one.value)


def _pieces(entry: Entry, important: bool) -> list[Piece]:
    specificity, order = _weight(entry)
    made = {
        (one.name, one.value): Piece((important, False, specificity, order, at), one)
        for at, one in enumerate(entry.rule.declarations)
        if one.important is important
    }
    return list(made.values())


def important_places(
    entries: Iterable[Entry], elements: Mapping[int, Inlined], tick: Callable[[], None]
) -> dict[int, frozenset[int]]:
    """The places of the declarations that become ``!important``, by the order of each entry that stays.

    Also marks the pieces in ``elements`` that need ``!important`` to stay above such a declaration.
    """
    staying = [entry for entry in entries if entry.competes]
    stronger = _stronger(staying)
    raised: dict[int, frozenset[int]] = {}
    for entry in staying:
        tick()
        rises = [_rises(entry, at, elements, stronger) for at in range(len(entry.rule.declarations))]
        raised[entry.order] = frozenset(at for at, one in enumerate(rises) if one)
    over: dict[int, Piece] = {}
    under: set[int] = set()
    for entry in staying:
        tick()
        for at in raised[entry.order]:
            for piece, wins in _met(entry, at, elements, stronger):
                if wins:
                    under.add(id(piece))
                elif piece is not None:
                    over[id(piece)] = piece
    for key, piece in over.items():
        own = piece.index >= 0 and piece.declaration.important  # the author wrote it
        piece.important = key not in under and not own
    return raised


def _stronger(staying: Iterable[Entry]) -> Stronger:
    """The declarations that are ``!important`` under a condition, for each element."""
    found: Stronger = defaultdict(list)
    for entry in staying:
        for at, one in enumerate(entry.rule.declarations):
            if one.important and entry.condition:
                for number in entry.elements:
                    found[number].append((entry.condition, one.name, _priority(entry, at)))
    return found


def _rises(entry: Entry, at: int, elements: Mapping[int, Inlined], stronger: Stronger) -> bool:
    """Whether a declaration that stays becomes (or stays) ``!important``."""
    met = {wins for _, wins in _met(entry, at, elements, stronger)}
    if met:
        return True in met
    changing = entry.condition or not (entry.selector and entry.selector.exact)
    return bool(changing) or entry.rule.declarations[at].important


def _met(
    entry: Entry, at: int, elements: Mapping[int, Inlined], stronger: Stronger
) -> Iterator[tuple[Piece | None, bool]]:
    """The pieces in elements that conflict with a declaration that stays, and whether the latter wins.

    None stands for a declaration under the same condition that is above both by its own ``!important``.
    """
    name, priority = entry.rule.declarations[at].name, _priority(entry, at)
    for number in entry.elements:
        if any(
            _covers(one, name) and entry.condition == under and above > priority
            for under, one, above in stronger.get(number, ())
        ):
            yield None, False
            continue
        for piece in elements.get(number, ()):
            if overlap(name, piece.declaration.name):
                yield piece, priority > piece.priority


def _priority(entry: Entry, at: int) -> Priority:
    specificity, order = _weight(entry)
    return entry.rule.declarations[at].important, False, specificity, order, at


def _covers(one: str, other: str) -> bool:
    """Whether a property sets everything that another one sets."""
    return one == other or other.startswith(f"{one}-")


def overlap(one: str, other: str) -> bool:
    """Whether two properties set something in common, such as ``border`` and ``border-top-color``."""
    if one == other or one == "all" or other == "all":
        return not (one.startswith("--") or other.startswith("--")) or one == other
    if one.startswith(f"{other}-") or other.startswith(f"{one}-"):
        return True
    if "font" in (one, other) and "line-height" in (one, other):
        return True
    if not (one.startswith("border-") and other.startswith("border-")):
        return False
    side, part = _SIDE.match(one) or _SIDE.match(other), _PART.match(one) or _PART.match(other)
    return bool(side and part) and not (_SIDE.match(one) and _SIDE.match(other))
