"""The control file, a small file in the run folder by which an operator steers a running campaign.

``control.json`` holds the requested state, rate and connections. It is written atomically (temporary file, rename),
survives a restart, and is trusted only if the run's owner owns it and no other user can write to it. This module reads
and writes requests; the pipeline and the dispatcher carry them out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from campaign.config.units import Rate, rates
from campaign.errors import ConfigError, StorageError
from campaign.system.atomic_file import write_atomically
from campaign.system.disk_advice import look_at_folder

State = Literal["run", "pause", "stop", "cancel"]

NAME = "control.json"
#: Seconds between two looks at the file, at least.
EVERY = 0.25
#: What the run records in the file when it holds itself, so that it recognises an operator's release.
CANARY, HELD = "canary", "held"
#: The state that an operator requested last, as opposed to what the canary made of it.
ASKED = "asked"
#: Largest control file accepted, in octets; a larger one is not ours.
LARGEST = 64 * 1024
MOST_CONNECTIONS = 1000
AGAIN = "say it anew, such as: campaign set RUN rate=20/s connections=5"


class Control:
    """The reader's side. ``state``, ``rate`` and ``connections`` are the requests; ``None``: as in the campaign file.

    ``released``: the run held itself because of its canary, and an operator released it. ``warning`` is a sentence when
    the file cannot be trusted; the last valid requests stay in force.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._looked = float("-inf")
        self._seen: tuple[int, ...] | None = None
        self.state: State = "run"
        self.rate: tuple[Rate, ...] | None = None
        self.connections: int | None = None
        self.released = False
        self.warning = ""

    def poll(self, now: float) -> bool:
        """Read the file unless it was read just before ``now`` (seconds); True when a request has changed."""
        if 0 <= now - self._looked < EVERY:
            return False
        self._looked = now
        try:
            found = self._path.lstat()
        except OSError:
            return False
        seen = (found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode, found.st_uid)
        if seen == self._seen:
            return False
        self._seen = seen
        return self._take_up()

    def _take_up(self) -> bool:
        try:
            content = _read(self._path)
            state, rate, connections = _wishes(content)
        except (StorageError, ConfigError) as error:
            self.warning = error.what
            return False
        self.released = state == "run" and content.get(CANARY) == HELD
        before = (self.state, self.rate, self.connections)
        self.state, self.rate, self.connections, self.warning = state, rate, connections, ""
        return before != (state, rate, connections)


def write_control(
    folder: Path,
    *,
    state: State | None = None,
    rate: str | Sequence[str | Rate] | Rate | None = None,
    connections: int | None = None,
) -> None:
    """Change the requests for the run in ``folder``, within a second; ``None`` keeps the present value.

    Raises StorageError when there is no such folder, the file is not ours, or it cannot be written; ConfigError when a
    value is invalid.
    """
    changes: dict[str, Any] = {"state": state, ASKED: state, "connections": connections}
    changes["rate"] = None if rate is None else [str(one) for one in _rates(rate)]
    with _alone(folder):
        wanted = _wanted(folder)
        wanted.update({key: value for key, value in changes.items() if value is not None})
        _wishes(wanted)
        _write(folder / NAME, json.dumps(wanted).encode() + b"\n")


def hold_for_canary(folder: Path, state: State) -> State:
    """Request ``state`` on behalf of the canary, and return the state in force.

    An operator's stop or cancel wins, and a pause over the canary's release.
    """
    with _alone(folder):
        wanted = _wanted(folder)
        found: State = _wishes(wanted)[0]
        if found in ("stop", "cancel") or (state == "run" and wanted.get(ASKED) == "pause"):
            return found
        _write(folder / NAME, json.dumps({**wanted, "state": state, CANARY: HELD}).encode() + b"\n")
        return state


def withdraw_canary_hold(folder: Path) -> State:
    """Take back the canary's own pause, as its letters have to go out again, and return the state in force."""
    with _alone(folder):
        wanted = _wanted(folder)
        if wanted.get("state") == "pause" and wanted.get(CANARY) == HELD and wanted.get(ASKED) != "pause":
            del wanted[CANARY]
            wanted["state"] = "run"
            _write(folder / NAME, json.dumps(wanted).encode() + b"\n")
        return _wishes(wanted)[0]


def _wanted(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    return _read(path) if os.path.lexists(path) else {}


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Serialise concurrent writers. The lock is on the folder itself."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(
            f"There is no run in {folder}.", evidence=str(error), next_step="`campaign status` lists the runs"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> dict[str, Any]:
    """The file's content, if it is a regular file that only we can write. Raises StorageError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _believe(path, os.fstat(handle))
            raw = os.read(handle, LARGEST)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.", next_step=f"remove {path}") from None
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        content = f"it is not JSON: {error}"
    if not isinstance(content, dict):
        raise StorageError(
            f"{path} is not what `campaign set` writes.", evidence=str(content)[:200], next_step=f"remove {path}"
        )
    return content


def _believe(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        why = "is not a plain file"
    elif found.st_uid != os.geteuid():
        why = f"belongs to user {found.st_uid}, not to {os.geteuid()}"
    elif found.st_mode & 0o022:
        why = "can be written by others"
    else:
        return
    raise StorageError(f"{path} {why}; it is not obeyed.", next_step=f"remove {path} and give the command again")


def _wishes(content: dict[str, Any]) -> tuple[State, tuple[Rate, ...] | None, int | None]:
    state, connections = content.get("state", "run"), content.get("connections")
    if state not in get_args(State):
        raise ConfigError(
            f"{state!r} is no state of a run.", evidence=f"known: {', '.join(get_args(State))}", next_step=AGAIN
        )
    if connections is not None and (
        not isinstance(connections, int) or isinstance(connections, bool) or not 1 <= connections <= MOST_CONNECTIONS
    ):
        raise ConfigError(
            f"connections = {connections!r} is not a number from 1 to {MOST_CONNECTIONS}.", next_step=AGAIN
        )
    rate = content.get("rate")
    return state, None if rate is None else _rates(rate), connections


def _rates(value: object) -> tuple[Rate, ...]:
    try:
        return rates(value)
    except ValueError as error:
        raise ConfigError(str(error), next_step=AGAIN) from None


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.", next_step=look_at_folder(path.parent)
        ) from None
