"""One bar for each sender: messages a second, as an SVG that reads in the dark and in the light."""

from __future__ import annotations

import statistics
from html import escape
from typing import Any

WIDTH, LEFT, BAR, GAP, TOP = 760, 300, 22, 12, 44
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #24292f } .head { font-weight: 600 }
.ours { fill: #1a7f37 } .theirs { fill: #8c959f }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #3fb950 } .theirs { fill: #6e7681 } }
</style>"""


def peers(found: dict[str, Any]) -> str:
    """Messages a second on loopback."""
    runs = found["loopback"]["runs"]
    rates = {key: statistics.median(run["rows"] / run["wall"] for run in some) for key, some in runs.items()}
    bars = [
        (found["titles"][key][0], rate, key == "campaign")
        for key, rate in sorted(rates.items(), key=lambda one: -one[1])
    ]
    return chart("Messages a second, the whole job from CSV to server", bars)


def chart(title: str, bars: list[tuple[str, float, bool]]) -> str:
    """Horizontal bars: label, value, whether it is ours."""
    most = max(value for _, value, _ in bars)
    height = TOP + len(bars) * (BAR + GAP)
    said = f'role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {said}>',
        f'<title>{escape(title)}</title>{STYLE}<text class="head" x="0" y="20">{escape(title)}</text>',
    ]
    for at, (label, value, ours) in enumerate(bars):
        y, length = TOP + at * (BAR + GAP), max(2, round((WIDTH - LEFT - 80) * value / most))
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end">{escape(_short(label))}</text>'
            f'<rect class="{"ours" if ours else "theirs"}" x="{LEFT}" y="{y}" width="{length}" height="{BAR}" rx="3"/>'
            f'<text x="{LEFT + length + 8}" y="{y + 16}">{value:,.0f}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _short(label: str) -> str:
    return label if len(label) <= 44 else label[:43] + "…"
