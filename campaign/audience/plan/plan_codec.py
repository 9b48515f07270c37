"""The encoding of a plan's values in JSON, shared by its writer and its reader.

A date is ``{"$date": "2026-12-31"}``. A table whose only name begins with ``$`` is wrapped as ``{"$value": …}``, so
data can never be mistaken for a date.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from campaign.model import Value

FORMAT = 1
PLAN, SCREENED = "plan.jsonl", "screened.csv"
#: Types whose values are valid JSON as they are; `encode_value` encodes all others.
AS_THEY_ARE = frozenset({"text", "integer", "number", "boolean"})


def encode_value(value: Value) -> Any:
    """Encode ``value`` for JSON; `decode_value` is the inverse."""
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, list):
        return [encode_value(item) for item in value]
    if isinstance(value, dict):
        table = {name: encode_value(item) for name, item in value.items()}
        return {"$value": table} if len(table) == 1 and next(iter(table)).startswith("$") else table
    return value


def decode_value(value: Any) -> Value:
    """Decode a value that `encode_value` encoded."""
    if isinstance(value, list):
        return [decode_value(item) for item in value]
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]  # every other JSON value is plain already
    if value.keys() == {"$date"}:
        text = value["$date"]
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    table = value["$value"] if value.keys() == {"$value"} else value
    return {name: decode_value(item) for name, item in table.items()}
