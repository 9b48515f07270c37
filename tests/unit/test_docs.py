"""The docs cannot lie: what they name exists, what exists is named, what they show parses and loads."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from pydantic import BaseModel

from campaign.cli.main import COMMANDS, cli
from campaign.config import load
from campaign.config.listen.listen_webhook import ListenWebhookSection
from campaign.config.loading import CampaignFile
from campaign.exit_codes import PRECEDENCE, ExitCode
from campaign.model import Screened, Verdict

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "deploy/**/*.md", "sample_data/*.md", "torture/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
#: What a recipe in the docs leaves out.
BASE: dict[str, dict[str, Any]] = {
    "campaign": {"name": "gazette", "from": "news@example.com"},
    "audience": {"source": "people.csv"},
    "compose": {"subject": "News", "text": "letter.txt"},
}


@cache
def text(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def blocks(page: Path, *languages: str) -> list[tuple[int, str]]:
    """Line and content of the fenced blocks in one of these languages."""
    found, inside, language, start = [], False, "", 0
    lines: list[str] = []
    for number, line in enumerate(text(page).split("\n"), 1):
        if line.lstrip().startswith("```"):
            if inside and language in languages:
                found.append((start, "\n".join(lines)))
            inside, language, start, lines = not inside, line.strip().strip("`"), number, []
        elif inside:
            lines.append(line)
    return found


def inline_code(page: Path) -> Iterator[str]:
    """What stands between single backticks, outside of fenced blocks."""
    for paragraph in re.split(r"^```.*?^```", text(page), flags=re.MULTILINE | re.DOTALL):
        yield from re.findall(r"`([^`\n]+)`", paragraph)


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def options(command: click.Command) -> set[str]:
    return {
        flag for one in command.params if isinstance(one, click.Option) for flag in (*one.opts, *one.secondary_opts)
    }


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, str]]:
    """Every key of the campaign file with the section it stands in."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        nested = list(_models(field.annotation))
        if path:
            yield path, key
        for one in nested:
            yield from sections(one, f"{path}.{key}" if path else key)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in getattr(annotation, "__args__", ()):
        yield from _models(one)


# -- the reference


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_its_script_makes() -> None:
    made = script(ROOT / "docs" / "make_reference.py").reference()
    assert text("docs/reference.md") == made, "run: python docs/make_reference.py"


def test_the_map_is_what_its_script_makes() -> None:
    made = script(ROOT / "docs" / "make_map.py").package_map()
    assert text("docs/map.md") == made, "run: python docs/make_map.py"


@pytest.mark.parametrize(
    ("way", "most"),
    [
        ("The way of a recipient", 30),
        ("The way of a shard, from the pass", 15),
        ("The way of a shard between machines", 15),
        ("The way of a reply", 15),
    ],
)
def test_a_way_through_the_package_visits_files_that_exist_and_none_twice(way: str, most: int) -> None:
    section = text("docs/architecture.md").split(f"## {way}")[1].split("\n## ")[0]
    stations = re.findall(r"^\d+\. `([a-z_/]+\.py)`", section, re.MULTILINE)
    assert stations
    assert len(stations) <= most
    assert len(set(stations)) == len(stations)
    assert not [path for path in stations if not (ROOT / "campaign" / path).exists()]


def test_every_file_the_architecture_names_exists() -> None:
    named = re.findall(r"`([a-z_]+/[a-z_/]+\.(?:py|toml))`", text("docs/architecture.md"))
    assert not [one for one in named if not (ROOT / "campaign" / one).exists() and not (ROOT / one).exists()]


def test_every_module_named_in_words_exists() -> None:
    """Pages and docstrings say ``name.py`` in backticks."""
    folders = [ROOT / name for name in ("campaign", "tests", "docs", "benchmarks", "torture")]
    there = {path.name for folder in folders for path in folder.rglob("*.py")}
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "campaign").rglob("*.py")]
    named = {(page.name, one) for page in pages for one in re.findall(r"`([\w/]+\.py)`", page.read_text("utf-8"))}
    assert not {(page, one) for page, one in named if one.rpartition("/")[2] not in there}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_reference(name: str) -> None:
    own = text("docs/reference.md").partition(f"### `campaign {name}")[2].partition("\n### ")[0].partition("\n## ")[0]
    assert own
    missing = {flag for flag in options(commands()[name]) - {"--help", "-h"} if flag not in own}
    assert not missing


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_contract(name: str) -> None:
    spoken = f"`campaign {name}" in text("docs/contract.md") or f"`{name}`" in text("docs/contract.md")
    assert spoken or name == "unsubscribe-token"  # that one has a page of its own
    assert any(f"campaign {name}" in text(page) for page in PAGES if page.name != "reference.md")


def test_every_key_is_in_the_reference() -> None:
    missing = []
    for section, key in sorted(set(sections(CampaignFile))):
        own = text("docs/reference.md").partition(f"\n### `[{section}]`\n")[2].partition("\n##")[0]
        if f"| `{key}` |" not in own:
            missing.append(f"{section}.{key}")
    assert not missing


def test_every_key_of_the_summary_is_in_its_table_as_its_schema_says() -> None:
    schema = json.loads(text("campaign/report/summary.schema.json"))
    page = text("docs/observability.md")
    assert [
        name for name, key in schema["properties"].items() if f"| `{name}` | {key['description']} |" not in page
    ] == []


@pytest.mark.parametrize("page", ["docs/reference.md", "docs/contract.md"])
def test_every_verdict_and_exit_code_is_in_its_tables(page: str) -> None:
    rows = {cell.strip("` ") for line in text(page).split("\n") for cell in line.split("|")[1:2]}
    codes = {part.strip() for row in rows for part in row.split(",")}
    assert {str(int(code)) for code in ExitCode} <= codes
    assert {verdict.value for verdict in Verdict} <= rows
    assert all(f"`{screened}`" in text(page) for screened in Screened)


def test_the_contract_names_exit_codes_in_the_order_that_holds() -> None:
    order = re.search(r"where several apply: ([\d, ]+), in this order", text("docs/contract.md"))
    assert order is not None
    told = [int(code) for code in order[1].split(",")]
    assert told == [int(code) for code in PRECEDENCE if int(code) in told]


def test_the_readme_has_the_guarantee_in_its_exact_words() -> None:
    def quoted(page: str) -> str:
        after = text(page).partition("## The guarantee")[2]
        lines = [line for line in after.split("\n") if line.startswith("> ")]
        return " ".join(line[2:].strip() for line in lines[:4])

    assert quoted("README.md") == quoted("docs/contract.md")
    assert quoted("README.md").endswith("none is sent again unless the user says so.")


# -- what any page shows


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page.parent / path) if path else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page} links to {target}"


def anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


RECIPES = [(page, line, block) for page in PAGES for line, block in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "line", "block"), RECIPES, ids=[f"{page}:{line}" for page, line, _ in RECIPES])
def test_every_campaign_file_shown_loads(page: Path, line: int, block: str, tmp_path: Path) -> None:
    shown = tomllib.loads(block)
    if "listen" in shown:  # a listen file
        assert all(ListenWebhookSection.model_validate(one) for one in shown["listen"].get("webhook", ()))
        return
    assert set(shown) <= set(CampaignFile.model_fields), f"{page}:{line}"
    missing = {name: keys for name, keys in BASE.items() if name not in shown}
    for name, keys in BASE.items():
        if name in shown and not keys.keys() <= shown[name].keys():
            rest = {key: value for key, value in keys.items() if key not in shown[name]}
            block = re.sub(rf"(?m)^\[{name}\]$", f"[{name}]\n" + written(rest), block, count=1)
    file = tmp_path / "shown.toml"
    file.write_text(block + "".join(f"\n[{name}]\n{written(keys)}" for name, keys in missing.items()), encoding="utf-8")
    assert load(file, {}).campaign.name


def written(keys: dict[str, Any]) -> str:
    return "".join(f'{key} = "{value}"\n' for key, value in keys.items())


def spoken() -> Iterator[tuple[Path, str]]:
    """Every command line that a page shows, in a block or between backticks."""
    for page in PAGES:
        for _, block in blocks(page, "sh", "bash", "console", "text"):
            yield from ((page, line.strip().removeprefix("$ ")) for line in block.split("\n"))
        yield from ((page, code) for code in inline_code(page))


LINES = sorted({(page, line) for page, line in spoken() if re.match(r"(\.venv/bin/)?campaign [a-z]", line)})


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page}: {line}" for page, line in LINES])
def test_every_command_line_shown_can_be_typed(page: Path, line: str) -> None:
    words = shlex.split(re.sub(r"[\[\]…|]", " ", line), comments=True)
    name = words[1]
    assert name in COMMANDS, f"{page} shows {line!r}"
    flags = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
    assert flags <= options(commands()[name]), f"{page} shows {line!r}"


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), flags=re.MULTILINE))


MAKES = sorted({(page, name) for page, line in spoken() for name in re.findall(r"^make ([a-z-]+)", line)})


@pytest.mark.parametrize(("page", "name"), MAKES, ids=[f"{page}: {name}" for page, name in MAKES])
def test_every_make_target_mentioned_exists(page: Path, name: str) -> None:
    assert name in targets()


@pytest.mark.parametrize("name", ["demo", "test", "check", "preview", "send", "status", "report", "retry"])
def test_the_makefile_has_what_users_need(name: str) -> None:
    assert re.search(rf"^{name}:.* ## \S", text("Makefile"), flags=re.MULTILINE)


def test_no_page_names_a_file_that_is_not_there() -> None:
    """Paths of ours between backticks."""
    for page in PAGES:
        for code in inline_code(page):
            if re.fullmatch(r"(campaign|docs|tests|templates|deploy|torture|benchmarks)/[\w./-]+", code):
                where = (ROOT / code, ROOT / "campaign" / code)
                assert any(path.exists() for path in where), f"{page} names {code}"


def test_no_page_and_no_message_installs_this_program_by_its_name_from_an_index() -> None:
    """Whoever registers the name there would be installed instead: a folder or a wheel is named, by `install_extra`."""
    asked = re.compile(r"\bpipx? (?:install|run)\b[^\n]*?[\s'\"]campaign(?:\[|['\"\s=<>~`]|$)")
    shipped = ("Makefile", "constraints.txt", "campaign/**/*.py", "docs/*.py", "deploy/**/*", "benchmarks/*.py")
    files = {ROOT / page for page in PAGES} | {path for pattern in shipped for path in ROOT.glob(pattern)}
    assert ROOT / "campaign/errors.py" in files
    texts = {file: file.read_text(encoding="utf-8") for file in files if file.is_file() and file.suffix != ".pyc"}
    assert [str(file.relative_to(ROOT)) for file, text in texts.items() if asked.search(text)] == []
