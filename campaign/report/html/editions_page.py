"""The editions of a campaign side by side: a page with a table and charts, and the charts alone as an SVG file.

Both show the same columns: the accepted as a share of the recipients, and bounces, complaints and unsubscribes as
shares of the accepted. Lines mark the levels of a warning and of an alarm. On the page, charts are stretched to its
width and their labels are text beside them; the SVG file has a size of its own and its labels inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from campaign.report import formatting
from campaign.report.feedback.feedback_facts import BOUNCE_LEVELS, COMPLAINT_LEVELS
from campaign.report.html.html_builder import Html, html_document, tag

FEWEST_COLUMNS, MOST_COLUMNS = 3, 60  #: editions in a chart: the newest of more; fewer are in the table alone
#: Pixels: width of the file, height of a plot and of what is between two, left and upper margin, widest column.
SVG_WIDTH, SVG_HEIGHT, SVG_BETWEEN, SVG_LEFT, SVG_TOP, SVG_WIDEST = 720, 150, 72, 64, 80, 64


class EditionFigures(msgspec.Struct, frozen=True):
    """One edition, over all its runs through a relay. ``begun`` is POSIX seconds, ``seconds`` how long it was served.

    ``generation`` is 1, and one more each time ``--again`` served the edition once more: then it stands for itself.
    ``bounced``, ``complained`` and ``unsubscribed`` count recipients; ``None`` where no feedback is read.
    """

    edition: str
    generation: int
    begun: float
    runs: int
    recipients: int
    accepted: int
    bounced: int | None
    complained: int | None
    unsubscribed: int | None
    seconds: float

    @property
    def name(self) -> str:
        """``2026-11``; ``2026-11, again`` for the second generation, ``2026-11, again 2`` for the third."""
        again = "" if self.generation == 1 else ", again" if self.generation == 2 else f", again {self.generation - 1}"
        return f"{self.edition or 'no edition'}{again}"

    @property
    def accepted_share(self) -> float:
        """The accepted as a share of the recipients, from 0 to 1."""
        return self.accepted / self.recipients if self.recipients else 0.0

    def share(self, count: int | None) -> float | None:
        """``count`` as a share of the accepted, from 0 to 1; None stays None."""
        return None if count is None else min(1.0, count / self.accepted) if self.accepted else 0.0


class Series(msgspec.Struct, frozen=True):
    """One chart: its title, the share of each edition, its levels, and the CSS class of its columns."""

    title: str
    shares: Sequence[float | None]
    levels: Sequence[float]
    colour: str

    @property
    def top(self) -> float:
        """The share at the upper edge: a round number that no column is above."""
        return round_share(max([share or 0.0 for share in self.shares] + list(self.levels[:1]), default=0.0))


def editions_page(campaign: str, editions: Sequence[EditionFigures]) -> Html:
    """The whole document; ``editions`` are in the order of their begin."""
    count = formatting.counted(len(editions), "edition")
    header = tag(
        "header",
        tag("p", tag("strong", campaign), cls="eyebrow"),
        tag("h1", count),
        tag("p", _period(editions), cls="lede") if editions else None,
    )
    shown = editions[-MOST_COLUMNS:]
    series = edition_series(shown) if len(shown) >= FEWEST_COLUMNS else []
    charts = [_section(one.title, _chart(one, shown)) for one in series]
    unknown = tag("p", _UNKNOWN) if any(one.bounced is None for one in editions) else None
    footer = tag("footer", tag("p", _SHARES), unknown, tag("p", "This page is one file and loads nothing."))
    main = tag("main", charts, _section("Figures", _table(editions)))
    return html_document(f"{count} of {campaign}", "page.css", header, main, footer)


_SHARES = (
    "Accepted is a share of the recipients; bounces, complaints and unsubscribes are shares of the accepted. "
    "Rehearsals are left out."
)
_UNKNOWN = "A dash stands where no feedback is read, so that nobody can say how many there were."


def _period(editions: Sequence[EditionFigures]) -> str:
    first, last = (formatting.moment(one.begun)[:10] for one in (editions[0], editions[-1]))
    accepted = f"{sum(one.accepted for one in editions):,} letters accepted"
    return f"{accepted} on {first}." if first == last else f"{accepted} from {first} to {last}."


def _section(title: str, content: Html) -> Html:
    return tag("section", tag("h2", title), tag("div", content))


def edition_series(shown: Sequence[EditionFigures]) -> list[Series]:
    """What is drawn of these editions: charts of feedback only where there is any."""
    series = [
        Series("Accepted", [one.accepted_share for one in shown], (), "accepted"),
        Series("Bounced", [one.share(one.bounced) for one in shown], BOUNCE_LEVELS, "hard"),
        Series("Complained", [one.share(one.complained) for one in shown], COMPLAINT_LEVELS, "complaint"),
        Series("Unsubscribed", [one.share(one.unsubscribed) for one in shown], (), "unsubscribe"),
    ]
    return [one for one in series if any(share is not None for share in one.shares)]


def round_share(highest: float) -> float:
    """The next round share: 1, 2, 3, 4, 5, 6, 8 or 10 times a power of ten, at least 0.01 % and at most 1."""
    power = 0.0001
    while power < 1:
        for step in (1, 2, 3, 4, 5, 6, 8):
            if highest <= step * power:
                return min(1.0, step * power)
        power *= 10
    return 1.0


def percent(share: float) -> str:
    """``0.003`` -> ``"0.3 %"``, without zeros at its end."""
    return f"{100 * share:g} %"


def _chart(series: Series, editions: Sequence[EditionFigures]) -> Html:
    axis = tag("div", (tag("span", percent(series.top * part)) for part in (1, 0.5, 0)), cls="y", aria_hidden="true")
    middle = (len(editions) // 2,) if len(editions) % 2 else ()  # of an even number none stands in the middle
    ends = dict.fromkeys((0, *middle, len(editions) - 1))
    names = tag("div", (tag("span", editions[at].name) for at in ends), cls="x", aria_hidden="true")
    return tag("figure", tag("div", axis, _plot(series, editions), names, cls="plot"), _caption(series), cls="editions")


def _caption(series: Series) -> Html | None:
    """What the lines stand for that are inside the plot."""
    drawn = [percent(level) for level in series.levels if level <= series.top]
    if not drawn:
        return None
    lines = "The line marks" if len(drawn) == 1 else "The lines mark"
    words = ["a warning from", "an alarm above"]
    marks = " and ".join(f"{word} {level}" for word, level in zip(words, drawn, strict=False))
    return tag("figcaption", f"{lines} {marks}.")


def _plot(series: Series, editions: Sequence[EditionFigures]) -> Html:
    said = [_said(one.name, share) for one, share in zip(editions, series.shares, strict=True)]
    columns = [
        tag(
            "g",
            tag("title", words),
            tag("rect", x=at, y=0, width=1, height=100, cls="hit"),
            _column(at + 0.15, 0.7, 100.0, 0.0, share, series),
        )
        for at, (share, words) in enumerate(zip(series.shares, said, strict=True))
    ]
    return tag(
        "svg",
        tag("title", f"{series.title}: {'; '.join(said)}"),
        (tag("line", x1=0, x2=len(editions), y1=y, y2=y, cls="grid") for y in (0, 50, 100)),
        columns,
        (tag("line", x1=0, x2=len(editions), y1=y, y2=y, cls="limit") for y in _limits(series, 100.0, 0.0)),
        viewBox=f"0 0 {len(editions)} 100",
        preserveAspectRatio="none",
        role="img",
    )


def _said(name: str, share: float | None) -> str:
    return f"{name} {'unknown' if share is None else formatting.share_text(share)}"


def _column(x: float, width: float, height: float, top: float, share: float | None, series: Series) -> Html | None:
    """One column of a plot that is ``height`` tall and begins at ``top``."""
    if not share:
        return None
    tall = height * min(1.0, share / series.top)
    return tag(
        "rect",
        x=f"{x:.2f}",
        y=f"{top + height - tall:.2f}",
        width=f"{width:.2f}",
        height=f"{tall:.2f}",
        cls=series.colour,
    )


def _limits(series: Series, height: float, top: float) -> Iterator[str]:
    """The heights of the levels that are inside the plot."""
    for level in series.levels:
        if level <= series.top:
            yield f"{top + height * (1 - level / series.top):.2f}"


_COLUMNS = ("Begun (UTC)", "Recipients", "Accepted", "Bounced", "Complained", "Unsubscribed", "Duration")


def _table(editions: Sequence[EditionFigures]) -> Html:
    head = tag("thead", tag("tr", (tag("th", name, scope="col") for name in ("Edition", *_COLUMNS))))
    return tag("table", head, tag("tbody", (_row(one) for one in editions)), cls="editions")


def _row(one: EditionFigures) -> Html:
    cells = (
        formatting.moment(one.begun)[:16],
        formatting.grouped(one.recipients),
        formatting.share_text(one.accepted_share),
        *(shown_share(one.share(count)) for count in (one.bounced, one.complained, one.unsubscribed)),
        formatting.duration_text(one.seconds),
    )
    data = (tag("td", cell, data_label=name) for name, cell in zip(_COLUMNS, cells, strict=True))
    return tag("tr", tag("th", one.name, scope="row"), data)


def shown_share(share: float | None) -> str:
    """A share as text; a dash where it is not known."""
    return "–" if share is None else formatting.share_text(share)


#: Colours of the file, which has no style sheet beside it: the page's own.
_SVG_STYLE = (
    "text{font:12px system-ui,'Segoe UI',Roboto,'Noto Sans',Arial,sans-serif;fill:#66676d}"
    ".title{font-weight:600;fill:#1b1c1f}.head{font-size:16px}.paper{fill:#faf9f7}.grid{stroke:#e5e3de}"
    ".limit{stroke:#66676d;stroke-dasharray:4 3}.end{text-anchor:end}"
    ".accepted{fill:#23845f}.hard{fill:#c5432f}.complaint{fill:#b4537f}.unsubscribe{fill:#5d7fa3}"
    "@media(prefers-color-scheme:dark){text{fill:#9c9ea6}.title{fill:#ececee}.paper{fill:#131416}.grid{stroke:#2d2f34}"
    ".limit{stroke:#9c9ea6}.accepted{fill:#45ab81}.hard{fill:#e06c58}.complaint{fill:#d47aa3}.unsubscribe{fill:#7fa3c9}}"
)


def editions_svg(campaign: str, editions: Sequence[EditionFigures]) -> Html:
    """The charts as an SVG document, one below the other, with the first and the last edition named under each."""
    shown = editions[-MOST_COLUMNS:]
    series = edition_series(shown)
    height = SVG_TOP - 16 + len(series) * (SVG_HEIGHT + SVG_BETWEEN)
    return tag(
        "svg",
        tag("style", Html(_SVG_STYLE)),
        tag("rect", width=SVG_WIDTH, height=height, cls="paper"),
        tag("text", campaign, x=16, y=28, cls="title head"),
        (_svg_plot(one, shown, SVG_TOP + at * (SVG_HEIGHT + SVG_BETWEEN)) for at, one in enumerate(series)),
        xmlns="http://www.w3.org/2000/svg",
        width=SVG_WIDTH,
        height=height,
        viewBox=f"0 0 {SVG_WIDTH} {height}",
    )


def _svg_plot(series: Series, editions: Sequence[EditionFigures], top: int) -> list[Html | None]:
    """A plot whose upper edge is at ``top``."""
    right, bottom = SVG_WIDTH - 16, top + SVG_HEIGHT
    step = min((right - SVG_LEFT) / len(editions), SVG_WIDEST / 0.7)
    last = SVG_LEFT + step * len(editions)
    marks = [(part, f"{top + SVG_HEIGHT * (1 - part):.1f}") for part in (1, 0.5, 0)]
    shares = zip(editions, series.shares, strict=True)
    return [
        tag("text", series.title, x=16, y=top - 18, cls="title"),
        *(tag("line", x1=SVG_LEFT, x2=right, y1=y, y2=y, cls="grid") for _, y in marks),
        *(tag("text", percent(series.top * part), x=SVG_LEFT - 8, y=y, dy=4, cls="end") for part, y in marks),
        *(
            tag(
                "g",
                tag("title", _said(one.name, share)),
                _column(SVG_LEFT + step * (at + 0.15), step * 0.7, SVG_HEIGHT, top, share, series),
            )
            for at, (one, share) in enumerate(shares)
        ),
        *(tag("line", x1=SVG_LEFT, x2=right, y1=y, y2=y, cls="limit") for y in _limits(series, SVG_HEIGHT, top)),
        tag("text", editions[0].name, x=SVG_LEFT, y=bottom + 18),
        tag("text", editions[-1].name, x=f"{last:.1f}", y=bottom + 18, cls="end") if len(editions) > 1 else None,
    ]
