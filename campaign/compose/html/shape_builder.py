"""The slow steps of building an HTML body, each done once per shape: parse, convert, inline, pictures, text.

The row's time is checked after every step, and throughout inlining, so no row can hold up the run. `shape_cache.py`
decides when the steps run and caches their results.
"""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Literal

from campaign.compose.html.images import replaced
from campaign.compose.html.value_contexts import Placeholders, ValueContexts, places
from campaign.compose.html.value_escaping import ValueEscaping, check_size, text_pieces
from campaign.compose.mime.file_parts import Image
from campaign.compose.template.row_timeout import RowTimer
from campaign.compose.template.static_dynamic_split import RenderedTemplate
from campaign.compose.template.template import RowRefused
from campaign.compose.text.text_from_html import derived

Picture = Callable[[str], Image]  #: from a reference to the picture
References = list[tuple[list[str], list[int]]]  #: to pictures, with values in them: text, and the slots in it


class ShapeBuilder:
    """Builds the shapes of one campaign. ``name`` is the name of the template, for messages.

    ``inline`` moves styles into elements (None: leave them). ``images`` is the form in which pictures are embedded;
    ``picture`` reads one.
    """

    def __init__(
        self,
        name: str,
        *,
        convert: Callable[[str], str] | None,
        inline: Callable[[str], str] | None,
        images: Literal["cid", "data", "link"],
        picture: Picture,
        watch: RowTimer,
    ) -> None:
        self._name, self._convert, self._inline = name, convert, inline
        self._images, self._picture, self._watch = images, picture, watch
        self._numbers = self.runs = 0

    def outline(self, settled: RenderedTemplate) -> ValueEscaping:
        """A template's output as HTML with slots. Raises RowRefused, TooMuch."""
        self._numbers += 1
        source = text_pieces(settled.statics)
        tokens = Placeholders.for_pieces(source)
        pieces, order = source, list(range(len(source) - 1))
        try:
            if self._convert is not None:
                pieces, order = tokens.split(self._convert(tokens.joined(pieces)))
            html = tokens.joined(pieces)
            check_size(len(html))
            self._watch.check()
            found = places(html, tokens, len(order)) if html.strip() else ValueContexts([])
        except RowRefused:
            raise
        except ValueError as error:
            raise RowRefused(f"{self._name}: {error}") from None
        self._watch.check()
        return ValueEscaping(self._numbers, pieces, order, tokens, found, source)

    def finished(
        self, html: str, pictures: References, tokens: Placeholders | None = None, slots: int = 0
    ) -> tuple[str, list[Image]]:
        """``html`` inlined and with its pictures; a picture whose name contains tokens becomes a separate slot."""
        check_size(len(html))
        html = self._inlined(html)
        images: dict[str, Image] = {}

        def replace(reference: str) -> str:
            if tokens is not None and tokens.salt in reference:
                pictures.append(tokens.split(unescape(reference)))
                return tokens.token(slots + len(pictures) - 1)
            return self.shown(unescape(reference), images)

        if self._images != "link":
            html = replaced(html, replace)
        return html, list(images.values())

    def shown(self, reference: str, images: dict[str, Image]) -> str:
        """The reference to a picture in the HTML, a cid or the data itself; with a cid, add it to ``images``."""
        image = self._picture(reference)
        if self._images == "data":
            return image.data_uri
        images[image.cid] = image
        return f"cid:{image.cid}"

    def text(self, html: str) -> str:
        """The text part derived from ``html``."""
        text = derived(html)
        self._watch.check()
        return text

    def _inlined(self, html: str) -> str:
        if self._inline is None:
            return html
        self.runs += 1
        self._watch.check()
        try:
            html = self._inline(html)
        except ValueError as error:
            raise RowRefused(f"{self._name} cannot be inlined: {error}") from None
        except RecursionError:  # the CSS parser recurses for each word of a declaration
            raise RowRefused(f"{self._name} cannot be inlined: a style has too many words, or brackets") from None
        self._watch.check()
        check_size(len(html))
        return html
