"""Bodies written in Markdown or MJML, turned into HTML before styles are inlined.

They are turned once per shape, with tokens in place of values: what stands in a row can be neither Markdown nor MJML,
and a link whose address is a value still is a link. No file and no address is ever opened from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from campaign.errors import ConfigError

Convert = Callable[[str], str]

_PAGE = '<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body>\n{}</body></html>\n'
_OPEN_TAG = re.compile(r"<(mj-[\w-]+|mjml)?[^<>]*$")
_FREE_ATTRIBUTE = re.compile(r"\s(?:href|src|alt|title|name)\s*=\s*(?:\"[^\"]*|'[^']*)$")
_RAW = re.compile(r"<(/?)mj-(?:style|attributes|class|head)\b", re.IGNORECASE)


def markdown() -> Convert:
    """CommonMark with tables and strike-through; raw HTML and style elements pass, addresses become links."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return lambda text: _PAGE.format(reader.render(text))


def mjml() -> Convert:
    """MJML by the mrml library. The returned function raises ValueError with the parser's words."""
    try:
        from mjml import mjml2html
    except ImportError:
        raise ConfigError(
            "compose.mjml needs a library that is not installed.", next_step="pip install 'campaign[mjml]'"
        ) from None

    def convert(text: str) -> str:
        try:
            return str(mjml2html(text.strip()))
        except Exception as error:  # noqa: BLE001 - the library has no exception of its own
            raise ValueError(f"the MJML cannot be read: {error}") from None

    return convert


def shaping_gaps(pieces: Sequence[str]) -> list[int]:
    """The gaps of an MJML text whose values are needed to convert it: all but those in text and in links."""
    needed, before, depth = [], "", 0
    for number, piece in enumerate(pieces[:-1]):
        before += piece
        for match in _RAW.finditer(piece):
            depth += -1 if match[1] else 1
        if depth > 0 or (_OPEN_TAG.search(before) and not _FREE_ATTRIBUTE.search(before)):
            needed.append(number)
        before = before[-4_000:] + "x"
    return needed
