"""Commands as they work where they are printed: `campaign` is not always on the PATH.

After ``make demo`` it is ``.venv/bin/campaign``, in a container perhaps ``python -m campaign``. Every message says
``campaign …``; whoever prints to a terminal has it put into the words that were typed to come here.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

NAME = "campaign"
_VERBS = "check|preview|test|send|retry|status|set|pause|resume|stop|cancel|resolve|repair|report|unsubscribe-token"
_COMMAND = re.compile(rf"(?<![\w./-]){NAME}(?= (?:{_VERBS})\b)")


def typeable(text: str) -> str:
    """``text`` with each ``campaign VERB`` spelled so that it runs from the folder where one is."""
    return _COMMAND.sub(lambda _: program(), text) if NAME in text else text


@cache
def program() -> str:
    """How this program is called from here: ``campaign`` where a shell finds it by that name."""
    return spelled(Path(sys.argv[0]), Path(sys.executable), shutil.which(NAME), Path.cwd())


def spelled(script: Path, python: Path, found: str | None, here: Path) -> str:
    """By the name alone, by its path, or by the interpreter's, whatever was used."""
    if script.name == "__main__.py":
        return f"{_from(python, here)} -m {NAME}"
    if script.name != NAME or script == Path(NAME):
        return NAME
    if found and Path(found).resolve() == (here / script).resolve():
        return NAME
    return _from(here / script, here)


def _from(path: Path, here: Path) -> str:
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
