"""What mail clients add to a letter: every entry says who adds it, why it matters and where that was read."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

import pytest

TABLES = tomllib.loads((files("campaign.compose") / "data" / "client_hooks.toml").read_text("utf-8"))["hook"]
KEYS = {"name", "kind", "client", "source", "why"}
NAMES = {
    "element": r"[a-z][a-z0-9]*",
    "attribute": r"[a-z][a-z0-9-]*",
    "id": r"[A-Za-z][\w-]*",
    "class": r"[A-Za-z][\w-]*",
    "class-prefix": r"-?[A-Za-z][\w-]*",
}


@pytest.mark.parametrize("hook", TABLES, ids=[f"{hook['kind']} {hook['name']}" for hook in TABLES])
def test_an_entry_is_complete_and_its_name_is_one_that_css_can_hold(hook):
    assert set(hook) == KEYS
    assert all(hook[key].strip() == hook[key] != "" for key in KEYS)
    assert re.fullmatch(NAMES[hook["kind"]], hook["name"], re.ASCII)
    assert re.fullmatch(r"https://\S+", hook["source"])


def test_no_entry_stands_twice_or_begins_as_a_prefix_does():
    named = [(hook["kind"], hook["name"]) for hook in TABLES]
    assert len(set(named)) == len(named)
    prefixes = tuple(name for kind, name in named if kind == "class-prefix")
    assert not [name for kind, name in named if kind == "class" and name.startswith(prefixes)]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("element", "u"),
        ("id", "outlook"),
        ("id", "MessageViewBody"),
        ("class", "ExternalClass"),
        ("class", "moz-text-html"),
        ("attribute", "x-apple-data-detectors"),
        ("attribute", "data-ogsc"),
        ("class-prefix", "x_"),
    ],
)
def test_what_nearly_every_template_is_written_for_is_there(kind, name):
    assert (kind, name) in {(hook["kind"], hook["name"]) for hook in TABLES}
