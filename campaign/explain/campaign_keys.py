"""The sections and keys of the campaign file, explained from its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from campaign.config import SCHEMA
from campaign.explain.explanation import Explanation

PAGE = "docs/reference.md"
PREFIX = "CAMPAIGN__"
MOST_VALUES = 12  #: that are listed, if a key allows only some
_WORDS = {"string": "text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}


@cache
def campaign_keys() -> Mapping[str, Explanation]:
    """Each section and key by its dotted path, in the order of the reference."""
    return {one.name: one for one in _inside(json.loads(SCHEMA.read_text(encoding="utf-8")), "")}


def _inside(node: Mapping[str, Any], path: str, *, one_table: bool = True) -> Iterator[Explanation]:
    """The keys of a table; the environment sets those of ``one_table``, and not of one among several."""
    for name, inner in node["properties"].items():
        variable = f"{PREFIX}{path}{name}".upper().replace(".", "__") if path and one_table else ""
        yield _explained(f"{path}{name}", inner, variable, required=name in node.get("required", ()))
        for table in _tables(inner):
            yield from _inside(table, f"{path}{name}.", one_table=one_table and table is inner)
            break  # of several forms the first that is a table has all the keys


def _tables(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The forms of a value that are tables with keys of their own."""
    if "properties" in node:
        yield node
    for one in (*node.get("anyOf", ()), *([node["items"]] if "items" in node else [])):
        yield from _tables(one)


def _explained(path: str, node: Mapping[str, Any], variable: str, *, required: bool) -> Explanation:
    default = "none: it is required" if required else _toml(node["default"]) if "default" in node else ""
    keys = tuple(name for table in _tables(node) for name in table["properties"])
    section = "." not in path
    return Explanation(
        "section" if section else "key",
        path,
        means=node["description"],
        form="" if section else value_form(node),
        default="" if section else default,
        variable=variable,
        keys=tuple(dict.fromkeys(keys)),
        page=PAGE,
    )


def _toml(value: Any) -> str:
    """A default as the campaign file writes it; JSON writes text, numbers and truth the same way."""
    return json.dumps(value, ensure_ascii=False)


def value_form(node: Mapping[str, Any]) -> str:
    """How a value is written: ``a whole number from 1 to 1000``."""
    if "x-form" in node:
        return str(node["x-form"])
    if "enum" in node:
        few = len(node["enum"]) <= MOST_VALUES
        return " or ".join(map(_toml, node["enum"])) if few else f"one of {len(node['enum'])} names"
    if "anyOf" in node:
        return ", or ".join(dict.fromkeys(value_form(one) for one in node["anyOf"]))
    if node.get("format") == "date-time":
        return "a time with its zone, such as 2026-11-24T08:00:00+01:00"
    if node["type"] == "array":
        return f"a list of which each item is {value_form(node['items'])}"
    if node["type"] == "object":
        return _table_form(node)
    return _WORDS[node["type"]] + _range(node)


def _table_form(node: Mapping[str, Any]) -> str:
    if "properties" in node:
        return f"a table with {', '.join(node['properties'])}"
    values = node.get("additionalProperties")
    return f"a table of which each value is {value_form(values)}" if isinstance(values, dict) else "a table"


def _range(node: Mapping[str, Any]) -> str:
    least = node.get("minimum")
    after = "above" if node.get("exclusiveMinimum") else "from"
    most = f" to {node['maximum']:g}" if "maximum" in node else ""
    return f" {after} {least:g}{most or (' up' if after == 'from' else '')}" if least is not None else ""
