"""Converts bodies written in Markdown or MJML to HTML, before styles are inlined.

The conversion runs once per shape, with tokens in place of values. So a row's values are never read as Markdown or
MJML, and a link whose address is a value stays a link. No file or URL is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import count

from campaign.errors import ConfigError, install_extra

Convert = Callable[[str], str]

_PAGE = '<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body>\n{}</body></html>\n'
_OPEN_TAG = re.compile(r"<(mj-[\w-]+|mjml)?[^<>]*$")
_FREE_ATTRIBUTE = re.compile(r"\s(?:href|src|alt|title|name)\s*=\s*(?:\"[^\"]*|'[^']*)$")
_RAW = re.compile(r"<(/?)mj-(?:style|attributes|class|head)\b", re.IGNORECASE)
_MARKUP = re.compile(
    r"<!--(?!\[if|<!\[endif).*?-->"
    r"|(?:<!(?:--)?\[if|<!(?:--<!)?\[endif)[^\]]*\](?:>-->|><!-->|-->|>)"
    r"|(?P<broken><!(?:--)?(?:<!)?\[(?:end)?if)"
    r"|(?P<title><mj-title[^<>]*>)(?P<words>[^<]*)"
    r"|<(?P<tag>[^\s<>/=!?\"']+)(?:[ \t\r\n]+[^\s<>/=\"']+(?:[ \t\r\n]*=[ \t\r\n]*(?:\"[^\"]*\"|'[^']*'))?)+",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"([^\s=\"']+)([ \t\r\n]*=[ \t\r\n]*)(\"[^\"]*\"|'[^']*')")
#: attributes that mrml interprets, in which any whitespace means a space
_MEASURED = re.compile(r"mj-class$|font-family$|.*(?:padding|border|position|size|width|height)")
_SPACE = re.compile(r"[\t\r\n]")
_ESCAPED = re.compile("[^ !#-\\[\\]-~\ud800-\udfff]")  # all that Rust's {:?} may escape, and all beyond ASCII


def markdown() -> Convert:
    """CommonMark with tables and strike-through; raw HTML and style elements are kept, ``<address>`` becomes a link."""
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise ConfigError(
            "compose.markdown needs a library that is not installed.", next_step=install_extra("markdown")
        ) from None

    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return lambda text: _PAGE.format(reader.render(text))


def mjml() -> Convert:
    """MJML by the mrml library. The returned function raises ValueError with the parser's message.

    Attributes come out as they were written. mrml writes them with Rust's escapes (backslash and n for a line feed) but
    its own styles without, so the two cannot be distinguished afterwards. Each character that it could escape is
    therefore replaced by a word of letters and digits, and restored. mrml has no loader for ``mj-include`` and refuses
    it.
    """
    try:
        from mjml import mjml2html
    except ImportError:
        raise ConfigError(
            "compose.mjml needs a library that is not installed.", next_step=install_extra("mjml")
        ) from None

    def convert(text: str) -> str:
        text = text.strip()
        salt = next(salt for number in count() if (salt := f"Zq{number}Z") not in text)
        try:
            return _restored(str(mjml2html(_guarded(text, salt))), salt)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the library has no exception of its own, and a panic is no Exception
            raise ValueError(f"the MJML cannot be read: {_reason(mjml2html, text, error)}") from None

    return convert


def _guarded(text: str, salt: str) -> str:
    """MJML whose attribute values (and title, which becomes one) contain nothing that mrml would escape."""

    def word(match: re.Match[str]) -> str:
        return f"{salt}{ord(match[0]):06x}"

    def attribute(match: re.Match[str], *, measured: bool) -> str:
        name, equals, value = match.groups()
        if measured and _MEASURED.match(name):
            value = _SPACE.sub(" ", value)
        return f"{name}{equals}{value[0]}{_ESCAPED.sub(word, value[1:-1])}{value[-1]}"

    def markup(match: re.Match[str]) -> str:
        if match["broken"]:
            raise ValueError(f"a conditional comment is broken: {text[match.start() : match.start() + 40]!r}")
        if match["title"] and match["words"].strip():
            return match["title"] + _ESCAPED.sub(word, match["words"])
        if match["tag"]:
            own = match["tag"].startswith("mj")
            return _ATTRIBUTE.sub(lambda found: attribute(found, measured=own), match[0])
        return match[0]

    return _MARKUP.sub(markup, text)


def _restored(html: str, salt: str) -> str:
    """``html`` with the words of `_guarded` turned back into characters; a quotation mark becomes ``&quot;``."""

    def character(match: re.Match[str]) -> str:
        return "&quot;" if (one := chr(int(match[1], 16))) == '"' else one

    return re.sub(f"{salt}([0-9a-f]{{6}})", character, html)


def _reason(mjml2html: Convert, text: str, error: BaseException) -> BaseException:
    """The error of mrml for the unguarded ``text``, so that the positions in it are those of the source."""
    if type(error) is not ValueError or "position" not in str(error):
        return error
    try:
        mjml2html(text)
    except ValueError as plain:
        return plain
    return error


def shaping_slots(pieces: Sequence[str]) -> list[int]:
    """The slots of an MJML text whose values affect its conversion: all but those in text and in links."""
    needed, before, depth = [], "", 0
    for number, piece in enumerate(pieces[:-1]):
        before += piece
        for match in _RAW.finditer(piece):
            depth += -1 if match[1] else 1
        if depth > 0 or (_OPEN_TAG.search(before) and not _FREE_ATTRIBUTE.search(before)):
            needed.append(number)
        before = before[-4_000:] + "x"
    return needed
