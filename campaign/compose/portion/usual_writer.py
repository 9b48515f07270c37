"""Writes the parts of usual rows by columns, for a portion's drafts; the composer writes those of the others."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from campaign.compose.campaign_files import CampaignFiles
from campaign.compose.portion.draft import Draft
from campaign.compose.portion.usual_parts import UsualParts
from campaign.compose.template.row_timeout import RowTimer
from campaign.compose.template.template import Page, TemplateOutput

#: After so many portions in a row without a usual row, only every `REST`-th is searched for them.
MISSES, REST = 4, 16


class UsualWriter:
    """One per composer. ``watch`` limits the time of each row."""

    def __init__(self, files: CampaignFiles, watch: RowTimer) -> None:
        self._files, self._watch = files, watch
        self._misses = 0

    def write(self, drafts: Sequence[Draft]) -> None:
        """Write the text and HTML parts of as many drafts as are usual; one alone is left to the composer."""
        drafts = [draft for draft in drafts if draft.made is None]
        if len(drafts) < 2 or (self._misses >= MISSES and self._misses % REST):
            self._misses += len(drafts) > 1
            return
        parts, files = UsualParts([draft.variables for draft in drafts]), self._files
        found = 0
        if files.text:
            texts = parts.texts(files.text, self._print(files.text.page, 0, drafts))
            for row, text in texts.items():
                drafts[row].text = text
            found += len(texts)
        if files.shapes and not files.shapes.page.captures:
            bodies = parts.bodies(files.shapes, self._print(files.shapes.page, 1, drafts))
            for row, body in bodies.items():
                draft = drafts[row]
                draft.text, draft.html = draft.text or body.text, body.html
                draft.images = [image.part for image in body.images]
            found += len(bodies)
        self._misses = 0 if found else self._misses + 1

    def _print(self, page: Page, part: int, drafts: Sequence[Draft]) -> list[TemplateOutput | None]:
        """Render a template for each row; None where it fails, for which the composer finds the reason."""
        for draft in drafts:
            self._watch.go_on(draft.used)
            with contextlib.suppress(Exception):
                draft.printed[part] = page.render(draft.variables)
            draft.used = self._watch.used()
        return [draft.printed[part] for draft in drafts]
