"""From measurements to tables: Markdown between markers in docs/benchmarks.md, a chart beside it, JSON for machines.

Pure but for `write`. All figures are medians over rounds; ratios are taken round by round first, so that a busy minute
of the machine hits both sides of each.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import charts
from benchmarks.measure import STANDARD, ratios, spread
from benchmarks.targets import CONNECTIONS, judged

BEGIN, END = "<!-- results begin -->", "<!-- results end -->"
Found = dict[str, Any]


def table(head: Sequence[str], lines: Iterable[Sequence[str]], right: int = 1) -> str:
    """A Markdown table; columns from ``right`` on are aligned to the right."""
    rule = ["---" if at < right else "---:" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def middle(runs: Sequence[Found], what: str) -> float:
    """The median over runs of: ``rate`` (a second), ``cpu``, ``sink`` (µs a message), ``scaled`` (on a standard core),
    ``memory`` (MB), ``wall`` (s)."""
    return statistics.median(values(runs, what))


def values(runs: Sequence[Found], what: str) -> list[float]:
    """One figure a run, as `middle` names them."""
    make = {
        "rate": lambda run: run["rows"] / run["wall"],
        "cpu": lambda run: run["cpu"] / run["rows"] * 1e6,
        "sink": lambda run: run["sink"] / run["rows"] * 1e6,
        "scaled": lambda run: run["cpu"] / run["rows"] * 1e6 * STANDARD / run["hash"],
    }
    return [make.get(what, lambda run: run[what])(run) for run in runs]


def times(three: tuple[float, float, float]) -> str:
    """A ratio with its spread."""
    median, least, most = three
    return f"{median:.1f} × ({least:.1f} to {most:.1f})"


def peers(found: Found) -> str:
    """Everybody on loopback, and what C can do that renders nothing."""
    runs, titles, starts = found["loopback"]["runs"], found["titles"], found.get("start_up", {})
    lines = [
        [_titled(*titles[key]), *_figures(theirs), _seconds(starts.get(key)), *_against(runs["campaign"], theirs)]
        for key, theirs in runs.items()
    ]
    if ceiling := found["loopback"]["ceiling"]:
        lines.append(["smtp-source (C, renders nothing)", *_figures(ceiling)[:3], "", "", "", ""])
    head = ["sender", "rows", "messages/s", "CPU each", "peak memory", "first letter after"]
    skipped = "".join(f"\nSkipped: {titles[key][0]}: {why}\n" for key, why in found["skipped"].items())
    return table([*head, "campaign is faster", "campaign takes less CPU"], lines) + "\n" + skipped


def _titled(title: str, lacks: str) -> str:
    return f"{title}<br><small>{lacks}</small>" if lacks else f"**{title}**"


def _figures(runs: Sequence[Found]) -> list[str]:
    rows, rate, cpu = runs[0]["rows"], middle(runs, "rate"), middle(runs, "cpu")
    return [f"{rows:,}", f"{rate:,.0f}", f"{cpu:,.0f} µs", f"{middle(runs, 'memory'):.0f} MB"]


def _seconds(some: Sequence[float] | None) -> str:
    return f"{statistics.median(some):.2f} s" if some else ""


def _against(ours: Sequence[Found], theirs: Sequence[Found]) -> list[str]:
    """How much faster and how much leaner we are; empty for ourselves."""
    if theirs is ours:
        return ["", ""]
    faster, leaner = (
        ratios(values(theirs, "rate"), values(ours, "rate")),
        ratios(values(ours, "cpu"), values(theirs, "cpu")),
    )
    return [times(faster), times(leaner)]


def far(found: Found) -> str:
    """Behind a round trip."""
    part, titles = found["far"], found["titles"]
    ideal, ours = CONNECTIONS / part["round_trip"], part["runs"]["campaign"]
    lines = []
    for key, runs in part["runs"].items():
        rate = middle(runs, "rate")
        cells = [titles[key][0], f"{runs[0]['rows']:,}", f"{rate:,.0f}", f"{rate / ideal:.0%}", _against(ours, runs)[0]]
        lines.append(cells)
    head = ["sender", "rows", "messages/s", "of connections / round trip", "campaign is faster"]
    return (
        f"A round trip took {part['round_trip'] * 1e3:.1f} ms, measured; {CONNECTIONS} connections could carry "
        f"{ideal:,.0f} messages a second with one round trip each.\n\n{table(head, lines)}\n"
    )


def sizes(found: Found) -> str:
    """Whole runs by length of the list."""
    lines = []
    for count, runs in sorted(found["sizes"].items(), key=lambda one: int(one[0])):
        cells = [f"{middle(runs, 'wall'):,.1f} s", f"{middle(runs, 'rate'):,.0f}", f"{middle(runs, 'cpu'):,.0f} µs"]
        lines.append([f"{int(count):,}", str(len(runs)), *cells, f"{middle(runs, 'memory'):.0f} MB"])
    return table(["rows", "runs", "from start to end", "messages/s", "CPU each", "peak memory"], lines) + "\n"


def lengths(found: Found) -> str:
    """Seconds from start to end of every sender, by length of the list; and how these compare with ours."""
    by_length = {int(count): runs for count, runs in found["lengths"].items()}
    lines = []
    for key, (title, _) in found["titles"].items():
        cells = []
        for runs in by_length.values():
            own, other = runs["campaign"], runs.get(key)
            more = (
                f" ({times(ratios(values(other, 'wall'), values(own, 'wall')))})" if other and other is not own else ""
            )
            cells.append(f"{middle(other, 'wall'):,.2f} s{more}" if other else "")
        if any(cells):
            lines.append([title, *cells])
    head = ["sender", *(f"{count:,} rows" for count in by_length)]
    return table(head, lines) + "\n\nIn brackets: what campaign takes of that.\n"


def variants(runs: dict[str, list[Found]], octets: dict[str, int] | None = None) -> str:
    """Settings or messages beside each other; the first one, or the reference, is what the others are compared with."""
    base = runs.get("reference") or next(iter(runs.values()))
    lines = []
    for title, some in runs.items():
        size = [f"{octets[title]:,}"] if octets else []
        more = times(ratios(values(base, "cpu"), values(some, "cpu"))) if some is not base else ""
        lines.append([title, *size, *_figures(some)[1:], more])
    head = ["", *(["octets"] if octets else []), "messages/s", "CPU each", "peak memory", "CPU against the plain one"]
    return table(head, lines) + f"\n\n{base[0]['rows']:,} rows a run, {len(base)} interleaved rounds.\n"


def processes(found: Found) -> str:
    """One run sent by one process, and by two; and two runs at once, which is what two cores give at best."""
    base = found["processes"]["1"]
    lines = []
    for title, runs in found["processes"].items():
        sending = [run["rows"] / run["sending"] for run in runs]
        faster = times(ratios([run["sending"] for run in runs], [run["sending"] for run in base]))
        cells = [f"{middle(runs, 'rate'):,.0f}", f"{statistics.median(sending):,.0f}", f"{middle(runs, 'cpu'):,.0f} µs"]
        sink = statistics.median(run["sink"] / run["rows"] * 1e6 for run in runs)
        lines.append(
            [title, *cells, f"{sink:,.0f} µs", f"{middle(runs, 'memory'):.0f} MB", faster if runs is not base else ""]
        )
    head = [
        "processes",
        "messages/s, start to end",
        "while sending",
        "CPU each",
        "CPU of the sink",
        "largest process",
        "sending, against 1",
    ]
    return f"{table(head, lines)}\n\n{base[0]['rows']:,} rows a run, {len(base)} interleaved rounds.\n"


def kills(found: Found) -> str:
    """What kills cost."""
    head = ["sender", "kills", "lost", "doubled", "in doubt", "next letter after", "what its operator typed"]
    lines = [_toll(toll) for toll in found["kills"]["tolls"]]
    return f"{found['kills']['people']:,} recipients.\n\n{table(head, lines)}\n"


def _toll(toll: Found) -> list[str]:
    again = statistics.median([one for one in toll["seconds"] if one] or [0.0])
    doubts = f"{toll['doubts']} listed; {toll['listed']} at the end" if toll["doubts"] else "none listed"
    counts = [str(toll["kills"]), str(toll["lost"]), f"{toll['doubled']:,}", doubts]
    return [toll["title"], *counts, f"{again:.2f} s", typed(toll["typed"])]


def typed(words: Sequence[str]) -> str:
    """Commands, equal ones together; of many different ones the first and the last two."""
    different = list(dict.fromkeys(words))
    shown = [f"{words.count(one)} × `{one}`" for one in different]
    if len(shown) > 4:
        shown[1:-2] = [f"{len(shown) - 3} more, each with a number of its own"]
    return "<br>".join(shown) or "nothing"


def stages(found: Found) -> str:
    """CPU by stage; the same table as in docs/profile.md."""
    from benchmarks import profiling

    part = found["stages"]
    return profiling.table(part, part["rows"], part["core"]) + "\n"


def resumed(found: Found) -> str:
    """The time to the first letter of a large run taken up again."""
    part = found["resume"]
    median, least, most = spread(part["seconds"])
    return (
        f"A run of {part['people']:,} recipients of whom {part['done']:,} were settled: {median:.2f} s from the "
        f"command to the first letter ({least:.2f} to {most:.2f}).\n"
    )


def goals(found: Found) -> str:
    """Each goal that was measured."""
    lines = [[one.measure, one.must, one.aim, one.found, one.word] for one in judged(found)]
    return table(["measure", "must", "aim", "found", ""], lines, right=5) + "\n"


SECTIONS = (
    ("Goals", "machine", goals),
    ("Beside what one would otherwise pick", "loopback", peers),
    ("Behind 20 ms", "far", far),
    ("What ten kills cost", "kills", kills),
    ("By stage", "stages", stages),
    ("By length of the list", "sizes", sizes),
    ("Short lists", "lengths", lengths),
    ("Going on with a large run", "resume", resumed),
    ("Settings", "options", lambda found: variants(found["options"])),
    ("Several processes", "processes", processes),
    ("Messages", "messages", lambda found: variants(found["messages"]["runs"], found["messages"]["octets"])),
)


def markdown(found: Found, command: str) -> str:
    """All sections that were measured."""
    where, core = found["machine"], (found["hash_before"] + found["hash_after"]) / 2
    versions = {"Python": where["python"], **found["versions"]}
    made = (
        f"Made by `{command}` in {found['seconds'] / 60:.0f} minutes on {where['processor']}, {where['cores']} cores, "
        f"{where['memory']}, {where['system']}.\n{', '.join(f'{name} {one}' for name, one in versions.items())}.\n"
        f"SHA-256 of 100 kB took {core:.0f} µs here; *scaled* figures are for a core where it takes {STANDARD:.0f} µs. "
        f"100,000 rounds of a loop took this Python {where['loop']} ms."
    )
    parts = [made]
    parts += [f"## {title}\n\n{make(found).strip()}" for title, needs, make in SECTIONS if needs in found]
    return "\n\n".join(parts)


def write(found: Found, text: str, results: Path, docs: Path | None) -> Path:
    """JSON into ``results``; the text and the chart into ``docs`` when they are to be kept."""
    results.mkdir(exist_ok=True)
    stamp = found["when"].replace(":", "").replace("-", "")
    file = results / f"{stamp}.json"
    file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if docs:
        page = docs / "benchmarks.md"
        page.write_text(between(page.read_text(encoding="utf-8"), text), encoding="utf-8")
        if "loopback" in found:
            (docs / "benchmarks.svg").write_text(charts.peers(found), encoding="utf-8")
    return file


def between(page: str, text: str) -> str:
    """``page`` with ``text`` in place of what stands between its markers. Raises ValueError where they are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}"
