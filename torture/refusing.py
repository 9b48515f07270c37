"""The k-th call of one kind on the run folder fails, or is the last thing this process does."""

from __future__ import annotations

import os

from torture.calls import Calls

#: Kinds of calls that a table row counts together.
KINDS = {
    "write": frozenset({"write", "truncate", "fallocate"}),
    "octets": frozenset({"write"}),
    "sync": frozenset({"sync"}),
    "rename": frozenset({"rename"}),
    "open": frozenset({"open"}),
    "any": frozenset({"write", "truncate", "fallocate", "sync", "rename", "open"}),
}


def install(
    under: str, kind: str, nth: int, how: str, stays: bool = False, told: str = "", path_ends: str = ""
) -> None:
    """``how`` is an errno's name, ``short``, ``die`` or ``tear``; ``stays``: all later calls of the kind fail as well,
    until the ballast is given back.

    The call that was hit is written to the file ``told``, which is how the caller knows that there was one.
    ``path_ends``: only calls on files of such a name count.
    """
    kinds, seen = KINDS[kind], [0]
    log = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if told else -1
    write = os.write

    def judge(call: str, path: str, _data: bytes) -> str:
        if call not in kinds or (how == "short" and call != "write") or not path.endswith(path_ends):
            return ""
        seen[0] += 1
        if seen[0] == nth and log >= 0:
            write(log, f"{call} {path}\n".encode())
        return how if seen[0] == nth or (stays and seen[0] > nth and not _given_back(under)) else ""

    Calls(under, judge).install()


def _given_back(under: str) -> bool:
    """Whether the module that was reserved beforehand is free again."""
    return not any(name == "ballast" for _, _, names in os.walk(under) for name in names)
