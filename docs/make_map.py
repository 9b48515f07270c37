"""Writes docs/map.md: every folder and file of the package, with the first sentence of its docstring. A test compares."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "campaign"
PAGE = Path(__file__).with_name("map.md")
_SENTENCE = re.compile(r"(.+?[.:])(?:\s|$)", re.DOTALL)


def package_map() -> str:
    """The whole page."""
    parts = ["# Map", "Every file of `campaign/` in one line, made from the docstrings by `docs/make_map.py`."]
    for folder in [PACKAGE, *sorted(path for path in PACKAGE.rglob("*") if (path / "__init__.py").exists())]:
        name = folder.relative_to(ROOT).as_posix()
        files = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        lines = ["| file | what it does |", "| --- | --- |", *(f"| `{path.name}` | {said(path)} |" for path in files)]
        parts += [f"## `{name}/`", said(folder / "__init__.py"), *(["\n".join(lines)] if files else [])]
    return "\n\n".join(parts) + "\n"


def said(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    found = _SENTENCE.match(text)
    sentence = found[1] if found and not found[1].endswith(":") else text
    return sentence.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(package_map(), encoding="utf-8")
