"""Writes what `campaign explain` tells of findings, verdicts, exit codes and messages, from the tables of the docs.

The pages are written by hand, and the package ships what they say. A test compares.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from campaign.explain.explanation import FILE, Explanation
from campaign.explain.message_match import Fit, fit

DOCS = Path(__file__).parent
CELLS = re.compile(r"(?<!\\)\|")
CODE = re.compile(r"(`[^`]*`)")
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
QUOTED = re.compile(r"(?:`(?P<one>[^`]+)`|``(?P<two>.+?)``)(?: \((?P<code>\d+)\))?")


def all_explanations() -> str:
    """The whole file."""
    told = [*findings(), *verdicts(), *exit_codes(), *messages()]
    facts = [{key: value for key, value in one.facts().items()} for one in told]
    return "[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in facts) + "\n]\n"


def findings() -> Iterator[Explanation]:
    """Each finding of ``campaign check``."""
    for heading, cells in rows("check.md", "finding"):
        name, severity, means, remedy = cells
        page = f"docs/check.md, {heading}"
        yield Explanation("finding", name.strip("`"), means, remedy, severity=severity, page=page)


def verdicts() -> Iterator[Explanation]:
    """Each verdict, and each reason for which a row is set aside."""
    for kind in ("verdict", "screened"):
        for _, (name, means) in rows("reference.md", kind):
            yield Explanation(kind, name.strip("`"), means, page="docs/contract.md, Verdicts")


def exit_codes() -> Iterator[Explanation]:
    """Each exit code; two that mean the same share a row of the contract."""
    for heading, (codes, means) in rows("contract.md", "code"):
        for code in codes.split(","):
            yield Explanation("exit code", code.strip(), means, page=f"docs/contract.md, {heading}".split(" (")[0])


def messages() -> list[Explanation]:
    """Each message with what it means if that is told, then what can be seen without a message."""
    told: list[Explanation] = []
    for heading, (quoted, codes, remedy) in rows("troubleshooting.md", "message"):
        numbers = tuple(int(code) for code in codes.split(",") if code.strip())
        page = f"docs/troubleshooting.md, {heading}"
        told.append(Explanation("message", unquoted(quoted), "", remedy, exit_codes=numbers, page=page))
    for heading, (seen, means, remedy) in rows("troubleshooting.md", "you see"):
        add_symptom(told, seen, Explanation("symptom", "", means, remedy, page=f"docs/troubleshooting.md, {heading}"))
    return told


def add_symptom(told: list[Explanation], seen: str, symptom: Explanation) -> None:
    """Add what ``seen`` means to its message, or, if it is none or several, by itself."""
    quoted = QUOTED.fullmatch(seen)
    if quoted is None:
        told.append(replace(symptom, name=seen.replace("`", "")))
        return
    name = unquoted(seen)
    fits = [(found, number) for number, one in enumerate(told) if (found := fit(name, one.name)) and sound(found, name)]
    best = [number for found, number in fits if found == max(fits)[0]]
    if len(best) == 1 and not told[best[0]].means:
        told[best[0]] = replace(told[best[0]], means=symptom.means)
    else:
        codes = (int(quoted["code"]),) if quoted["code"] else ()
        told.append(replace(symptom, kind="message", name=name, exit_codes=codes))


def sound(found: Fit, name: str) -> bool:
    """Whether a fit is no accident: the message itself, or a beginning without variable parts."""
    return found.whole or found.own == len(name.rstrip("."))


def unquoted(cell: str) -> str:
    """A message between backticks, one or two."""
    found = QUOTED.fullmatch(cell)
    assert found is not None, cell
    return found["one"] or found["two"]


def rows(page: str, first: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of all tables whose first column is headed ``first``, each with the heading above it."""
    heading, inside = "", False
    for line in (DOCS / page).read_text(encoding="utf-8").split("\n"):
        if line.startswith("#"):
            heading = line.lstrip("# ").replace("`", "")
        cells = [cell.strip() for cell in CELLS.split(line)[1:-1]] if line.startswith("|") else []
        if inside and cells and not cells[0].startswith("---"):
            yield heading, [plain_text(cell, page) for cell in cells]
        inside = bool(cells) and (inside or cells[0] == first)


def plain_text(cell: str, page: str) -> str:
    """A cell without Markdown: links name their page, emphasis is gone; code keeps its backticks."""
    text = LINK.sub(lambda found: linked(found[1], found[2], page), cell)
    parts = CODE.split(text)
    parts[::2] = [re.sub(r"\*+([^*]+)\*+", r"\1", part) for part in parts[::2]]
    return "".join(parts).replace("\\|", "|")


def linked(text: str, target: str, page: str) -> str:
    """``guide, 4 (docs/guide.md)``; a link within the page is its text."""
    path = target.partition("#")[0]
    if "://" in target:
        return f"{text} ({target})"
    if not path:
        return text
    there = path.removeprefix("../") if path.startswith("../") else f"docs/{path}"
    return f"{text} ({there})"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(FILE.read_text(encoding="utf-8") != all_explanations())
    FILE.write_text(all_explanations(), encoding="utf-8")
