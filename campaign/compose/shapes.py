"""The HTML body: inlined once per shape, filled per recipient.

A shape is what a template printed with the values cut out, together with the values that can change what a style
rule matches (`places.py`). Converting, inlining, pictures, the derived text and the encoding of everything constant
are done once per shape and kept for the next row; a row costs its values. `row` mode goes the whole way for each row.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from markupsafe import escape

from campaign.compose.outlines import URL_SAFE, Outline, check_scheme, check_size, filled, text_pieces
from campaign.compose.pictures import elsewhere, replaced
from campaign.compose.places import STANDS, Tokens, kinds
from campaign.compose.plaintext import derived
from campaign.compose.quoting import Encoded, Gapped
from campaign.compose.resources import Image
from campaign.compose.settling import Settled, settle
from campaign.compose.templates import Page, RowRefused, Statics

MOST_SHAPES = 512  #: kept at a time
_OTHERWISE = "markup is printed with |safe or from {% set %}…{% endset %}, or hardly two rows take the same branches"
_TAG = re.compile(r"<[A-Za-z!/]")
Inlining = Literal["shape", "row"]
Picture = Callable[[str], Image]  #: from a reference to the picture


class Bodies(NamedTuple):
    """The parts of one letter: HTML, the text derived from it (if asked for), and the pictures in it."""

    html: Encoded
    text: Encoded | None
    images: Sequence[Image]


@dataclass(slots=True)
class Shape:
    """A finished body with gaps. ``order``: which value stands in each, None for all as they come.

    ``pictures``: references with values in them, looked up for each row.

    ``pairs``: gaps of the text that stand as ``text (address)``, which are written once where both are the same.
    """

    html: Gapped
    order: list[int] | None
    images: tuple[Image, ...]
    pictures: list[tuple[list[str], list[int]]]
    text: Gapped | None
    text_order: list[int]
    pairs: list[tuple[int, int]]
    from_source: bool


class Shapes:
    """The HTML bodies of one campaign.

    ``inline`` moves styles into elements (None: leave them). ``images`` and ``picture`` say what becomes of pictures.
    ``shaping`` finds the gaps that conversion itself depends on.
    """

    def __init__(
        self,
        page: Page,
        *,
        convert: Callable[[str], str] | None,
        shaping: Callable[[Sequence[str]], list[int]] | None,
        inline: Callable[[str], str] | None,
        images: Literal["cid", "data", "link"],
        picture: Picture,
        derive: Literal["html", "source", ""],
    ) -> None:
        self._page, self._convert, self._shaping, self._inline = page, convert, shaping, inline
        self._images, self._picture, self._derive = images, picture, derive
        self._outlines: OrderedDict[Statics, Outline] = OrderedDict()
        self._shapes: OrderedDict[tuple[int, tuple[str, ...]], Shape] = OrderedDict()
        self._numbers = 0
        self.rows = self.built = self.runs = 0
        self.latest: Settled | None = None  #: what the template printed for the row before

    def bodies(self, variables: Mapping[str, Any], inlining: Inlining) -> Bodies:
        """The parts for one row. Raises RowRefused."""
        self.rows += 1
        settled = self.latest = self._settled(variables, inlining)
        outline = self._outline(settled)
        plain, ready = outline.prepared(settled)
        if inlining == "row":
            return self._of_row(outline, settled, plain, ready)
        return self._filled(self._shape(outline, plain, ready), settled, plain, ready)

    def _settled(self, variables: Mapping[str, Any], inlining: Inlining) -> Settled:
        """What the template prints for one row. Raises RowRefused."""
        drawn = self._page.draw(variables, marking=inlining == "shape")
        try:
            settled = settle(drawn, html=True)
        except Exception as error:  # noqa: BLE001 - a printed value may be undefined, or fail to become text
            raise self._page.explain(variables, error) from None
        if self._shaping is not None:
            settled = self._spliced(settled)
        return settled

    def html(self, variables: Mapping[str, Any], inlining: Inlining) -> str:
        """The HTML for one row, as text. Raises RowRefused."""
        settled = self._settled(variables, inlining)
        outline = self._outline(settled)
        plain, ready = outline.prepared(settled)
        if inlining == "row":
            return self._finished(filled(outline.pieces, ready), [])[0]
        shape = self._shape(outline, plain, ready)
        return shape.html.plain(self._picked(shape, plain, ready, []))

    def remark(self) -> str:
        """A sentence for the operator when nearly every row needs a shape of its own, else empty."""
        if self.rows < 200 or self.built < 0.9 * self.rows:
            return ""
        seen = {kind for outline in self._outlines.values() for kind in outline.kinds}
        where = " or ".join(words for kind, words in STANDS.items() if kind in seen)
        reason = f"values stand {where}" if where else _OTHERWISE
        return f"{self.built:,} of {self.rows:,} rows had to be inlined on their own, which is slow: {reason}."

    def _outline(self, settled: Settled) -> Outline:
        outline = self._outlines.get(settled.statics)
        if outline is None:
            outline = self._outlined(settled)
            _keep(self._outlines, settled.statics, outline)
        elif len(self._outlines) > MOST_SHAPES // 2:
            self._outlines.move_to_end(settled.statics)
        return outline

    def _outlined(self, settled: Settled) -> Outline:
        self._numbers += 1
        pieces, count = text_pieces(settled.statics), len(settled.values)
        check_size(sum(map(len, pieces)))
        order, source = list(range(count)), pieces
        tokens = Tokens.for_pieces(pieces)
        if self._convert is not None:
            pieces, order = tokens.split(self._converted(tokens.joined(pieces)))
        html = tokens.joined(pieces)
        try:
            found = kinds(html, tokens, len(order)) if html.strip() else []
        except ValueError as error:
            raise RowRefused(f"{self._page.name}: {error}") from None
        return Outline(self._numbers, pieces, order, order == list(range(count)), tokens, found, source)

    def _converted(self, text: str) -> str:
        try:
            return self._convert(text) if self._convert else text
        except ValueError as error:
            raise RowRefused(f"{self._page.name}: {error}") from None

    def _spliced(self, settled: Settled) -> Settled:
        """``settled`` with the values that conversion needs as part of its text."""
        needed = set(self._shaping(text_pieces(settled.statics))) if self._shaping else set()
        if not needed:
            return settled
        statics: list[str | None] = []
        values, gap = [], 0
        for piece in settled.statics:
            if piece is None and gap in needed:
                statics.append(str(escape(settled.values[gap])))
            else:
                statics.append(piece)
                values += [settled.values[gap]] if piece is None else []
            gap += piece is None
        return Settled(tuple(statics), values, settled.lines, {})

    def _shape(self, outline: Outline, plain: list[str], ready: list[str]) -> Shape:
        key = (outline.number, tuple([plain[gap] for gap in outline.shaping]))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._built(outline, plain, ready)
            _keep(self._shapes, key, shape)
        elif len(self._shapes) > MOST_SHAPES // 2:
            self._shapes.move_to_end(key)
        return shape

    def _built(self, outline: Outline, plain: list[str], ready: list[str]) -> Shape:
        outline.check_shaping(plain, self._page.name)
        self.built += 1
        tokens = outline.tokens
        if any(tokens.salt in plain[gap] for gap in outline.shaping):
            raise RowRefused(f"{self._page.name}: a value holds one of our own words, {tokens.salt}")
        stand_ins = [ready[gap] if gap in outline.shaping else tokens.token(gap) for gap in range(len(outline.kinds))]
        pictures: list[tuple[list[str], list[int]]] = []
        html, images = self._finished(filled(outline.pieces, stand_ins), pictures, tokens, len(stand_ins))
        pieces, order = tokens.split(html)
        text, text_order, pairs = self._text(outline, html)
        from_source = self._from_source(outline)
        straight = not pictures and order == list(range(len(outline.kinds)))
        return Shape(
            Gapped(pieces), None if straight else order, tuple(images), pictures, text, text_order, pairs, from_source
        )

    def _finished(
        self,
        html: str,
        pictures: list[tuple[list[str], list[int]]],
        tokens: Tokens | None = None,
        gaps: int = 0,
    ) -> tuple[str, list[Image]]:
        """``html`` inlined and with its pictures; those whose names hold tokens become gaps of their own."""
        check_size(len(html))
        if self._inline is not None:
            self.runs += 1
            try:
                html = self._inline(html)
            except ValueError as error:
                raise RowRefused(f"{self._page.name} cannot be inlined: {error}") from None
        images: dict[str, Image] = {}

        def replace(reference: str) -> str:
            if tokens is not None and tokens.salt in reference:
                pictures.append(tokens.split(unescape(reference)))
                return tokens.token(gaps + len(pictures) - 1)
            return self._shown(unescape(reference), images)

        if self._images != "link":
            html = replaced(html, replace)
        return html, list(images.values())

    def _shown(self, reference: str, images: dict[str, Image]) -> str:
        image = self._picture(reference)
        if self._images == "data":
            return image.data_uri
        images[image.cid] = image
        return f"cid:{image.cid}"

    def _text(self, outline: Outline, html: str) -> tuple[Gapped | None, list[int], list[tuple[int, int]]]:
        """The text part of the shape, which value stands in each gap of it, and which gaps are pairs."""
        if not self._derive:
            return None, [], []
        if self._from_source(outline):
            return Gapped(outline.source), list(range(len(outline.source) - 1)), []
        text, pairs = outline.tokens.paired(derived(html), len(outline.kinds))
        pieces, order = outline.tokens.split(text)
        return Gapped(pieces), order, pairs

    def _from_source(self, outline: Outline) -> bool:
        """Whether the source reads well as it is: Markdown, as long as there is no HTML in it."""
        return self._derive == "source" and not any(_TAG.search(piece) for piece in outline.source)

    def _filled(self, shape: Shape, settled: Settled, plain: list[str], ready: list[str]) -> Bodies:
        images: list[Image] = []
        picked = self._picked(shape, plain, ready, images)
        check_size(shape.html.length + sum(map(len, picked)))
        html = shape.html.fill(picked, lines=settled.lines)
        text = None
        if shape.text is not None:
            text = self._filled_text(shape, shape.text, settled, plain)
        return Bodies(html, text, (*shape.images, *images) if images else shape.images)

    def _filled_text(self, shape: Shape, text: Gapped, settled: Settled, plain: list[str]) -> Encoded:
        if shape.from_source:
            return text.fill(settled.values, lines=settled.lines)
        shown = [" ".join(value.split()) for value in plain] if settled.lines else plain
        if shape.pairs:
            named = [(shown[name], shown[address]) for name, address in shape.pairs]
            shown = [*shown, *(name if name == address else f"{name} ({address})" for name, address in named)]
        return text.fill([shown[gap] for gap in shape.text_order])

    def _picked(self, shape: Shape, plain: list[str], ready: list[str], images: list[Image]) -> list[str]:
        """The escaped values in the order of the shape's gaps; pictures of this row go to ``images``."""
        if shape.pictures:
            known = {image.cid: image for image in shape.images}
            found = dict(known)
            ready = [*ready, *(self._of_reference(pieces, order, plain, found) for pieces, order in shape.pictures)]
            images += [image for cid, image in found.items() if cid not in known]
        return ready if shape.order is None else [ready[gap] for gap in shape.order]

    def _of_reference(self, pieces: list[str], order: list[int], plain: list[str], found: dict[str, Image]) -> str:
        reference = filled(pieces, [plain[gap] for gap in order])
        if elsewhere(reference):
            return str(escape(quote(reference, safe=URL_SAFE)))
        check_scheme(reference)
        return self._shown(reference, found)

    def _of_row(self, outline: Outline, settled: Settled, plain: list[str], ready: list[str]) -> Bodies:
        outline.check_shaping(plain, self._page.name)
        html, images = self._finished(filled(outline.pieces, ready), [])
        text = None
        if self._from_source(outline):
            text = Gapped(outline.source).fill(settled.values, lines=settled.lines)
        elif self._derive:
            text = Gapped([derived(html)]).fill([])
        return Bodies(Gapped([html]).fill([]), text, images)


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    if len(kept) > MOST_SHAPES:
        kept.popitem(last=False)
