"""How well a typed text fits a message, whose variable parts are written ``…``."""

from __future__ import annotations

from typing import NamedTuple

VARIABLE = "…"
LEAST = 8  #: characters of a message's own that a beginning with a variable part needs; "The … file" is no evidence


class Fit(NamedTuple):
    """Fits are compared in this order: the better is the greater."""

    whole: bool  #: the text is the message, and not only its beginning
    own: int  #: how many characters of the text are the message's own, not a variable part


def fit(text: str, message: str) -> Fit | None:
    """The fit of ``text`` as ``message`` or its beginning, in any case of letters; None if it is neither."""
    text, message = tidy(text), tidy(message)
    start, *parts = message.split(VARIABLE)
    if not text.startswith(start):
        return Fit(False, len(text)) if text and start.startswith(text) else None
    place = own = len(start)
    for part in parts:
        found = text.find(part, place)
        if found < 0:
            return Fit(False, own) if own >= LEAST else None
        place, own = found + len(part), own + len(part)
    whole = place == len(text) or message.endswith(VARIABLE)
    return Fit(whole, own) if own and (whole or (parts and own >= LEAST)) else None


def tidy(text: str) -> str:
    """Without differences that do not matter: blanks, letter case, and the full stop."""
    return " ".join(text.split()).rstrip(".").casefold()
