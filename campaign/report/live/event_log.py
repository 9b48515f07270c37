"""`log.jsonl`: the event log of a run, one JSON line per transition, for machines and later analysis.

Transitions only (run started, pass begun, relay opened, breaker, limit changed, stopped, finished), never a line a
letter: verdicts are in the journal. Addresses lose their local part, and secrets are masked.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TextIO

from campaign.errors import StorageError
from campaign.report.live.redaction import Redactor
from campaign.system.own_files import open_own

NAME = "log.jsonl"


class Log:
    """An open log. Each line has ``at`` (ISO 8601 UTC), ``event``, ``trace_id`` and the event's own facts."""

    def __init__(
        self,
        stream: TextIO,
        trace_id: str,
        redactor: Redactor,
        clock: Callable[[], float],
        always: Mapping[str, str] | None = None,
    ) -> None:
        import structlog  # a fifth of a second; only a run needs it

        self._stream, self._clock, self._redactor = stream, clock, redactor
        self.lost = 0
        self._logger = structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=[self._stamp, self._redact, structlog.processors.JSONRenderer(ensure_ascii=False)],
            wrapper_class=structlog.BoundLogger,
            trace_id=trace_id,
        ).bind(**(always or {}))

    def event(self, name: str, **facts: object) -> None:
        """Append one line; the names ``at``, ``event`` and ``trace_id`` are reserved.

        A line that cannot be written is counted in `lost`; the log never ends a run.
        """
        try:
            self._logger.msg(name, **facts)
        except (OSError, ValueError):  # full disk; closed
            self.lost += 1

    def close(self) -> None:
        """Close the file; further events are lost."""
        try:
            self._stream.close()
        except OSError:
            self.lost += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def _stamp(self, _logger: Any, _method: str, facts: Mapping[str, object]) -> dict[str, object]:
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        ordered = {"at": at, "event": facts["event"], "trace_id": facts["trace_id"]}
        return {**ordered, **{name: value for name, value in facts.items() if name not in ordered}}

    def _redact(self, _logger: Any, _method: str, facts: Mapping[str, object]) -> dict[str, object]:
        return {name: self._clean(value) for name, value in facts.items()}

    def _clean(self, value: object) -> object:
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, Mapping):
            return {self._redactor.clean(str(name)): self._clean(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(inner) for inner in value]
        return self._redactor.clean(str(value))


def open_log(
    folder: Path,
    trace_id: str,
    *,
    secrets: Iterable[str | bytes] = (),
    show_addresses: bool = False,
    clock: Callable[[], float] = time.time,
    always: Mapping[str, str] | None = None,
) -> Log:
    """Open ``log.jsonl`` in ``folder`` (0600) to append; a resumed run continues the same file.

    ``secrets`` are the exact passwords, keys and tokens in use. ``clock`` gives POSIX seconds. ``always`` are
    facts of every line. Raises StorageError.
    """
    path = folder / NAME
    try:
        descriptor = open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.fchmod(descriptor, 0o600)
        _end_torn_line(descriptor)
    except OSError as error:
        raise StorageError(
            f"{NAME} cannot be written.",
            evidence=f"{path}: {error.strerror}",
            next_step=f"correct {folder} and run again",
        ) from error
    stream = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace", newline="\n")
    return Log(stream, trace_id, Redactor(secrets, addresses=show_addresses), clock, always)


def _end_torn_line(descriptor: int) -> None:
    """End an incomplete line, which a killed process may have left, so that the next one starts on its own line."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")
