"""The package is as drawn: who imports whom, which library has which door, how large things are, what names mean."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "campaign"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

STAGES = {"audience", "compose", "delivery", "ledger", "report", "feedback"}
#: Folder or module at the top -> those it may import from, besides its own.
ARROWS = {
    **{stage: {"model", "errors", "config", "system"} for stage in STAGES},
    "model": set(),
    "errors": set(),
    "system": {"errors", "model"},
    "config": {"model", "errors", "system"},
    "exit_codes": {"errors"},
    "pipeline": {*STAGES, "model", "errors", "config", "exit_codes", "system"},
    "listen": {"feedback", "config", "system", "errors", "model"},
    "check": {*STAGES, "pipeline", "explain", "model", "errors", "config", "exit_codes", "system"},
    "cli": {
        "check",
        "pipeline",
        "system",
        "config",
        "errors",
        "exit_codes",
        "report",
        "ledger",
        "compose",
        "explain",
        "listen",
        "",
    },
    "explain": {"config"},
    "__main__": {"cli"},
    "": set(),
}
#: Library -> the modules or folders that may import it.
DOORS = {
    "aiosmtpd": {"campaign.delivery.embedded_mailbox"},
    "aiosmtplib": {"campaign.delivery.smtp.connection"},
    "babel": {"campaign.audience.columns.local_dates_and_numbers", "campaign.compose.template.filters"},
    "click": {"campaign.cli"},
    "cssselect": {"campaign.compose.html.css.css_selectors"},
    "dns": {"campaign.check.dns.resolver"},
    "cryptography": {
        "campaign.check.dns.sender_domain",
        "campaign.compose.mime.dkim_signature",
        "campaign.compose.tokens.unsubscribe_token",
        "campaign.delivery",
        "campaign.listen.signatures",
    },
    "email_validator": {"campaign.audience.screening.addresses"},
    "flufl": {"campaign.feedback.messages.bounce_text"},
    "h11": {"campaign.delivery.http.http_stream"},
    "google": {"campaign.delivery.credentials.google"},
    "imapclient": {
        "campaign.feedback.mailboxes.files.maildir_mailbox",
        "campaign.feedback.mailboxes.servers.imap_connection",
    },
    "inscriptis": {"campaign.compose.text.text_from_html"},
    "jinja2": {"campaign.compose"},
    "lxml": {"campaign.compose", "campaign.check.letters"},
    "markdown_it": {"campaign.compose.html.markdown_mjml"},
    "msal": {"campaign.delivery.credentials.microsoft"},
    "numpy": {"campaign.audience"},
    "opentelemetry": {"campaign.report.telemetry.tracing"},
    "pandas": {"campaign.audience", "campaign.pipeline.operate.edition_stats"},
    "premailer": {"campaign.compose.html.css.rule_matching"},
    "prometheus_client": {"campaign.report.telemetry.metrics"},
    "psycopg": {"campaign.system.postgres", "campaign.ledger.postgres"},
    "pybase64": {"campaign.compose.mime.transfer_encoding"},
    "pydantic": {"campaign.config"},
    "selectolax": {"campaign.compose.html.html_parser"},
    "sqlalchemy": {"campaign.audience.sources.database"},
    "starlette": {"campaign.listen"},
    "structlog": {"campaign.report.live.event_log"},
    "tqdm": {"campaign.report.live.progress"},
    "uvicorn": {"campaign.listen.serve"},
}
LONGEST_FILE, LONGEST_CLASS, LONGEST_FUNCTION = 400, 200, 50
MOST_ENTRIES = 12  #: of a folder; the package's own and `cli`, one file a command, may have more
#: Functions that two modules have because they implement one interface.
INTERFACES = {"source": {"campaign.delivery.credentials.google", "campaign.delivery.credentials.microsoft"}}
CATCH_ALLS = {"utils", "util", "helpers", "common", "misc"}


def top(module: str) -> str:
    return ([*module.split("."), ""])[1]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def definitions(*kinds: type[ast.AST]) -> Iterator[tuple[str, Any]]:
    """Modules and what is defined at their top."""
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, kinds):
                yield module, node


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    own = top(module)
    reached = {top(name) for name in imports(MODULES[module]) if name.split(".")[0] == "campaign"}
    assert reached <= ARROWS[own] | {own}, f"{module} reaches into {reached - ARROWS[own] - {own}}"


def test_no_circle_of_modules() -> None:
    edges = {name: {one for one in imports(path) if one in MODULES} for name, path in MODULES.items()}
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in finished:
            for one in edges[name] - {name}:
                visit(one, (*trail, name))
            finished.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize("module", MODULES)
def test_each_library_has_one_door(module: str) -> None:
    for name in imports(MODULES[module]):
        doors = DOORS.get(name.split(".")[0])
        if doors is not None:
            assert any(module == door or module.startswith(door + ".") for door in doors), f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_files_classes_and_functions_are_small(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, f"{module}.{node.name}"
        if isinstance(node, ast.ClassDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_CLASS, f"{module}.{node.name}"


def test_most_functions_are_short() -> None:
    sizes = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert sizes[len(sizes) // 2] <= 10
    assert sizes[len(sizes) * 9 // 10] <= 30


def test_no_module_is_a_catch_all() -> None:
    assert not {name for name in MODULES if name.rpartition(".")[2] in CATCH_ALLS}


def test_every_module_says_what_it_is_for() -> None:
    assert all(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES.values())


def test_a_folder_has_at_most_a_dozen_entries() -> None:
    folders = {path.parent for path in MODULES.values()} - {PACKAGE, PACKAGE / "cli"}
    uncounted = {"__init__.py", "__pycache__"}
    sizes = {folder: sum(one.name not in uncounted for one in folder.iterdir()) for folder in folders}
    assert not {str(folder): size for folder, size in sizes.items() if size > MOST_ENTRIES}


def test_no_file_name_stands_for_two_modules() -> None:
    stems = [path.stem for path in MODULES.values() if path.name != "__init__.py" and path.parent.name != "cli"]
    assert not [stem for stem, count in Counter(stems).items() if count > 1]


def test_no_class_name_stands_for_two_classes() -> None:
    names = [node.name for _, node in definitions(ast.ClassDef)]
    assert not [name for name, count in Counter(names).items() if count > 1]


def test_a_public_function_has_a_name_of_its_own() -> None:
    homes: dict[str, set[str]] = {}
    for module, node in definitions(ast.FunctionDef, ast.AsyncFunctionDef):
        if not node.name.startswith("_") and not module.startswith("campaign.cli"):
            homes.setdefault(node.name, set()).add(module)
    assert not {name: at for name, at in homes.items() if len(at) > 1 and INTERFACES.get(name) != at}
