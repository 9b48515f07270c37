"""Reads files that hold a secret; each must belong to this user or root, and no other user may be able to read it.

A file of this user has no permissions for group and others (0600, 0400). A file of root may be readable by its group
(0440, 0640), because service managers and clusters hand secrets to unprivileged processes that way. Links are
followed, because clusters mount secrets as links. The open file is checked, so it cannot be swapped between the check
and the read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from campaign.errors import ConfigError
from campaign.system.user_name import user_name

#: Octets of a secret, at most. A token is a few kilobytes; a far larger file is the wrong file.
LONGEST = 64 * 1024
ROOT = 0


def private_octets(path: Path) -> bytes:
    """The file's content, at most `LONGEST` octets. Raises ConfigError for its owner or mode, OSError otherwise."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)  # a pipe must not block
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        _refuse_shared(path, found, os.geteuid())
        return os.read(descriptor, LONGEST)
    finally:
        os.close(descriptor)


def read_private(path: Path, what: str = "secret") -> str:
    """The text of a file that no other user may read; errors say ``what`` it holds. Raises ConfigError."""
    again = f"put the {what} on the first line of {path}, then chmod 600 {path}"
    try:
        return private_octets(path).decode("utf-8")
    except OSError as error:
        raise ConfigError(
            f"The {what} file {path} cannot be read.",
            evidence=error.strerror or "",
            next_step=f"put the {what} there, then chmod 600 {path}; docs/relays.md says what it holds",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"The {what} file {path} is not UTF-8.", next_step=again) from None


def _refuse_shared(path: Path, found: os.stat_result, us: int) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (us, ROOT):
        raise ConfigError(
            f"The secret file {path} belongs to another user.",
            evidence=f"its owner, {user_name(found.st_uid)}, can read and change it",
            next_step=f"sudo chown {user_name(us)} {path}, or have the campaign run as {user_name(found.st_uid)}",
        )
    of_others = stat.S_IRWXG | stat.S_IRWXO
    if found.st_uid != us:  # root's
        of_others &= ~stat.S_IRGRP
    if mode & of_others:
        shared = found.st_uid != us
        raise ConfigError(
            f"The secret file {path} can be read by others.",
            evidence=f"its mode is {mode:04o}" + (", and it belongs to root" if shared else ""),
            next_step=f"sudo chmod 640 {path}, its group being one of yours" if shared else f"chmod 600 {path}",
        )
