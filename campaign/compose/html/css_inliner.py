"""Style rules moved into the elements they match, by premailer or css-inline, without a step outside the root.

The inliner sees only what `sheets.py` hands it; conditional comments, ``&nbsp;`` and the document type are taken out
of its reach and put back. Local sheets, linked or imported, are read from under the root; remote ones stay links in
the letter and are never fetched. Nothing is known here of rows or of shapes.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from collections.abc import Callable, Iterable
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from campaign.compose.enclosure import kept_back, read_beneath
from campaign.compose.html.css_rules import Change, Veil, part
from campaign.compose.kept import Kept
from campaign.errors import ConfigError

LONGEST_SHEET = 1_000_000  #: octets
MOST_SHEETS, HEAVIEST_SHEETS = 64, 500_000  #: read ones that are kept; characters of them all
RULES = 50  #: handed to the CSS parser at a time: it takes a millisecond for each, and cannot be stopped meanwhile
_STYLE = re.compile(r"<!--.*?-->|<style\b([^>]*)>(.*?)</style\s*>|<link\b([^>]*)>", re.IGNORECASE | re.DOTALL)
_CONDITION = re.compile(r"<!--.*?-->|<!\[((?:if\s[^\]>]*)|endif)\]>", re.IGNORECASE | re.DOTALL)
_DOCTYPE = re.compile(r"\s*(<!doctype[^>]*>)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_STYLED = re.compile(r"(?<=\s)(style\s*=\s*)(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


class Styles:
    """Inlines the style sheets of whole documents.

    ``folders`` are where relative sheets are looked up, in order; ``private`` are files and folders that are no sheets.
    ``tick`` is called all along while premailer works; it may raise, to end that.
    """

    def __init__(
        self,
        root: Path,
        folders: tuple[Path, ...],
        inliner: Literal["premailer", "css-inline"],
        private: Iterable[Path] = (),
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._root, self._folders, self._private = root, folders, tuple(path.resolve() for path in private)
        self._inline = _premailer(tick) if inliner == "premailer" else _css_inline()
        self._sheets: dict[str, str] = {}
        self._fingerprints: dict[str, str] = {}

    def inline(self, html: str) -> str:
        """``html`` with its rules in its elements. Raises ConfigError for a sheet that is not there, ValueError."""
        doctype = _DOCTYPE.match(html)
        body = html[doctype.end() :] if doctype else html
        if not body.strip():
            return html
        salt = f"c{hashlib.sha256(html.encode('utf-8', 'replace')).hexdigest()[:12]}x"  # html cannot hold its own hash
        veil, conditions = Veil(salt), list[str]()
        blank = next(mark for mark in map(chr, range(0xE000, 0xF900)) if mark not in html)  # a private character
        body = _CONDITION.sub(lambda match: _hidden(match, conditions, salt), body.replace("&nbsp;", blank))
        body = _STYLED.sub(lambda match: match[1] + veil.on(match[2]), self.parted(body, veil.on))
        body = veil.off(self._inline(body).strip())
        for number, condition in enumerate(conditions):
            body = body.replace(f"<!--{salt}{number}-->", condition)
        return (f"{doctype[1]}\n" if doctype else "") + body.replace(blank, "&nbsp;")

    def parted(self, html: str, veil: Change = str) -> str:
        """``html`` with linked sheets in place, and each sheet in two: for the inliner, and to stay."""
        return _STYLE.sub(lambda match: self._element(match, veil), html)

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of every sheet read so far, by its path under the root."""
        return dict(sorted(self._fingerprints.items()))

    def _element(self, match: re.Match[str], veil: Change) -> str:
        if match[0].startswith("<!--"):
            return match[0]
        attributes = _attributes(match[1] if match[3] is None else match[3])
        if match[3] is not None:
            if "stylesheet" not in attributes.get("rel", "").lower().split():
                return match[0]
            css = self._read(attributes.get("href", ""))
        else:
            css = match[2]
        if css is None or "data-premailer" in attributes:
            return match[0]
        media = attributes.get("media", "")
        if media.lower() not in ("", "all", "screen"):
            return match[0] if match[3] is None else _style(css, media, stays=True)
        parted = part(css, self._read, veil)
        rules = [parted.inlined[at : at + RULES] for at in range(0, len(parted.inlined), RULES)]
        moving = [_style("\n".join(some), "", stays=False) for some in rules]
        return "".join(moving) + _style(parted.staying, media, stays=True)

    def _read(self, reference: str) -> str | None:
        """The text of a local sheet; None where the reference leads to the network."""
        name = unescape(reference).strip()
        if _REMOTE.match(name) and not name.lower().startswith("file:"):
            return None
        if name not in self._sheets:
            self._sheets[name] = self._load(name)
        return self._sheets[name]

    def _load(self, name: str) -> str:
        for folder in self._folders:
            path = (folder / name).resolve()
            if name.startswith("/") or not path.is_relative_to(self._root) or not path.is_file():
                continue
            if kept_back(path, self._root, self._private):
                raise ConfigError(
                    f"The file {name!r} is not for letters, and no style sheet.",
                    evidence="hidden files, secrets, and the campaign's own files are never put into one",
                    next_step="put style sheets into a folder of their own, and link them there",
                )
            return self._text(path)
        if "{{" in name or "{%" in name:
            raise ConfigError(
                f"The template leaves it to the row which style sheet it reads: {name!r}.",
                next_step="name the sheets there are, and choose between them with {% if %}",
            )
        raise ConfigError(
            f"The template asks for the style sheet {name!r}, which is not there.",
            evidence=[f"looked in {folder}" for folder in dict.fromkeys(self._folders)],
            next_step="correct the name; sheets outside compose.root are never read",
        )

    def _text(self, path: Path) -> str:
        inside = path.relative_to(self._root)
        try:
            octets = read_beneath(self._root, inside, LONGEST_SHEET)
            text = octets.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The style sheet {inside} cannot be used.",
                evidence=str(error),
                next_step=f"save {inside} as UTF-8 text",
            ) from None
        self._fingerprints[inside.as_posix()] = hashlib.sha256(octets).hexdigest()
        return text


def _hidden(match: re.Match[str], conditions: list[str], salt: str) -> str:
    """``<![if !mso]>`` as a comment of ours: parsers would turn it into one that hides what it should show."""
    if match[1] is None:
        return match[0]
    conditions.append(match[0])
    return f"<!--{salt}{len(conditions) - 1}-->"


def _attributes(text: str) -> dict[str, str]:
    return {name.lower(): double or single or bare for name, double, single, bare in _ATTRIBUTE.findall(text)}


def _style(css: str, media: str, *, stays: bool) -> str:
    """A style element; one that stays carries the marks by which both inliners leave it alone."""
    if not css.strip():
        return ""
    left_alone = ' data-premailer="ignore" data-css-inline="ignore"' if stays else ""
    return f'<style type="text/css"{f" media={media!r}" if media else ""}{left_alone}>\n{css}\n</style>'


def _ticking(tick: Callable[[], None]) -> type[str]:
    class Selector(str):
        """A selector that ticks when premailer looks for a colon in it, which it does before each search."""

        __slots__ = ()

        def __contains__(self, part: object) -> bool:
            tick()
            return super().__contains__(part)  # type: ignore[operator]  # as str has it

    return Selector


def _premailer(tick: Callable[[], None]) -> Callable[[str], str]:
    """premailer, with every way to the network shut: also the one of the CSS parser below it.

    ``tick`` is called before each rule is looked for and after each element that got a style. (A deeply nested page of
    a megabyte takes seconds for one rule with a descendant in it, and premailer itself knows no limit.)
    """
    import cssutils
    import cssutils.util

    def refuse(url: str) -> Any:  # noqa: ARG001 - the signature of cssutils' fetcher
        return None

    cssutils.util._defaultFetcher = refuse  # noqa: SLF001 - premailer offers no way to give its parser a fetcher
    kind = _ticking_premailer(tick)

    def inline(html: str) -> str:
        worker = kind(
            html,
            strip_important=False,
            disable_validation=True,
            cssutils_logging_level=logging.CRITICAL,
            allow_network=False,
            allow_loading_external_files=False,
        )
        return str(worker.transform(pretty_print=False)).replace(' data-css-inline="ignore"', "")

    return inline


def _ticking_premailer(tick: Callable[[], None]) -> Any:
    premailer, selector_kind = _premailer_alone(), _ticking(tick)
    # A sheet is the same in nearly every row, and reading it takes most of the time.
    parsed: Kept[tuple[str, int], tuple[list[Any], list[Any]]] = Kept(MOST_SHEETS, HEAVIEST_SHEETS)

    class Ticking(premailer.Premailer):  # type: ignore[misc,name-defined]  # no type information is published
        def _parse_style_rules(self, css_body: str, ruleset_index: int) -> Any:
            tick()
            found = parsed.get((css_body, ruleset_index))
            if found is None:
                rules, leftover = super()._parse_style_rules(css_body, ruleset_index)
                found = (
                    [(specificity, selector_kind(selector), bulk) for specificity, selector, bulk in rules],
                    leftover,
                )
                parsed.keep((css_body, ruleset_index), found, len(css_body))
            rules, leftover = found
            return rules.copy(), leftover.copy()

        def _style_to_basic_html_attributes(self, *args: Any, **options: Any) -> None:
            tick()
            super()._style_to_basic_html_attributes(*args, **options)

    return Ticking


def _premailer_alone() -> Any:
    """The library without the one it fetches with, which takes longer to load than all the rest of it."""
    fetcher = sys.modules.get("requests")
    sys.modules["requests"] = ModuleType("requests")
    try:
        import premailer
    finally:
        del sys.modules["requests"]
        if fetcher is not None:
            sys.modules["requests"] = fetcher
    return premailer


def _css_inline() -> Callable[[str], str]:
    try:
        import css_inline
    except ImportError:
        raise ConfigError(
            'compose.inliner = "css-inline" needs a library that is not installed.',
            next_step="pip install 'campaign[css-inline]'",
        ) from None
    worker = css_inline.CSSInliner(keep_style_tags=True, remove_inlined_selectors=True, load_remote_stylesheets=False)

    def inline(html: str) -> str:
        done = worker.inline(html).replace(' data-premailer="ignore"', "")
        return re.sub(r' data-css-inline="ignore"', "", done)

    return inline
