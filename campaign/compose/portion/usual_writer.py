"""Makes the letters of usual rows by columns, for a portion's drafts; the composer makes those of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from campaign.compose.files.campaign_files import CampaignFiles
from campaign.compose.lru_cache import LruCache
from campaign.compose.portion.draft import Draft
from campaign.compose.portion.row_paths import RowPaths, SamePath
from campaign.compose.portion.usual_letters import UsualLetters
from campaign.compose.portion.usual_parts import UsualParts
from campaign.compose.template.direct_columns import HEAVIEST, MOST_WAYS, Statics
from campaign.compose.template.row_timeout import RowTimer

#: After so many portions in a row without a usual row, only every `REST`-th is searched for them.
MISSES, REST = 4, 16
MOST_COMPARED = 256  #: paths whose first letter is compared with what the composer alone makes


class UsualWriter:
    """One per composer. ``watch`` limits the time of each row; ``letters`` finishes letters, if any can be."""

    def __init__(self, files: CampaignFiles, watch: RowTimer, letters: UsualLetters | None) -> None:
        self._files, self._letters = files, letters
        self._misses = self._compared = 0
        self._known: LruCache[Statics, bool] = LruCache(MOST_WAYS, HEAVIEST)
        self._texts = RowPaths(files.text.page, 0, watch) if files.text else None
        self._bodies = None
        if files.shapes and not files.shapes.page.captures:
            self._bodies = RowPaths(files.shapes.page, 1, watch)

    def write(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Make as many letters, or at least their parts, as are usual; one alone is left to the composer.

        Returns those whose path through a template is new. They have to be what the composer alone would make.
        """
        drafts = [draft for draft in drafts if draft.made is None]
        if len(drafts) < 2 or (self._misses >= MISSES and self._misses % REST):
            self._misses += len(drafts) > 1
            return []
        parts, files = UsualParts([draft.variables for draft in drafts]), self._files
        found = 0
        fresh: list[Draft] = []
        if files.text and self._texts:
            paths = self._texts.sort(drafts)
            texts = parts.texts(files.text, paths)
            fresh += self._fresh(drafts, paths, texts)
            for row, text in texts.items():
                drafts[row].text = text
            found += len(texts)
        if files.shapes and self._bodies:
            paths = self._bodies.sort(drafts)
            bodies = parts.bodies(files.shapes, paths)
            fresh += self._fresh(drafts, paths, bodies)
            for row, body in bodies.items():
                draft = drafts[row]
                draft.text, draft.html = draft.text or body.text, body.html
                draft.images = [image.part for image in body.images]
            found += len(bodies)
        self._misses = 0 if found else self._misses + 1
        if self._letters is not None:
            self._letters.finish(drafts)
        return fresh

    def _fresh(self, drafts: Sequence[Draft], paths: Sequence[SamePath], made: Mapping[int, object]) -> Iterator[Draft]:
        """The first draft that was ``made`` on each path that is new."""
        for path in paths:
            statics = path.output.statics
            if self._compared < MOST_COMPARED and self._known.get(statics) is None:
                for row in [row for row in path.rows if row in made][:1]:
                    self._known.keep(statics, True, len(statics))
                    self._compared += 1
                    yield drafts[row]
