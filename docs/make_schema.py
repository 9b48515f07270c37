"""Writes the JSON Schema of the campaign file from the settings models, in Draft 4, for editors. A test compares.

Pydantic writes Draft 2020-12. Taplo, on which Even Better TOML is built, reads Draft 4 and ignores what stands beside
a ``$ref``; so every reference is replaced by what it names. The names of findings are those that
`docs/make_explanations.py` found in the docs, so run that first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from campaign.check.output.ignored_findings import may_be_ignored
from campaign.config import SCHEMA
from campaign.config.loading import CampaignFile
from campaign.config.units import duration, duration_as_written
from campaign.explain.explanation import explanations

#: A time with its zone, as a campaign file writes it; TOML allows a blank in place of the T.
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})$"
NOTHING = {"enum": [0], "type": "number"}, {"type": "string", "pattern": "^[^1-9]*$"}  #: durations of no length
TITLE = "The campaign file of campaign"


def campaign_schema() -> str:
    """The whole file."""
    made = CampaignFile.model_json_schema()
    root = draft_4(made, made["$defs"])
    complete(root, CampaignFile)
    ignored = root["properties"]["report"]["properties"]["ignore"]["items"]["properties"]["finding"]
    ignored["enum"] = [one.name for one in explanations() if one.kind == "finding" and may_be_ignored(one.name)]
    head = {"$schema": "http://json-schema.org/draft-04/schema#", "title": TITLE}
    return json.dumps({**head, **root}, ensure_ascii=False, indent=2) + "\n"


def draft_4(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A schema in keywords of Draft 4, without references, titles and null, which TOML does not have."""
    if "$ref" in node:
        named = definitions[node["$ref"].rpartition("/")[2]]
        return draft_4({**named, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    choices = [one for one in node.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        return draft_4({**choices[0], **{key: value for key, value in node.items() if key != "anyOf"}}, definitions)
    made: dict[str, Any] = {}
    for key, value in node.items():
        made.update(keyword(key, value, definitions))
    return made


def keyword(key: str, value: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """One keyword as Draft 4 writes it; nothing if it has no meaning there."""
    if key in {"$defs", "title", "default"} or (key == "format" and value == "path"):
        return {}
    if key == "const":
        return {"enum": [value]}
    if key == "exclusiveMinimum":
        return {"minimum": value, "exclusiveMinimum": True}
    if key == "format" and value == "date-time":
        return {"format": value, "pattern": MOMENT}
    if key == "properties":
        return {key: {name: draft_4(one, definitions) for name, one in value.items()}}
    if key == "anyOf":
        return {key: [draft_4(one, definitions) for one in value if one != {"type": "null"}]}
    if isinstance(value, dict):
        return {key: draft_4(value, definitions)}
    return {key: " ".join(value.split()) if key == "description" else value}


def complete(node: dict[str, Any], model: type[BaseModel]) -> None:
    """Add the default of each key as a campaign file would write it, also in the sections within."""
    for name, field in model.model_fields.items():
        inner = node["properties"][field.alias or name]
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        nested = type(value) if isinstance(value, BaseModel) else field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            complete(inner, nested)
            continue
        is_duration = any(getattr(one, "func", None) is duration for one in field.metadata)
        if is_duration and any(getattr(one, "gt", None) == 0 for one in field.metadata):
            inner["not"] = {"anyOf": list(NOTHING)}
        if value not in (None, "", (), [], {}):
            inner["default"] = duration_as_written(value) if is_duration else plain(value)


def plain(value: Any) -> Any:
    """A value as JSON has it; one item stands alone, as in ``relay = "mailbox"``."""
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return value if isinstance(value, bool | int | float | str) else str(value)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(SCHEMA.read_text(encoding="utf-8") != campaign_schema())
    SCHEMA.write_text(campaign_schema(), encoding="utf-8")
