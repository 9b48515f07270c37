"""The console for messages: stderr, one sentence a line, safe for logs and terminals."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from campaign.report.formatting import printable
from campaign.report.printed_commands import typeable

LOADING_SECONDS = 10.0


def path_text(path: Path) -> str:
    """A path as one would type it here: relative if it is below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


@dataclass(slots=True)
class Console:
    """Messages for the operator; results go to stdout instead."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    quiet: bool = False
    _last: float = field(default_factory=time.monotonic)

    @property
    def is_terminal(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream.isatty()

    def say(self, text: str) -> None:
        """Print a message, unless quiet."""
        if not self.quiet:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Print a message, also when quiet. Errors of the stream are ignored: they must not change how a run ends."""
        with contextlib.suppress(OSError, ValueError):
            print("\n".join(printable(line) for line in typeable(text).split("\n")), file=self.stream, flush=True)

    def loading(self, rows: int) -> None:
        """Report how many rows of the list were read, at intervals."""
        now = time.monotonic()
        if now - self._last >= LOADING_SECONDS:
            self._last = now
            self.say(f"read {rows:,} rows")
