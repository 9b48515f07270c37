"""The console of `--json` while a run works: every message and every figure is one JSON object on a line of stdout.

Each line has ``at`` (ISO 8601 UTC) and ``event``. Secrets are masked, and addresses lose their local part unless
``report.show_addresses`` is set, as in `log.jsonl`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from campaign.report.formatting import without_addresses
from campaign.report.live.console import Code, Console
from campaign.report.live.redaction import Redactor
from campaign.report.printed_commands import typeable


def stamp(at: float | None = None) -> str:
    """POSIX seconds, or now -> ``"2026-11-24T08:00:00.000Z"``."""
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_facts(what: str, evidence: Sequence[str], next_step: str, exit_code: int) -> dict[str, Any]:
    """The object ``error``: the three parts of an error, without local parts of addresses, and the exit code."""
    return {
        "what": without_addresses(typeable(what)),
        "evidence": [without_addresses(typeable(line)) for line in evidence],
        "next_step": typeable(next_step) or None,
        "exit_code": int(exit_code),
    }


class EventConsole(Console):
    """Prints events to ``stream``; `leave` prints the last line. A reader that has gone does not end the run."""

    stream: TextIO = msgspec.field(default_factory=lambda: sys.stdout)
    redactor: Redactor = msgspec.field(default_factory=lambda: Redactor(()))
    clock: Callable[[], float] = time.time
    _ended: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def is_terminal(self) -> bool:
        """Never: lines are not painted over."""
        return False

    @property
    def events(self) -> Callable[..., None] | None:
        """Where the progress of a run goes."""
        return self.event

    def event(self, name: str, **facts: object) -> None:
        """Print one line; with ``quiet`` no progress."""
        if self.quiet and name == "progress":
            return
        line = json.dumps({"at": stamp(self.clock()), "event": name, **self._clean(facts)}, ensure_ascii=True)
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(line + "\n")
            self.stream.flush()

    def tell(self, text: str) -> None:
        """A message is a line too."""
        self.event("notice", text=typeable(text))

    def planned(self, _text: str, facts: Mapping[str, object]) -> None:
        """Print which run this is, as figures."""
        self.event("planned", **facts)

    def ended(self, _text: str, facts: Mapping[str, object]) -> None:
        """Keep how a run ended for `leave`. If the command goes on with another run, print it."""
        if self._ended:
            self.event("run_end", **self._ended)
        self._ended = dict(facts)

    def leave(self, exit_code: Code) -> Code:
        """Print the last line: the exit code of the command, and how its last run ended."""
        nothing: dict[str, object] = {"exit_code": 0, "run": None, "verdicts": {}}
        self.event("end", **{**nothing, **self._ended, "exit_code": int(exit_code)})
        return exit_code

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redactor.clean(value)
        if isinstance(value, Mapping):
            return {name: self._clean(inner) for name, inner in value.items()}
        return [self._clean(inner) for inner in value] if isinstance(value, list | tuple) else value
