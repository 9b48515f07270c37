"""Starts `spreadsheet_child`, reads the rows of a sheet from it, and turns its failures into errors."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from campaign.audience.plan.plan_codec import decode_value
from campaign.audience.sources.spreadsheets.spreadsheet_child import MEMORY, SECONDS
from campaign.audience.sources.spreadsheets.spreadsheet_far_cells import far_cells
from campaign.errors import CampaignError, ConfigError, InputError, InternalError, install_extra
from campaign.model import Value

#: The row's number in the sheet, its values, and the reason if they cannot be used.
Row = tuple[int, list[Value], str]


class Sheet:
    """An open sheet: its name, and its rows that are not blank, which can be read once."""

    def __init__(self, path: Path, wanted: str, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._path, self._wanted, self._process, self._errors = path, wanted, process, errors
        self.name = str(self._next("sheet"))

    def rows(self) -> Iterator[Row]:
        """The rows. Raises InputError if the sheet cannot be read to its end."""
        while rows := self._next("rows"):
            yield from rows

    def _next(self, kind: str) -> Any:
        """The content of the next line, None at the end."""
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line.endswith(b"\n"):
            raise self._broken_off()
        found = msgspec.json.decode(line)
        if "fault" in found:
            raise self._refusal(**found)
        content = found.get(kind)
        if b'"$date"' in line and content:
            return [(number, [decode_value(cell) for cell in cells], bad) for number, cells, bad in content]
        return content

    def _refusal(self, fault: str, text: str = "", names: tuple[str, ...] = ()) -> CampaignError:
        if fault == "library":
            return ConfigError("Excel files need a library.", next_step=install_extra("excel"))
        if fault == "sheet":
            return ConfigError(
                f"{self._path} has no sheet {self._wanted!r}.",
                evidence=f"its sheets: {', '.join(names)}",
                next_step="correct sheet under [audience], or leave it out for the first",
            )
        too_large = fault == "memory" or "Cell limit exceeded" in text  # the library's own limit for .ods
        return self._too_large() if too_large else self._unreadable(text)

    def _broken_off(self) -> CampaignError:
        """The error for a child process that ended early: its limits, the machine's memory, or a fault."""
        ended = self._process.wait()
        if ended in (-signal.SIGABRT, -signal.SIGKILL, -signal.SIGXCPU):
            return self._too_large()
        if ended < 0:
            return self._unreadable(f"its reader crashed (signal {-ended})")
        self._errors.seek(0)
        evidence = self._errors.read()[-500:].decode(errors="replace").strip().splitlines()[-3:]
        return InternalError(f"The process that reads {self._path.name} failed.", evidence=evidence)

    def _unreadable(self, evidence: str) -> InputError:
        return InputError(
            f"{self._path} cannot be read as a workbook.",
            evidence=evidence,
            next_step="open it in a spreadsheet program and save it again, or save it as CSV (UTF-8)",
        )

    def _too_large(self) -> InputError:
        far = far_cells(self._path, self._wanted)
        return InputError(
            f"{self._path} is too large to be read as a workbook.",
            evidence=[*far, f"reading it takes more than {MEMORY >> 30} GB of memory, or {SECONDS // 60} minutes"],
            next_step="open it, delete the rows and columns beyond the list, and save it; or save it as CSV (UTF-8)",
        )


@contextlib.contextmanager
def opened_sheet(path: Path, wanted: str) -> Generator[Sheet]:
    """The sheet named ``wanted``; the first one if the name is empty."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "campaign.audience.sources.spreadsheets.spreadsheet_child",
        str(path),
        wanted,
        str(MEMORY),
    ]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603  our own module; the path is an argument, not a command
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=paths,
            start_new_session=True,  # Ctrl-C reaches only this process, which then kills the child
        ) as process,
    ):
        try:
            yield Sheet(path, wanted, process, errors)
        finally:
            process.kill()
