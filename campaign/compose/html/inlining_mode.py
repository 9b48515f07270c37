"""Whether CSS may be inlined once per shape: only if some rows of the list get the same letter as each gets alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from campaign.compose.html.shape_cache import Inlining, ShapeCache
from campaign.compose.html.tree_diff import difference
from campaign.compose.template.direct_columns import Statics
from campaign.compose.template.row_timeout import RowTimer
from campaign.model import Recipient

MOST_ALIKE = 4  #: rows with the same path through the template that are compared


def inlining_mode(
    shapes: ShapeCache,
    sample: Sequence[Recipient],
    variables_of: Callable[[Recipient], Mapping[str, Any]],
    watch: RowTimer,
) -> tuple[Inlining, str]:
    """The mode of inlining: "shape" if it gives the same as "row" for all of ``sample``, else "row" and why."""
    alike = Counter[Statics]()
    for recipient in sample:
        watch.start()
        try:
            variables = variables_of(recipient)
            rendered = shapes.render(variables, "shape")
            by_shape = shapes.html(rendered, "shape")
            alike[rendered.statics] += 1
            if alike[rendered.statics] > MOST_ALIKE:
                continue
            found = difference(shapes.html(shapes.render(variables, "row"), "row"), by_shape)
        except Exception:  # noqa: BLE001, S112 - `compose` will give this row's reason; other rows decide here
            continue
        if found:
            return "row", f"line {recipient.line}: {found}"
    return "shape", ""
