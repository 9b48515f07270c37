"""The text and HTML parts of several rows at once, for as many of them as are usual; the plain way makes the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from campaign.compose.html.shape_cache import HtmlBody, Shape, ShapeCache
from campaign.compose.html.value_escaping import ValueEscaping, check_scheme, filled
from campaign.compose.mime.transfer_encoding import Encoded
from campaign.compose.portion.encoded_parts import PortionColumns, SameWay
from campaign.compose.portion.row_paths import SamePath
from campaign.compose.template.template import RowRefused, TemplateOutput
from campaign.compose.text.text_from_template import TextPart


class UsualParts:
    """Encodes parts for the rows of one portion; ``variables`` are theirs."""

    def __init__(self, variables: Sequence[Mapping[str, Any]]) -> None:
        self._portion = PortionColumns(variables)

    def texts(self, part: TextPart, paths: Sequence[SamePath]) -> dict[int, Encoded]:
        """Text parts by the position of their row, for the paths through their template."""
        found: dict[int, Encoded] = {}
        for output, way in map(self._way, paths):
            if output.order is not None:
                parts = way.encoded(part.template(output.statics), output.order.places, "text")
                found.update(_usual(way, parts))
        return found

    def bodies(self, shapes: ShapeCache, paths: Sequence[SamePath]) -> dict[int, HtmlBody]:
        """HTML parts, with what belongs to them, by the position of their row."""
        found: dict[int, HtmlBody] = {}
        for output, way in map(self._way, paths):
            if known := shapes.usual(output.statics):
                outline, shape = known
                bodies = dict(self._of_shape(way, outline, shape, outline.numbers(output.order)))
                shapes.rows += len(bodies)  # the others are counted when they are made
                found.update(bodies)
        return found

    def _of_shape(
        self, way: SameWay, outline: ValueEscaping, shape: Shape, numbers: Sequence[int]
    ) -> Iterator[tuple[int, HtmlBody]]:
        html = dict(_usual(way, way.encoded(shape.html, [numbers[slot] for slot in shape.order], "html")))
        text = None
        if shape.text is not None:
            text = dict(_usual(way, way.encoded(shape.text, [numbers[slot] for slot in shape.text_order], "text")))
        bound = [place for place in {numbers[slot] for slot in outline.urls} if not way.is_linkable(place)]
        for at, row in enumerate(way.rows):
            if row in html and (text is None or row in text) and _links_hold(outline, numbers, way, at, bound):
                yield row, HtmlBody(html[row], text[row] if text else None, shape.images)

    def _way(self, path: SamePath) -> tuple[TemplateOutput, SameWay]:
        return path.output, SameWay(self._portion, path.output.columns or (), path.rows, path.printed)


def _usual(way: SameWay, parts: Iterator[Encoded | None]) -> Iterator[tuple[int, Encoded]]:
    """The parts of usual rows, with the position of their row."""
    odd = way.odd
    for row, part in zip(way.rows, parts, strict=True):
        if part is not None and row not in odd:
            yield row, part


def _links_hold(outline: ValueEscaping, numbers: Sequence[int], way: SameWay, at: int, bound: Sequence[int]) -> bool:
    """Whether the values in links need no change, and begin none with a scheme that mail must not use."""
    for place in bound:
        value = way.raw(at, place)
        if not value.isascii() or " " in value:
            return False
    try:
        for slot in outline.leading:
            check_scheme(way.raw(at, numbers[slot]), printable=True)
        for pieces, slots in outline.joined:
            check_scheme(filled(pieces, [way.raw(at, numbers[slot]) for slot in slots]))
    except RowRefused:
        return False
    return True
