"""Lines no wider than the terminal: text is wrapped under itself, and commands to type stay whole."""

from __future__ import annotations

import os
import re
import textwrap
from typing import TextIO

from campaign.report.printed_commands import NAME, program

USUAL = 80  #: columns of a terminal that does not say how many it has
NARROWEST = 40  #: columns; text for a narrower terminal is left to it
#: What text is wrapped under: an indent, and a label such as ``note`` or ``Report``.
_LABEL = re.compile(r"\s*(?:[a-z][\w-]*\s{2,}|(?:Books|Failed|Letters|Next|Note|Report)\s+)?")


def width_of(stream: TextIO) -> int | None:
    """The columns of the terminal behind ``stream``, or of the variable COLUMNS; None if there is no terminal."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return max(NARROWEST, int(asked))
    if not stream.isatty():
        return None
    try:
        return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns)
    except (OSError, ValueError):
        return USUAL


def fitted(text: str, width: int | None) -> str:
    """``text`` with its longer lines wrapped; unchanged if ``width`` is None."""
    if width is None:
        return text
    return "\n".join(one for line in text.split("\n") for one in fitted_line(line, width))


def fitted_line(line: str, width: int) -> list[str]:
    """One line as several; not if it is a command, which can be copied only if it is whole."""
    if len(line) <= width or line.lstrip().startswith((program(), NAME)):
        return [line]
    label = _LABEL.match(line)
    under = label[0] if label and 0 < len(label[0]) < width // 2 else ""
    hanging = " " * (len(under) if under.strip() else len(under) + 2)
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
        expand_tabs=False,
    )
