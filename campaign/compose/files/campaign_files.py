"""The files of a campaign's letters, opened once: templates, style sheets, pictures and attachments.

Checks which settings go together, opens the files, and searches the templates for further files, so that a missing one
is reported before the first letter. `composer.py` renders them for a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any

from campaign.compose.html.css.css_inliner import Styles
from campaign.compose.html.images import replaced
from campaign.compose.html.shape_builder import ShapeBuilder
from campaign.compose.html.shape_cache import ShapeCache
from campaign.compose.mime.file_parts import Image, ResourceError, Resources
from campaign.compose.template.filters import known_locale
from campaign.compose.template.row_timeout import RowTimer
from campaign.compose.template.template import ENGLISH, Page, RowRefused, Templates
from campaign.compose.text.text_from_template import TextPart
from campaign.config.compose import ComposeSection
from campaign.errors import ConfigError

_CODE = re.compile(r"\{[{%#]")
_UNESCAPED = re.compile(r"\|\s*safe\b|\{%-?\s*autoescape\s+false")


class CampaignFiles:
    """Opened templates and resources; ``watch`` limits the time of each row. Raises ConfigError."""

    def __init__(
        self,
        settings: ComposeSection,
        base: Path,
        root: Path,
        columns: Iterable[str],
        extras: Iterable[str],
        private: Sequence[Path] = (),
    ) -> None:
        self._settings, self._base = settings, base
        self.resources, self.watch = Resources(root, settings, private), RowTimer(settings.row_timeout)
        kind, name = _body(settings)
        body = (base / (name or settings.text)).resolve()
        self._folder = body.parent
        self.templates = Templates(root, self._folder, columns, extras, self.watch, private)
        open_source = self.templates.source
        self.subject = open_source(settings.subject, "compose.subject")
        self.custom = {key: open_source(value, f"compose.headers.{key}") for key, value in settings.headers.items()}
        self.unsubscribe = self._unsubscribe_link(settings.unsubscribe) if settings.unsubscribe else None
        self.attachments = [open_source(value, "compose.attachments") for value in settings.attachments]
        self._locale, self._constant_locale = open_source(settings.locale, "compose.locale"), ENGLISH
        folders = tuple(dict.fromkeys((self._folder, root)))
        inlined = bool(kind) and settings.inline_css
        self._styles = Styles(root, folders, settings.inliner, private, self.watch.check) if inlined else None
        self.text = TextPart(self._file(settings.text, html=False)) if settings.text else None
        self.shapes = self._shapes(kind, body) if kind else None
        self.warnings: list[str] = []
        self._look_through()

    def locale_of(self, variables: Mapping[str, Any]) -> str:
        """The filters' locale for a row. Raises RowRefused."""
        if self._locale.constant:
            return self._constant_locale
        name = self._locale.text(variables).strip() or ENGLISH
        try:
            known_locale(name)
        except ValueError as error:
            raise RowRefused(f"compose.locale: {error}") from None
        return name

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of every template and sheet, by path under the root."""
        sheets = self._styles.fingerprints() if self._styles else {}
        return {**self.templates.fingerprints(), **sheets}

    def _file(self, name: str, *, html: bool) -> Page:
        return self.templates.file((self._base / name).resolve(), html=html)

    def _unsubscribe_link(self, source: str) -> Page:
        """The template of the unsubscribe link. Raises ConfigError if no row can make it an https link."""
        page = self.templates.source(source, "compose.unsubscribe")
        text = page.text({}) if page.constant else _CODE.split(source)[0].lstrip()
        begun = text.startswith("https://") or (not page.constant and "https://".startswith(text))
        if not begun or not text.isascii() or " " in text.rstrip():
            raise ConfigError(
                "compose.unsubscribe is no https link, which one-click unsubscribing needs (RFC 8058).",
                evidence=f"it begins with {text[:60]!r}",
                next_step='write unsubscribe = "https://example.com/u/{{ unsubscribe_token }}", with your own host',
            )
        return page

    def _shapes(self, kind: str, body: Path) -> ShapeCache:
        settings = self._settings
        page = self.templates.file(body, html=True)
        convert, shaping = None, None
        if kind != "html":
            from campaign.compose.html.markdown_mjml import markdown, mjml, shaping_slots

            convert = markdown() if kind == "markdown" else mjml()
            shaping = shaping_slots if kind == "mjml" else None
        finisher = ShapeBuilder(
            page.name,
            convert=convert,
            inline=self._styles.inline if self._styles else None,
            images=settings.images,
            picture=self._picture,
            watch=self.watch,
        )
        return ShapeCache(
            page,
            finisher,
            shaping=shaping,
            derive="" if settings.text else "source" if kind == "markdown" else "html",
        )

    def _picture(self, reference: str) -> Image:
        self.watch.check()
        return self.resources.image(reference, self._folder)

    def _look_through(self) -> None:
        """Check the sheets, pictures, attachments and locale that do not depend on a row. Raises ConfigError."""
        for page in self.attachments:
            if page.constant:
                self.resources.attachment(page.text({}).strip(), constant=True)
        if self._locale.constant:
            try:
                self._constant_locale = self._locale.text({}).strip() or ENGLISH
                if self._constant_locale != ENGLISH:  # always known, and slow to look up
                    known_locale(self._constant_locale)
            except ValueError as error:
                raise ConfigError(
                    f"compose.locale: {error}.", next_step="name a locale, or a column that holds one: {{ language }}"
                ) from None
        if self.shapes is None:
            return
        for name, source in self.templates.sources():
            self._look_through_source(name, source)

    def _look_through_source(self, name: str, source: str) -> None:
        for match in _UNESCAPED.finditer(source):
            line = source.count("\n", 0, match.start()) + 1
            self.warnings.append(f"{name}:{line} prints a value unescaped ({match[0]}): a row could write HTML there.")
        if self._styles:
            self._styles.look_for_sheets(source)

        def look(reference: str) -> str:
            if "{{" not in reference and "{%" not in reference:
                try:
                    self.resources.image(unescape(reference), self._folder)
                except ResourceError as error:
                    line = source.count("\n", 0, max(0, source.find(reference))) + 1
                    raise ResourceError(
                        error.what, evidence=[f"{name}:{line}", *error.evidence], next_step=error.next_step
                    ) from None
            return reference

        if self._settings.images != "link":
            replaced(source, look)


def _body(settings: ComposeSection) -> tuple[str, str]:
    """The setting that names the HTML body, and its file; both empty for a letter of text alone."""
    given: Sequence[tuple[str, str]] = [
        (kind, name)
        for kind, name in (("html", settings.html), ("markdown", settings.markdown), ("mjml", settings.mjml))
        if name
    ]
    if len(given) > 1:
        raise ConfigError(
            f"compose names {' and '.join(kind for kind, _ in given)}; a letter has one body.",
            next_step="keep one of them",
        )
    if not given and not settings.text:
        raise ConfigError("compose names no body.", next_step='add html = "body.html.j2", markdown, mjml or text')
    return given[0] if given else ("", "")
