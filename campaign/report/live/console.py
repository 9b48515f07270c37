"""The console for messages: stderr, one sentence a line, safe for logs and terminals."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO, TypeVar

import msgspec

from campaign.report.formatting import printable
from campaign.report.live.terminal_width import fitted, width_of
from campaign.report.printed_commands import typeable

LOADING_SECONDS = 10.0
Code = TypeVar("Code", bound=int)


def path_text(path: Path) -> str:
    """A path as one would type it here: relative if it is below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def can_repaint(environment: Mapping[str, str]) -> bool:
    """Whether lines may be painted over: not for a log of CI, and not on a terminal that has no controls.

    ``TERM=dumb`` is also how a screen reader or an editor says so: there each line is printed once, in words.
    """
    in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
    return not in_ci and environment.get("TERM") != "dumb"


class Console(msgspec.Struct):
    """Messages for the operator; results go to stdout instead."""

    stream: TextIO = msgspec.field(default_factory=lambda: sys.stderr)
    quiet: bool = False
    _last: float = msgspec.field(default_factory=time.monotonic)

    @property
    def is_terminal(self) -> bool:
        """Whether the stream is a terminal on which a line can be painted over."""
        return self.stream.isatty() and can_repaint(os.environ)

    @property
    def events(self) -> Callable[..., None] | None:
        """Where a program gets the progress of a run; people get lines or a bar."""
        return None

    def say(self, text: str) -> None:
        """Print a message, unless quiet."""
        if not self.quiet:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Print a message, also when quiet. Errors of the stream are ignored: they must not change how a run ends."""
        with contextlib.suppress(OSError, ValueError):
            print("\n".join(printable(line) for line in typeable(text).split("\n")), file=self.stream, flush=True)

    def planned(self, text: str, _facts: Mapping[str, object]) -> None:
        """Say which run this is; a program gets the figures."""
        self.say(text)

    def ended(self, text: str, _facts: Mapping[str, object]) -> None:
        """Say how the run ended; a program gets the figures."""
        self.say(fitted(typeable(text), width_of(self.stream)))

    def leave(self, exit_code: Code) -> Code:
        """The command is over, with this exit code; a program gets a last line."""
        return exit_code

    def loading(self, rows: int) -> None:
        """Report how many rows of the list were read, at intervals."""
        now = time.monotonic()
        if now - self._last >= LOADING_SECONDS:
            self._last = now
            self.say(f"read {rows:,} rows")
