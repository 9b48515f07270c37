"""Every message that ends a run is in docs/troubleshooting.md as it is worded, and nothing else is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import campaign
from campaign.errors import CampaignError
from campaign.exit_codes import ExitCode, of_error

PACKAGE = Path(campaign.__file__).parent
DOCS = PACKAGE.parent / "docs"
STAGES = ("audience", "compose", "delivery", "ledger", "report")
ROW = re.compile(r"^\| (`+)(?P<message>.+?)\1 \| (?P<codes>[\d, ]*) \| (?P<remedy>(?:[^|]|\\\|)+) \|$", re.MULTILINE)
#: Raised with a text of another's, or made of parts that say nothing by themselves.
NOT_OURS = {"…", "… …: …."}
#: Of which class these are is known only when they are raised; a connection that is not opened ends no run by itself.
UNDECIDED = {"ConnectFailed", "kind"}


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def kinds() -> dict[str, str]:
    """Every class of errors that reaches the operator, with the class of `campaign.errors` that decides its code."""
    known = {one.__name__: one.__name__ for one in CampaignError.__subclasses__()}
    bases = [
        (node.name, base.id)
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    ]
    for name, base in bases * 2:
        if base in known:
            known.setdefault(name, known[base])
    del known["InternalError"]  # a fault of ours has no remedy but a report
    return known


def worded(node: ast.expr) -> Iterator[str]:
    """A message as the code writes it, with … for whatever is put in; each of the two where it is one or the other."""
    if isinstance(node, ast.IfExp):
        yield from worded(node.body)
        yield from worded(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
        yield re.sub("…+", "…", "".join(map(str, parts)))
    elif isinstance(node, ast.Constant):
        yield str(node.value)
    else:
        yield "…"


@cache
def messages() -> dict[str, set[int]]:
    """Every first sentence with its exit codes; those about a connection have none of their own."""
    found: dict[str, set[int]] = {}
    for tree in trees().values():
        for node in ast.walk(tree):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if not isinstance(node, ast.Call) or not (name in kinds() or name in UNDECIDED):
                continue
            place = 1 if name == "ConnectFailed" else 0
            for message in worded(node.args[place]) if len(node.args) > place else ():
                found.setdefault(message, set()).update({code_of(kinds()[name])} if name in kinds() else set())
    return {message: codes for message, codes in found.items() if message not in NOT_OURS}


def code_of(kind: str) -> int:
    return int(of_error(next(one for one in CampaignError.__subclasses__() if one.__name__ == kind)("")))


@cache
def page() -> str:
    return (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


def told() -> dict[str, set[int]]:
    """The rows of the page's tables of messages."""
    after = page().partition("## By message")[2]
    return {
        row["message"]: {int(code) for code in row["codes"].split(",") if code.strip()} for row in ROW.finditer(after)
    }


def test_every_message_of_the_code_is_in_troubleshooting() -> None:
    missing = sorted(messages().keys() - told().keys())
    assert not missing, "docs/troubleshooting.md, By message, lacks:\n" + "\n".join(missing)


def test_troubleshooting_has_no_message_that_nobody_says() -> None:
    assert not sorted(told().keys() - messages().keys())


def test_each_message_stands_there_once_with_its_exit_code() -> None:
    rows = [row["message"] for row in ROW.finditer(page().partition("## By message")[2])]
    assert len(rows) == len(set(rows))
    undecided = {"The database … did not answer the query."}
    wrong = {message for message, codes in told().items() if codes != messages()[message]} - undecided
    assert not wrong


def test_every_error_ends_in_the_next_thing_to_type() -> None:
    silent = []
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds():
                keywords = {one.arg for one in node.keywords}
                if "next_step" not in keywords and not any(isinstance(one, ast.Starred) for one in node.args):
                    silent.append(f"{path.name}:{node.lineno}")
    assert not silent


def test_every_line_of_those_tables_is_read() -> None:
    lines = [line for line in page().partition("## By message")[2].split("\n") if line.startswith("| `")]
    assert len(lines) == len(told())


@pytest.mark.parametrize("stage", STAGES)
def test_each_message_a_stage_page_shows_is_said_by_the_code(stage: str) -> None:
    text = (DOCS / f"{stage}.md").read_text(encoding="utf-8").partition("## What can go wrong")[2]
    patterns = [re.compile(".*".join(map(re.escape, message.split("…")))) for message in messages()]
    shown = re.findall(r"```text\n([^$\n][^\n]*)\n", text)
    assert len(shown) >= 2
    for first in shown:
        assert any(pattern.fullmatch(first) for pattern in patterns), first


def test_exit_codes_named_there_exist() -> None:
    assert set().union(*told().values()) <= {int(code) for code in ExitCode}
