"""The system's name for a user ID."""

from __future__ import annotations

import pwd


def user_name(number: int) -> str:
    """The user's name, or the number if it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
