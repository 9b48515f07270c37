"""A kill at a chosen operation on files: before it, in the middle of a write, or after it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

When = Literal["before", "torn", "after"]
WHENS: tuple[When, ...] = ("before", "torn", "after")


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@contextmanager
def kill(at: int, when: When) -> Iterator[list[str]]:
    """Within the block the ``at``-th operation on files kills; gives the operations that were begun."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            done.append(name)
            if len(done) != at + 1:
                return real(*args, **more)
            if when == "torn" and name == "write":
                real(args[0], args[1][: len(args[1]) // 2])
            elif when == "after":
                real(*args, **more)
            raise Killed

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((os, "write"), (os, "fdatasync"), (os, "ftruncate"), (Path, "unlink"), (Path, "rmdir")):
            patch.setattr(owner, name, counted(name, getattr(owner, name)))
        yield done
