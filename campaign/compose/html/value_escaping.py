"""A template's output as HTML with slots, and the escaping of values by their context.

Escaping alone is not enough in links, outside of quotes, and in CSS; this module decides which values are allowed
there. Inlining and encoding follow in `shape_cache.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

from campaign.compose.html.value_contexts import Placeholders, ValueContext, ValueContexts
from campaign.compose.template.operation_limits import LARGEST, TooMuch
from campaign.compose.template.static_dynamic_split import RenderedTemplate, cleaned, html_escaped
from campaign.compose.template.template import RowRefused, Statics
from campaign.compose.value_positions import SlotOrder

LONGEST_SHAPING = 10_000  #: characters of a value that shapes a letter, such as one in ``class``
LONGEST_CSS = 1_000  #: and of one in CSS, whose parser recurses for each word
_COLON = re.compile(r"[^/?#]*:")
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)\s*:")
_SCHEMES = frozenset({"http", "https", "mailto", "tel", "sms", "cid", "webcal"})
_BARE = re.compile(r"[\w.%#-]+")
_UNSAFE_CSS = re.compile(r"[{}<>\\@]|/\*|url\s*\(|expression\s*\(|(?:java|vb)script\s*:", re.IGNORECASE)
URL_SAFE = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"  #: characters that are not percent-encoded in a value in a link
_INSIDE = re.compile(r"[\s\x00-\x20]+")


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """Values prepared for their slots: plain (links percent-encoded), escaped, and the number of each slot's value."""

    plain: Sequence[str]
    ready: Sequence[str]
    numbers: Sequence[int]

    def in_slots(self) -> list[str]:
        """The plain value of each slot."""
        return [self.plain[number] for number in self.numbers]

    def ready_in_slots(self) -> list[str]:
        """The escaped value of each slot."""
        return [self.ready[number] for number in self.numbers]


@dataclass(slots=True)
class ValueEscaping:
    """A template's output as HTML with slots. ``order`` has the value for each slot.

    ``source`` is the text between the slots before the conversion to HTML.
    """

    number: int
    pieces: list[str]
    order: list[int]
    tokens: Placeholders
    places: ValueContexts
    source: list[str]
    kinds: list[ValueContext] = field(init=False)
    shaping: list[int] = field(init=False)
    urls: list[int] = field(init=False)
    links: list[int] = field(init=False)
    leading: list[int] = field(init=False)
    joined: list[tuple[list[str], list[int]]] = field(init=False)
    _each: tuple[int, ...] = field(init=False)
    _latest: tuple[SlotOrder | None, Sequence[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.kinds, beginnings = self.places.kinds, self.places.beginnings
        alone = [len(slots) == 1 and not pieces[0] and not _COLON.match(pieces[1]) for pieces, slots in beginnings]
        self.leading = [slots[0] for (_, slots), one in zip(beginnings, alone, strict=True) if one]
        self.joined = [beginning for beginning, one in zip(beginnings, alone, strict=True) if not one]
        self.links = [slot for slot, kind in enumerate(self.kinds) if kind is ValueContext.LINK]
        self.urls = [slot for slot, kind in enumerate(self.kinds) if kind in (ValueContext.LINK, ValueContext.URL)]
        self.shaping = [
            slot
            for slot, kind in enumerate(self.kinds)
            if kind not in (ValueContext.LINK, ValueContext.URL, ValueContext.FREE)
        ]
        self._each = tuple(range(len(self.kinds)))
        self._latest = None, tuple(self.order)

    def prepared(self, rendered: RenderedTemplate) -> Prepared:
        """The values prepared for their slots. Raises RowRefused for a link's scheme."""
        values, numbers = rendered.values, self.numbers(rendered.order)
        for slot in self.leading:
            check_scheme(values[numbers[slot]], printable=not rendered.lines)
        for pieces, slots in self.joined:
            check_scheme(filled(pieces, [values[numbers[slot]] for slot in slots]))
        urls = [(slot, values[numbers[slot]]) for slot in self.urls]
        changed = [(slot, value) for slot, value in urls if rendered.lines or not value.isascii() or " " in value]
        if not changed and not rendered.markup:
            return Prepared(values, html_escaped(values), numbers)
        plain = [values[number] for number in numbers]
        for slot, value in changed:
            plain[slot] = quote(value.lstrip() if slot in self.links else value, safe=URL_SAFE)
        ready = list(html_escaped(plain))
        if rendered.markup:
            unmarked = set(self.urls)
            for slot, number in enumerate(numbers):
                if number in rendered.markup and slot not in unmarked:
                    ready[slot] = rendered.markup[number]
        return Prepared(plain, ready, self._each)

    def numbers(self, order: SlotOrder | None) -> Sequence[int]:
        """The number of the value for each slot, given ``order``; the same object for the same order."""
        known, numbers = self._latest
        if known is not order:
            numbers = self.order if order is None else [order.places[place] for place in self.order]
            self._latest = order, tuple(numbers)
        return self._latest[1]

    def check_shaping(self, values: list[str], name: str) -> None:
        """Refuse unsafe values outside of quotes and in CSS, where escaping does not help. Raises RowRefused."""
        for slot in self.shaping:
            kind, value = self.kinds[slot], values[slot]
            if len(value) > (LONGEST_CSS if kind is ValueContext.CSS else LONGEST_SHAPING):
                raise RowRefused(f"{name}: {value[:60]!r}… has {len(value):,} characters, in an attribute or a style")
            if kind is ValueContext.BARE and not _BARE.fullmatch(value):
                raise RowRefused(
                    f"{name}: {value[:60]!r} stands outside of quotes in a tag, where only one word may; "
                    "put quotes around the {{ … }} there"
                )
            if kind is ValueContext.CSS and _UNSAFE_CSS.search(value):
                raise RowRefused(f"{name}: {value[:60]!r} stands in a style and holds more than a plain value")


def check_scheme(value: str, *, printable: bool = False) -> None:
    """Raise RowRefused if ``value`` begins a link with a scheme that mail must not use."""
    if not printable and not value.isprintable():
        value = _INSIDE.sub("", value)  # as browsers do inside a scheme
    match = _SCHEME.match(value)
    if match and match[1].lower() not in _SCHEMES:
        raise RowRefused(f"a link begins with {match[0].strip()!r}; only {', '.join(sorted(_SCHEMES))} may")


def check_size(size: int) -> None:
    """Raise RowRefused for more characters than an HTML part may have."""
    if size > LARGEST:
        raise RowRefused(f"the HTML part would have {size:,} characters; at most {LARGEST:,} are possible")


def text_pieces(statics: Statics) -> list[str]:
    """The text between the slots: one piece more than slots. Raises TooMuch."""
    size = sum(map(len, filter(None, statics)))
    if size > LARGEST:
        raise TooMuch(f"the template prints {size:,} characters for this row; at most {LARGEST:,} are possible")
    pieces: list[list[str]] = [[]]
    for text in statics:
        if text is None:
            pieces.append([])
        else:
            pieces[-1].append(text)
    return [cleaned("".join(piece)) for piece in pieces]


def filled(pieces: Sequence[str], values: Sequence[str]) -> str:
    """``pieces`` with ``values`` in the slots between them."""
    form = [""] * (2 * len(pieces) - 1)
    form[0::2], form[1::2] = pieces, values
    return "".join(form)
