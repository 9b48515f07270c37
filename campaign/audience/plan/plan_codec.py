"""What the writer and the reader of a plan agree on, above all how values that JSON does not know are written.

A date is ``{"$date": "2026-12-31"}``. A table whose only name begins with ``$`` is wrapped as
``{"$value": …}``, so that data can never pass for a date.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from campaign.model import Value

FORMAT = 1
PLAN, SCREENED = "plan.jsonl", "screened.csv"
#: Types whose values JSON holds as they are; all others are chilled.
AS_THEY_ARE = frozenset({"text", "integer", "number", "boolean"})


def chill(value: Value) -> Any:
    """``value`` as JSON can hold it; `thaw` undoes it."""
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, list):
        return [chill(item) for item in value]
    if isinstance(value, dict):
        table = {name: chill(item) for name, item in value.items()}
        return {"$value": table} if len(table) == 1 and next(iter(table)).startswith("$") else table
    return value


def thaw(value: Any) -> Value:
    """What `chill` was given."""
    if isinstance(value, list):
        return [thaw(item) for item in value]
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]  # what JSON holds otherwise is plain already
    if value.keys() == {"$date"}:
        text = value["$date"]
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    table = value["$value"] if value.keys() == {"$value"} else value
    return {name: thaw(item) for name, item in table.items()}
