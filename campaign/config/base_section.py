"""The base class of all sections of the campaign file: frozen, and an unknown key is an error."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One section of the campaign file, frozen once parsed.

    Its validator is built when a value is first parsed: the whole file then needs one, where each section had its own.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True, defer_build=True
    )


def no_items() -> list[Any]:
    """An empty list. Pydantic asks for the parameters of a factory, which takes a millisecond for `list` and `dict`."""
    return []


def no_entries() -> dict[str, Any]:
    """An empty table."""
    return {}


def one_or_many(schema: dict[str, Any]) -> None:
    """Let the schema of a list also allow one item that stands alone, as the validator of the key does."""
    item = schema["items"]
    del schema["items"], schema["type"]
    schema["anyOf"] = [*item.get("anyOf", [item]), {"type": "array", "items": item}]
