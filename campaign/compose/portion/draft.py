"""A letter in the making."""

from __future__ import annotations

from typing import Any

from campaign.compose.mime.transfer_encoding import Encoded
from campaign.compose.template.static_dynamic_split import RenderedTemplate
from campaign.compose.template.template import TemplateOutput
from campaign.model import Letter, Recipient, Unrenderable

LONGEST_REASON = 400  #: characters


class Draft:
    """An unfinished letter, and the seconds that its steps have ``used`` so far.

    ``printed`` are the outputs of the templates of the text part and of the HTML part, if they have been rendered.
    """

    __slots__ = ("date", "html", "images", "made", "printed", "recipient", "rendered", "text", "used", "variables")

    def __init__(self, recipient: Recipient, date: float) -> None:
        self.recipient, self.date, self.used = recipient, date, 0.0
        self.variables: dict[str, Any] = {}
        self.rendered: list[RenderedTemplate] = []  #: of the text part and the HTML part, if present
        self.printed: list[TemplateOutput | None] = [None, None]
        self.text: Encoded | None = None
        self.html: Encoded | None = None
        self.images: list[bytes] = []
        self.made: Letter | Unrenderable | None = None

    def refuse(self, reason: str) -> None:
        """Make it an `Unrenderable` with this reason."""
        self.made = Unrenderable(self.recipient.number, _fit(reason))


def _fit(reason: str) -> str:
    """A reason fit for journals and terminals: one line of printable characters, shortened to `LONGEST_REASON`."""
    short = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"
    return short if short.isprintable() else "".join([one if one.isprintable() else "\ufffd" for one in short])
