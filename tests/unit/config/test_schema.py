"""Editors judge a campaign file by its JSON Schema as `load` judges it."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft4Validator

from campaign.cli.main import cli
from campaign.config import SCHEMA, load
from campaign.errors import ConfigError

ROOT = Path(__file__).parents[3]
LEAST = {
    "campaign": {"name": "gazette", "from": "news@example.com"},
    "audience": {"source": "people.csv"},
    "compose": {"subject": "News", "text": "letter.txt"},
}
FILES = sorted(
    {*ROOT.glob("sample_data/*.toml"), *ROOT.glob("templates/**/*.toml"), *ROOT.glob("tests/fixtures/**/*.toml")}
)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def mistakes(schema: dict[str, Any], written: dict[str, Any]) -> list[str]:
    """The paths that the schema refuses. Times are text, as in every language without a type for them."""
    plain = json.loads(json.dumps(written, default=iso))
    return sorted(".".join(map(str, error.absolute_path)) for error in Draft4Validator(schema).iter_errors(plain))


def iso(value: object) -> str:
    assert isinstance(value, date | datetime)
    return value.isoformat()


def completed(text: str) -> dict[str, Any]:
    """A part of a campaign file with the sections that it lacks."""
    written = tomllib.loads(text)
    return {**written, **{name: {**keys, **written.get(name, {})} for name, keys in LEAST.items()}}


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_schema", ROOT / "docs" / "make_schema.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_schema_is_what_its_script_makes_of_the_settings() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == maker().campaign_schema(), "run: python docs/make_schema.py"


def test_the_schema_is_one_of_draft_4_in_which_nothing_stands_beside_a_reference(schema: dict[str, Any]) -> None:
    Draft4Validator.check_schema(schema)
    later = {"$ref", "$defs", "const", "prefixItems", "if", "contains", "propertyNames", "examples"}
    assert not later & set(keywords(schema))


def keywords(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (key for key in node if key != "properties")
        inner = [*node.get("properties", {}).values(), *(value for key, value in node.items() if key != "properties")]
        for one in inner:
            yield from keywords(one)
    elif isinstance(node, list):
        for one in node:
            yield from keywords(one)


def test_every_key_has_a_description(schema: dict[str, Any]) -> None:
    assert [name for name, key in keys(schema, "") if not key.get("description")] == []
    assert dict(keys(schema, ""))["delivery.timeouts.dot"]["default"] == "10m"
    assert dict(keys(schema, ""))["campaign.from"]["description"].startswith("the From header")


def keys(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, inner in node.get("properties", {}).items():
        yield f"{path}{name}", inner
        yield from keys(inner, f"{path}{name}.")


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_campaign_file_of_ours_is_as_the_schema_says(schema: dict[str, Any], file: Path) -> None:
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    if "campaign" in written:
        assert mistakes(schema, written) == []


def recipes() -> Iterator[tuple[str, str]]:
    """Every campaign file, or part of one, that a page shows."""
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")]):
        for found in re.finditer(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            if "[listen" not in found[1]:  # a listen file, which has no schema
                yield page.name, found[1]


@pytest.mark.parametrize(("page", "shown"), list(recipes()))
def test_every_campaign_file_that_a_page_shows_is_as_the_schema_says(
    schema: dict[str, Any], page: str, shown: str
) -> None:
    assert mistakes(schema, completed(shown)) == [], page


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[delivery]\nconections = 5", "delivery"),
        ("[delivery]\nprocesses = 'some'", "delivery.processes"),
        ("[delivery]\nconnections = 0", "delivery.connections"),
        ("[delivery]\nconnections = 'many'", "delivery.connections"),
        ("[delivery]\nconnections = 2.5", "delivery.connections"),
        ("[delivery]\nrelay = 5", "delivery.relay"),
        ("[delivery]\nrelay = [{ url = 'gmail' }]", "delivery.relay"),
        ("[delivery]\nrelay = [{ url = 'gmail', weight = -1 }]", "delivery.relay"),
        ("[delivery]\nrate = 'fast'", "delivery.rate"),
        ("[delivery]\nrate = ['50/s', '0/s']", "delivery.rate"),
        ("[delivery]\nrate = '5/0s'", "delivery.rate"),
        ("[delivery]\ndomain_rate = { 'gmail.com' = 'x' }", "delivery.domain_rate.gmail.com"),
        ("[delivery]\nramp = '10/s..200/s'", "delivery.ramp"),
        ("[delivery]\ngive_up_after = 'soon'", "delivery.give_up_after"),
        ("[delivery]\ngive_up_after = -1", "delivery.give_up_after"),
        ("[delivery]\nconnection_age = '0s'", "delivery.connection_age"),
        ("[delivery]\nconnection_age = 0", "delivery.connection_age"),
        ("[delivery]\ntimeouts = { dott = 3 }", "delivery.timeouts"),
        ("[delivery]\ntls_fingerprint = 'abc'", "delivery.tls_fingerprint"),
        ("[delivery]\ndsn = ['failed']", "delivery.dsn"),
        ("[delivery]\noauth = { provider = 'yahoo', file = 'f' }", "delivery.oauth.provider"),
        ("[ledger]\nmust_exist = 3", "ledger.must_exist"),
        ("[ledger]\nin_doubt = 'perhaps'", "ledger.in_doubt"),
        ("[report]\nmetrics_file = []", "report.metrics_file"),
        ("[report]\npush_url = 'ftp://x'", "report.push_url"),
        ("[ledgre]\na = 1", ""),
        ("[campaign]\nname = '../up'", "campaign.name"),
        ("[campaign]\nfrom = 'News'", "campaign.from"),
        ("[campaign]\nfrom = '{{ desk }}@{{ domain }}'", "campaign.from"),
        ("[campaign]\nsender = 'news@example.com'", "campaign"),
        ("[campaign]\nnot_after = 2026-11-24T20:00:00", "campaign.not_after"),
        ("[campaign]\nreply_to = 'desk'", "campaign.reply_to"),
        ("[campaign]\nreturn_path = 'Bounces <bounces@example.com>'", "campaign.return_path"),
        ("[audience]\nmax_invalid = 2", "audience.max_invalid"),
        ("[audience]\nmax_invalid = 'many'", "audience.max_invalid"),
        ("[audience]\nheader = 'email'", "audience.header"),
        ("[audience]\ncolumns = { born = 'datum' }", "audience.columns.born"),
        ("[audience]\ndelimiter = '||'", "audience.delimiter"),
        ("[compose]\nimages = 'inline'", "compose.images"),
        ("[compose]\ndkim = { domain = 'example.com', selector = 's' }", "compose.dkim"),
        ("[[feedback.source]]\nurl = 'ftp://host'", "feedback.source.0.url"),
        ("[[feedback.source]]\ndelete = true", "feedback.source.0"),
    ],
)
def test_what_load_refuses_for_its_shape_the_schema_refuses_at_the_same_place(
    schema: dict[str, Any], tmp_path: Path, text: str, path: str
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text + rest(text), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert [one.replace('"', "").startswith(path) for one in caught.value.evidence] == [True]
    assert mistakes(schema, completed(text)) == [path]


def rest(text: str) -> str:
    """What ``text``, which has one section, lacks of the smallest campaign file: first what its own section lacks."""
    written = tomllib.loads(text)
    lines = ""
    for name, values in sorted(LEAST.items(), key=lambda one: one[0] not in written):
        lines += "" if name in written else f"\n[{name}]"
        lines += "".join(f"\n{key} = '{value}'" for key, value in values.items() if key not in written.get(name, {}))
    return lines + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "[delivery]\nrelay = 'gmail'\ndsn = 'never'\nprocesses = 'auto'\nrate = []",
        "[delivery]\nrelay = ['gmail', 'sendgrid']\nramp = ''\nretry_after = 0\nlimit_wait = ' 1h 30 min '",
        "[delivery]\nrelay = { url = 'gmail', weight = 1 }\nrate = '1.5 / 10s'\nramp = '1/s .. 2/min over 1d2h'",
        "[campaign]\nfrom = '{{ agent }} <{{ desk }}@example.com>'\nreply_to = '{{ desk }}'",
        "[campaign]\nnot_before = 2026-11-24 08:00:00.5Z\nreturn_path = 'bounce+{token}@example.com'",
        "[audience]\nmax_invalid = '2.5 %'\ncolumns = { a = 'number:de', b = 'date:%d.%m.%Y' }\nparameters = { n = 3 }",
        "[compose]\ndkim = [{ domain = 'example.com', selector = 's', key_file = 'k' }]",
        "[[feedback.source]]\nurl = '-'",
    ],
)
def test_every_form_that_load_takes_the_schema_takes_too(schema: dict[str, Any], tmp_path: Path, text: str) -> None:
    file = tmp_path / "right.toml"
    file.write_text(text + rest(text), encoding="utf-8")
    load(file, {})
    assert mistakes(schema, tomllib.loads(file.read_text(encoding="utf-8"))) == []


def test_the_command_prints_the_file_that_the_package_ships() -> None:
    result = CliRunner().invoke(cli, ["schema"], standalone_mode=False)
    assert result.return_value == 0
    assert result.stdout == SCHEMA.read_text(encoding="utf-8")
