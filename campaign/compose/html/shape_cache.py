"""The HTML body, inlined once per shape and filled with values for each recipient.

A shape is a template's output without its values, but with those that can change what a style rule matches
(`value_contexts.py`). Conversion, inlining, pictures, the derived text and the encoding of constant text are done once
per shape and cached; only the values are processed for each row. `row` mode does everything for each row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from markupsafe import Markup, escape

from campaign.compose.html.images import elsewhere
from campaign.compose.html.shape_builder import References, ShapeBuilder
from campaign.compose.html.value_contexts import STANDS, ValueContext
from campaign.compose.html.value_escaping import (
    URL_SAFE,
    Prepared,
    ValueEscaping,
    check_scheme,
    check_size,
    filled,
    text_pieces,
)
from campaign.compose.lru_cache import LruCache
from campaign.compose.mime.file_parts import Image
from campaign.compose.mime.transfer_encoding import Encoded, EncodedTemplate
from campaign.compose.template.operation_limits import LARGEST
from campaign.compose.template.static_dynamic_split import RenderedTemplate, split_static_from_dynamic, unmarked
from campaign.compose.template.template import Page, RowRefused, Statics, TemplateOutput
from campaign.compose.value_positions import Pick, picker

MOST_SHAPES = 512  #: cached at a time
HEAVIEST = 32_000_000  #: characters of all that are cached
LONGEST_ESCAPE = 5  #: characters of ``&amp;`` and the like
_OTHERWISE = "markup is printed with |safe or from {% set %}…{% endset %}, or hardly two rows take the same branches"
_TAG = re.compile(r"<[A-Za-z!/]")
Inlining = Literal["shape", "row"]


class HtmlBody(msgspec.Struct, frozen=True, gc=False):
    """The HTML part of one letter, the text derived from it (if asked for), and the pictures in it."""

    html: Encoded
    text: Encoded | None
    images: Sequence[Image]


class Shape(msgspec.Struct):
    """A finished body with slots. ``order``: which slot of the outline each of them takes its value from.

    ``pictures``: references with values in them, looked up for each row.

    ``pairs``: slots of the text in the form ``text (address)``, which are written once if both are the same.
    """

    html: EncodedTemplate
    order: list[int]
    images: tuple[Image, ...]
    pictures: References
    text: EncodedTemplate | None
    text_order: list[int]
    pairs: list[tuple[int, int]]
    from_source: bool
    _latest: tuple[Sequence[int], Pick] | None = None

    def pick(self, numbers: Sequence[int]) -> Pick:
        """A function that puts values into the body's slots; ``numbers`` has the value of each slot of the outline."""
        if self._latest is None or self._latest[0] is not numbers:
            self._latest = numbers, picker([numbers[slot] for slot in self.order])
        return self._latest[1]


class ShapeCache:
    """The HTML bodies of one campaign.

    ``finisher`` does the slow steps. ``shaping`` finds the slots that conversion itself depends on. ``derive`` is the
    input for the text part.
    """

    def __init__(
        self,
        page: Page,
        finisher: ShapeBuilder,
        *,
        shaping: Callable[[Sequence[str]], list[int]] | None,
        derive: Literal["html", "source", ""],
    ) -> None:
        self.page, self._finisher, self._shaping, self._derive = page, finisher, shaping, derive
        self._outlines: LruCache[Statics, ValueEscaping] = LruCache(MOST_SHAPES, HEAVIEST)
        self._shapes: LruCache[tuple[int, tuple[str, ...]], Shape] = LruCache(MOST_SHAPES, HEAVIEST)
        self._stands: set[ValueContext] = set()
        self.rows = self.built = 0

    @property
    def runs(self) -> int:
        """How often the inliner has run."""
        return self._finisher.runs

    def render(
        self, variables: Mapping[str, Any], inlining: Inlining, output: TemplateOutput | None = None
    ) -> RenderedTemplate:
        """The template's output for one row, or ``output``, split. Raises RowRefused."""
        page = self.page
        own = unmarked(variables) if page.captures else variables
        output = output or page.render(own, marking=inlining == "shape")
        rendered = self._split(output, own)
        if inlining == "row" or (page.captures and _holds_markup(output.values)):
            self._look_inside(own)
        return rendered

    def body(self, rendered: RenderedTemplate, inlining: Inlining) -> HtmlBody:
        """The parts of a letter for the result of `render`. Raises RowRefused."""
        self.rows += 1
        outline = self._outline(rendered)
        prepared = outline.prepared(rendered)
        if inlining == "row":
            return self._of_row(outline, rendered, prepared)
        return self._filled(self._shape(outline, prepared), rendered, prepared)

    def usual(self, statics: Statics) -> tuple[ValueEscaping, Shape] | None:
        """What is known of this output if only its values differ from row to row; None if more might, or is unknown."""
        if self._shaping is not None or self.page.captures:
            return None
        outline = self._outlines.get(statics)
        if outline is None or outline.shaping:
            return None
        shape = self._shapes.get((outline.number, ()))
        return None if shape is None or shape.pictures or shape.pairs or shape.from_source else (outline, shape)

    def _look_inside(self, variables: Mapping[str, Any]) -> None:
        """Apply the checks on links, styles and unquoted attributes also to values inside captured text.

        Those values are not marked, because the template may measure and cut the text. So it is rendered once more
        with all values marked, only to find their positions. Raises RowRefused.
        """
        try:
            rendered = self._split(self.page.render(variables, probing=True), variables)
            outline = self._outline(rendered)
        except RowRefused:
            return  # it failed because of the marks, or will fail again without them
        outline.check_shaping(outline.prepared(rendered).in_slots(), self.page.name)

    def _split(self, output: TemplateOutput, variables: Mapping[str, Any]) -> RenderedTemplate:
        """``output`` split into text and values. Raises RowRefused."""
        try:
            rendered = split_static_from_dynamic(output, html=True)
        except Exception as error:  # noqa: BLE001 - a printed value may be undefined, or fail to become text
            raise self.page.explain(variables, error) from None
        return rendered if self._shaping is None else self._spliced(rendered)

    def html(self, rendered: RenderedTemplate, inlining: Inlining) -> str:
        """The HTML for the result of `render`, as text. Raises RowRefused."""
        outline = self._outline(rendered)
        prepared = outline.prepared(rendered)
        if inlining == "row":
            return self._finisher.finished(filled(outline.pieces, prepared.ready_in_slots()), [])[0]
        shape = self._shape(outline, prepared)
        return shape.html.plain(self._picked(shape, prepared, []))

    def remark(self) -> str:
        """A sentence for the operator if nearly every row needs a new shape; else empty."""
        if self.rows < 200 or self.built < 0.9 * self.rows:
            return ""
        where = " or ".join(words for kind, words in STANDS.items() if kind in self._stands)
        reason = f"values stand {where}" if where else _OTHERWISE
        return f"{self.built:,} of {self.rows:,} rows had to be inlined on their own, which is slow: {reason}."

    def _outline(self, rendered: RenderedTemplate) -> ValueEscaping:
        outline = self._outlines.get(rendered.statics)
        if outline is None:
            outline = self._finisher.outline(rendered)
            self._stands.update(outline.kinds)
            self._outlines.keep(rendered.statics, outline, sum(map(len, outline.pieces)) + 100 * len(rendered.statics))
        return outline

    def _spliced(self, rendered: RenderedTemplate) -> RenderedTemplate:
        """``rendered`` with the values that conversion needs as part of its text."""
        needed = set(self._shaping(text_pieces(rendered.statics))) if self._shaping else set()
        if not needed:
            return rendered
        statics: list[str | None] = []
        values: list[str] = []
        slot, every = 0, rendered.in_places()
        for piece in rendered.statics:
            if piece is None and slot in needed:
                statics.append(str(escape(every[slot])))
            else:
                statics.append(piece)
                values += [every[slot]] if piece is None else []
            slot += piece is None
        return RenderedTemplate(tuple(statics), values, rendered.lines, {}, rendered.size)

    def _shape(self, outline: ValueEscaping, prepared: Prepared) -> Shape:
        key = (outline.number, tuple([prepared.plain[prepared.numbers[slot]] for slot in outline.shaping]))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._built(outline, prepared.in_slots(), prepared.ready_in_slots())
            self._shapes.keep(key, shape, shape.html.length + 100 * len(outline.kinds))
        return shape

    def _built(self, outline: ValueEscaping, plain: list[str], ready: list[str]) -> Shape:
        outline.check_shaping(plain, self.page.name)
        self.built += 1
        tokens = outline.tokens
        if any(tokens.salt in plain[slot] for slot in outline.shaping):
            raise RowRefused(f"{self.page.name}: a value holds one of our own words, {tokens.salt}")
        fixed = set(outline.shaping)
        stand_ins = [ready[slot] if slot in fixed else tokens.token(slot) for slot in range(len(outline.kinds))]
        pictures: References = []
        html, images = self._finisher.finished(filled(outline.pieces, stand_ins), pictures, tokens, len(stand_ins))
        pieces, order = tokens.split(html)
        text, text_order, pairs = self._text(outline, html)
        from_source = _from_source(outline, self._derive)
        return Shape(EncodedTemplate(pieces), order, tuple(images), pictures, text, text_order, pairs, from_source)

    def _text(
        self, outline: ValueEscaping, html: str
    ) -> tuple[EncodedTemplate | None, list[int], list[tuple[int, int]]]:
        """The text part of the shape, the value for each of its slots, and the slots that are pairs."""
        if not self._derive:
            return None, [], []
        if _from_source(outline, self._derive):
            return EncodedTemplate(outline.source, neat=True), list(range(len(outline.source) - 1)), []
        text, pairs = outline.tokens.paired(self._finisher.text(html), len(outline.kinds))
        pieces, order = outline.tokens.split(text)
        return EncodedTemplate(pieces, neat=True), order, pairs

    def _filled(self, shape: Shape, rendered: RenderedTemplate, prepared: Prepared) -> HtmlBody:
        if not shape.pictures and shape.html.length + LONGEST_ESCAPE * rendered.size <= LARGEST:
            html = shape.html.fill(prepared.ready, shape.pick(prepared.numbers), lines=rendered.lines)
            return HtmlBody(html, self._text_filled(shape, rendered, prepared), shape.images)
        images: list[Image] = []
        picked = self._picked(shape, prepared, images)
        check_size(shape.html.length + sum(map(len, picked)))
        html = shape.html.fill(picked, lines=rendered.lines)
        return HtmlBody(html, self._text_filled(shape, rendered, prepared), (*shape.images, *images))

    def _text_filled(self, shape: Shape, rendered: RenderedTemplate, prepared: Prepared) -> Encoded | None:
        text = shape.text
        if text is None:
            return None
        if shape.from_source:
            return text.fill(rendered.in_places(), lines=rendered.lines)
        plain = prepared.in_slots()
        shown = [" ".join(value.split()) for value in plain] if rendered.lines else plain
        if shape.pairs:
            named = [(shown[name], shown[address]) for name, address in shape.pairs]
            shown = [*shown, *(name if name == address else f"{name} ({address})" for name, address in named)]
        return text.fill([shown[slot] for slot in shape.text_order])

    def _picked(self, shape: Shape, prepared: Prepared, images: list[Image]) -> list[str]:
        """The escaped values in the order of the shape's slots; pictures of this row are added to ``images``."""
        ready = prepared.ready_in_slots()
        if shape.pictures:
            plain = prepared.in_slots()
            known = {image.cid: image for image in shape.images}
            found = dict(known)
            shown = (_of_reference(self._finisher, *reference, plain, found) for reference in shape.pictures)
            ready = [*ready, *shown]
            images += [image for cid, image in found.items() if cid not in known]
        return [ready[slot] for slot in shape.order]

    def _of_row(self, outline: ValueEscaping, rendered: RenderedTemplate, prepared: Prepared) -> HtmlBody:
        outline.check_shaping(prepared.in_slots(), self.page.name)
        html, images = self._finisher.finished(filled(outline.pieces, prepared.ready_in_slots()), [])
        text = None
        if _from_source(outline, self._derive):
            text = EncodedTemplate(outline.source, neat=True).fill(rendered.in_places(), lines=rendered.lines)
        elif self._derive:
            text = EncodedTemplate([self._finisher.text(html)]).fill([])
        return HtmlBody(EncodedTemplate([html]).fill([]), text, images)


def _from_source(outline: ValueEscaping, derive: str) -> bool:
    """Whether the source is readable as the text part: Markdown without HTML in it."""
    return derive == "source" and not any(_TAG.search(piece) for piece in outline.source)


def _of_reference(
    finisher: ShapeBuilder, pieces: list[str], order: list[int], plain: list[str], found: dict[str, Image]
) -> str:
    """A reference to a picture with values in it; a picture that it names is added to ``found``."""
    reference = filled(pieces, [plain[slot] for slot in order])
    if elsewhere(reference):
        return str(escape(quote(reference, safe=URL_SAFE)))
    check_scheme(reference)
    return finisher.shown(reference, found)


def _holds_markup(values: Sequence[Any]) -> bool:
    """Whether captured text is printed unescaped, including tags."""
    return Markup in set(map(type, values)) and any("<" in one for one in values if type(one) is Markup)
