"""Usual letters finished together: header blocks by columns, and one join for each letter.

`Composer` defines what a letter is. A letter with attachments or a signature, or whose header needs more than its
column does, is left to it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from campaign.compose.mime import header_values
from campaign.compose.mime.letter_headers import LetterHeaders
from campaign.compose.mime.multipart import assembled
from campaign.compose.mime.transfer_encoding import Encoded
from campaign.compose.portion import header_columns
from campaign.compose.portion.draft import Draft
from campaign.compose.template.template import Page
from campaign.compose.value_positions import Pick, picker
from campaign.model import Letter, Mailbox

_TEXT, _HTML, _BOUNDARY = "\x01", "\x02", "\x03"  # in place of what differs from letter to letter
_PLACES = (_BOUNDARY, _TEXT, _HTML)


class PartsFrame(NamedTuple):
    """What is around the parts of a letter: ``pieces``, and between them the octets that ``pick`` takes.

    It takes them from the boundary, the text part and the HTML part. ``content_type`` has ``_BOUNDARY`` in it.
    """

    content_type: str
    encoding: str
    pieces: list[bytes]
    pick: Pick


class LetterPlan(NamedTuple):
    """What the letters of a campaign have. ``text`` and ``html``: whether each has such a part of its own template."""

    text: bool
    html: bool
    longest: int  #: octets
    message_id: Callable[[str], str]
    envelope_sender: Callable[[int, Mailbox | None], str]


class UsualLetters:
    """Finishes the letters of one campaign."""

    def __init__(self, head: LetterHeaders, plan: LetterPlan) -> None:
        self._head, self._plan = head, plan

    def finish(self, drafts: Sequence[Draft]) -> None:
        """Finish as many of these drafts, which have their parts, as are usual."""
        groups: dict[tuple[str, str, tuple[bytes, ...]], list[Draft]] = {}
        for draft in drafts:
            if self._has_its_parts(draft) and draft.recipient.address.isascii():
                parts = _encoding(draft.text), _encoding(draft.html), tuple(draft.images)
                groups.setdefault(parts, []).append(draft)
        for parts, alike in groups.items():
            self._finish(alike, _frame(*parts))

    def _has_its_parts(self, draft: Draft) -> bool:
        if draft.made is not None:
            return False
        return bool((draft.text or not self._plan.text) and (draft.html or not self._plan.html))

    def _finish(self, drafts: Sequence[Draft], frame: PartsFrame) -> None:
        recipients = [draft.recipient for draft in drafts]
        names = list(map(self._plan.message_id, [one.key for one in recipients]))
        boundaries = [f"=_{name[1:41]}" for name in names]
        kinds = [frame.content_type.replace(_BOUNDARY, boundary) for boundary in boundaries]
        rows = list(zip(*self._columns(drafts, names, kinds, frame.encoding), strict=True))
        usual = [at for at, row in enumerate(rows) if None not in row]
        gate = self._head.single if frame.encoding else self._head.multi
        blocks = gate.fill_all([rows[at] for at in usual])
        for at, block in zip(usual, blocks or (), strict=bool(blocks)):
            draft, pieces = drafts[at], frame.pieces.copy()
            pieces[0] = f"{block}\r\n".encode("ascii") + pieces[0]
            text, html = draft.text, draft.html
            pieces[1::2] = frame.pick(
                (boundaries[at].encode("ascii"), text.data if text else b"", html.data if html else b"")
            )
            content = b"".join(pieces)
            if len(content) <= self._plan.longest:
                draft.made = self._letter(draft, names[at], content)

    def _letter(self, draft: Draft, message_id: str, content: bytes) -> Letter:
        to, text, html = draft.recipient, draft.text, draft.html
        sound = (not text or text.sound) and (not html or html.sound)
        sender = self._plan.envelope_sender(to.number, None)
        digest = hashlib.sha256(content).digest()
        return Letter(to.number, message_id, sender, to.address, content, digest, False, sound)

    def _columns(
        self, drafts: Sequence[Draft], message_ids: Sequence[str], content_types: Sequence[str], encoding: str
    ) -> Iterator[Sequence[str | None]]:
        """The values of the header's slots, in the order that `LetterHeaders` gives them."""
        head, recipients = self._head, [draft.recipient for draft in drafts]
        yield header_columns.mailboxes([one.name for one in recipients], [one.address for one in recipients])
        yield _texts("Subject", head.subject, drafts)
        yield list(map(header_values.date, map(attrgetter("date"), drafts)))
        yield message_ids
        if head.idempotency:
            yield [one[1:].partition("@")[0] for one in message_ids]
        links = [draft.variables["unsubscribe_url"] for draft in drafts]
        if head.mailto or any(links):
            yield header_columns.unsubscribe_links(links, head.mailto)
        for name, page in head.custom.items():
            yield _texts(name, page, drafts)
        yield content_types
        if encoding:
            yield [encoding] * len(drafts)


def _texts(name: str, page: Page, drafts: Sequence[Draft]) -> header_columns.Values:
    """What the template makes for each row, encoded for the header ``name``."""
    found: list[str | None] = []
    for draft in drafts:
        try:
            found.append(page.text(draft.variables))
        except Exception:  # noqa: BLE001 - the composer finds the reason
            found.append(None)
    if None in found:
        encoded = iter(header_columns.encoded_texts(name, [text for text in found if text is not None] or [""]))
        return [None if text is None else next(encoded) for text in found]
    return header_columns.encoded_texts(name, found)  # type: ignore[arg-type]  # None is not among them


def _encoding(part: Encoded | None) -> str:
    return part.encoding if part else ""


@lru_cache(maxsize=16)
def _frame(text: str, html: str, images: tuple[bytes, ...]) -> PartsFrame:
    """The frame of letters with these pictures whose parts have these encodings; empty: there is no such part."""
    whole = assembled(
        Encoded(_TEXT.encode("ascii"), text) if text else None,
        Encoded(_HTML.encode("ascii"), html) if html else None,
        images,
        (),
        _BOUNDARY,
    )
    pieces = re.split(f"([{''.join(_PLACES)}])", whole.body.decode("ascii"))
    pick = picker([_PLACES.index(mark) for mark in pieces[1::2]])
    return PartsFrame(whole.content_type, whole.encoding, [piece.encode("ascii") for piece in pieces], pick)
