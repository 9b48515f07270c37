"""Checks that output goes only into files and folders of this user or root, and through no symbolic link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from campaign.errors import StorageError
from campaign.system.user_name import user_name

ROOT = 0


def open_own(path: Path, flags: int, mode: int = 0o600) -> int:
    """`os.open` for writing that follows no link and refuses a file of another user (root excepted).

    Raises StorageError in these cases, and OSError as `os.open` does.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path) from None
        raise
    try:
        _refuse_owner(path, os.fstat(descriptor).st_uid)
    except StorageError:
        os.close(descriptor)
        raise
    return descriptor


def refuse_foreign(directory: Path, folder: Path) -> None:
    """Raise StorageError if ``folder``, or a folder between it and ``directory``, is a link or another user's.

    ``directory`` is the operator's choice, so it may be a link itself. A folder that cannot be inspected is left to
    the write that follows.
    """
    below = [part for part in (folder, *folder.parents) if directory in part.parents]
    for part in reversed(below):
        try:
            found = part.lstat()
        except OSError:
            return  # missing or unreachable: the write that follows reports it
        if stat.S_ISLNK(found.st_mode):
            raise _link(part)
        _refuse_owner(part, found.st_uid)


def _link(path: Path) -> StorageError:
    return StorageError(
        f"{path} is a link, and nothing that we write may be one.",
        evidence=f"it leads to {path.readlink()}",
        next_step="put the thing itself there, or name another place as [ledger] directory, which may be a link",
    )


def _refuse_owner(path: Path, owner: int) -> None:
    us = os.geteuid()
    if owner not in (us, ROOT):
        raise StorageError(
            f"{path} belongs to another user, so nothing is written there.",
            evidence=f"its owner is {user_name(owner)}; this is {user_name(us)}",
            next_step=f"run the command as {user_name(owner)}, or sudo chown -R {user_name(us)} {path}",
        )
