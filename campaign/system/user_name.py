"""What the system calls a user."""

from __future__ import annotations

import pwd


def user_name(number: int) -> str:
    """The user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
