"""Printed commands, adapted to the place where they are printed: `campaign` is not always on the PATH.

After ``make demo`` it is ``.venv/bin/campaign``, in a container perhaps ``python -m campaign``. Every message says
``campaign …``; the console replaces it with the words that this process was started by. Likewise ``pip install
'.[extra]'`` becomes this interpreter's pip and the folder or wheel that this copy was installed from.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from campaign.errors import install_extra

NAME = "campaign"
_VERBS = (
    "init|check|preview|test|send|retry|status|set|pause|resume|stop|cancel|collect|suppression|resolve|repair|report|stats|"
    "forget|unsubscribe-token|schema|explain|listen|move"
)
_COMMAND = re.compile(rf"(?<![\w./-])(?<!-m ){NAME}(?= (?:{_VERBS})\b)")
_INSTALL = re.compile(re.escape(install_extra("*")).replace(r"\*", r"([a-z-]+)"))


def typeable(text: str) -> str:
    """``text`` with each ``campaign VERB`` and ``pip install`` spelled so that it runs from the current folder."""
    text = _INSTALL.sub(lambda found: installation(found[1]), text)
    return _COMMAND.sub(lambda _: program(), text) if NAME in text else text


def command_text(verb: str, file: str, relay: str = "", more: Sequence[str] = ()) -> str:
    """``campaign send 'my list.toml' --relay smtp://127.0.0.1:25``; without --relay if none was given."""
    return shlex.join([NAME, verb, file, *(["--relay", relay] if relay else []), *more])


@cache
def program() -> str:
    """The command that runs this program from here: ``campaign`` if a shell finds it by that name."""
    return spelled(Path(sys.argv[0]), Path(sys.executable), shutil.which(NAME), Path.cwd())


def spelled(script: Path, python: Path, found: str | None, here: Path) -> str:
    """The bare name, its path, or the interpreter's, as it was started."""
    if script.name == "__main__.py":
        return f"{_from(python, here)} -m {NAME}"
    if script.name != NAME or script == Path(NAME):
        return NAME
    if found and Path(found).resolve() == (here / script).resolve():
        return NAME
    return _from(here / script, here)


def installation(extra: str) -> str:
    """The command that installs the libraries of ``extra`` into this installation."""
    from importlib.metadata import PackageNotFoundError, distribution  # only for a missing library: it is slow

    try:
        origin = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        origin = None
    return installed(extra, json.loads(origin or "{}"), Path(sys.executable), shutil.which("pip"), Path.cwd())


def installed(extra: str, origin: dict[str, Any], python: Path, found: str | None, here: Path) -> str:
    """The command; ``origin`` is pip's record of the source (PEP 610), which may be gone or on another machine."""
    pip = "pip" if found and Path(found).parent == python.parent else f"{_from(python, here)} -m pip"
    url = urlsplit(origin.get("url", ""))
    source = Path(unquote(url.path))
    if url.scheme != "file" or not source.exists():
        return f"{pip} install '.[{extra}]'  # in the folder that campaign was installed from"
    editable = "--editable " if origin.get("dir_info", {}).get("editable") else ""
    below = source.relative_to(here) if source.is_relative_to(here) else source
    name = str(below) if below.is_absolute() or below == Path() else f"./{below}"
    return f"{pip} install {editable}{shlex.quote(f'{name}[{extra}]')}"


def _from(path: Path, here: Path) -> str:
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
