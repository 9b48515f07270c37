"""Renders the text part from the user's template; its constant text is encoded once per shape, like the HTML part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from campaign.compose.html.shape_cache import HEAVIEST, MOST_SHAPES
from campaign.compose.html.value_escaping import text_pieces
from campaign.compose.lru_cache import LruCache
from campaign.compose.mime.transfer_encoding import Encoded, EncodedTemplate
from campaign.compose.template.operation_limits import LARGEST
from campaign.compose.template.static_dynamic_split import RenderedTemplate, split_static_from_dynamic
from campaign.compose.template.template import Page, RowRefused, Statics, TemplateOutput


class TextPart:
    """The text parts of one campaign."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._shapes: LruCache[Statics, EncodedTemplate] = LruCache(MOST_SHAPES, HEAVIEST)

    def render(self, variables: Mapping[str, Any], output: TemplateOutput | None = None) -> RenderedTemplate:
        """The template's output for one row, or ``output``, split. Raises RowRefused."""
        output = output or self.page.render(variables)
        try:
            return split_static_from_dynamic(output, html=False)
        except Exception as error:  # noqa: BLE001 - a printed value may be undefined, or fail to become text
            raise self.page.explain(variables, error) from None

    def template(self, statics: Statics) -> EncodedTemplate:
        """The constant text of this output, encoded once. Raises TooMuch."""
        shape = self._shapes.get(statics)
        if shape is None:
            shape = EncodedTemplate(text_pieces(statics), neat=True)
            self._shapes.keep(statics, shape, shape.length)
        return shape

    def encode(self, rendered: RenderedTemplate) -> Encoded:
        """The text part for the result of `render`. Raises RowRefused."""
        shape = self.template(rendered.statics)
        if shape.length + rendered.size > LARGEST and shape.length + sum(map(len, rendered.in_places())) > LARGEST:
            raise RowRefused(f"the text part would have more than {LARGEST:,} characters")
        return shape.fill(rendered.values, rendered.order.pick if rendered.order else None, lines=rendered.lines)
