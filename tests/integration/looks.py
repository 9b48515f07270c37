"""Whether a letter of ours looks as its author's does: every element, in Chromium, in every view.

`looks.html` compares inside the browser and leaves only what differs; there is one start for each colour scheme.
"""

import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import NamedTuple

from tests.support.servers import browser

PAGE = Path(__file__).with_name("looks.html")
SCHEMES = ("dark", "light")
WIDTHS = (700, 390)
BARE, TOUCHED = "700 light, without sheets", "700 light, touched"
VIEWS = (*(f"{width} {scheme}" for scheme in ("light", "dark") for width in WIDTHS), BARE, TOUCHED)

#: What holds only while the reader does something. The same weight, and it always matches.
TOUCH, ALWAYS = re.compile(r":(?:hover|focus|active|checked)(?![\w-])"), ":not(.nobody)"
PSEUDO = re.compile(r":(before|after|first-letter|first-line|marker)\b")
CONDITIONAL = re.compile(
    r"<!--\[if\b.*?-->|<!--\s*<!\[endif\]-->|<!\[(?:if\b[^>]*|endif)\]>", re.IGNORECASE | re.DOTALL
)


class Letter(NamedTuple):
    """What an author wrote, and what was made of it, by the inliner's name."""

    name: str
    author: str
    ours: dict[str, str]


class Difference(NamedTuple):
    """One property of one element in one view."""

    letter: str
    inliner: str
    view: str
    element: str
    name: str
    author: str
    ours: str


def told(found: Iterable[Difference], most: int = 20) -> str:
    """A line for each difference, with all the views that have it."""
    lines: dict[Difference, list[str]] = {}
    for one in found:
        lines.setdefault(one._replace(view=""), []).append(one.view)
    return "\n".join(
        f"{one.letter}, {one.inliner}, {' + '.join(views)}: {one.element}: {one.name}: "
        f"author {one.author[:150]!r}, ours {one.ours[:150]!r}"
        for one, views in list(lines.items())[:most]
    )


def differences(letters: Iterable[Letter], folder: Path) -> list[Difference]:
    """Everything that looks otherwise. Relative sheets and pictures are read from ``folder``, where the page is put."""
    letters = list(letters)
    found = [one for letter in letters for one in _conditions(letter)]

    def compared(scheme: str) -> list[Difference]:
        jobs = [job for letter in letters for job in _jobs(letter, scheme)]
        return _compare(jobs, folder / f"looks-{scheme}.html", scheme)

    with ThreadPoolExecutor(len(SCHEMES)) as pool:
        return found + [one for some in pool.map(compared, SCHEMES) for one in some]


def _conditions(letter: Letter) -> list[Difference]:
    """The conditional comments, as written: a browser reads ``<![if !mso]>`` as a comment, Outlook does not."""
    author = CONDITIONAL.findall(letter.author)
    made = {name: CONDITIONAL.findall(html) for name, html in letter.ours.items()}
    return [
        Difference(letter.name, name, "source", "document", "conditional comments", str(author), str(ours))
        for name, ours in made.items()
        if ours != author
    ]


def _jobs(letter: Letter, scheme: str) -> list[dict]:
    """What the page is to load and compare for one letter."""
    pseudo = ["", *sorted({f"::{name}" for name in PSEUDO.findall(letter.author)})]

    def job(view: str, width: int, touched: bool = False) -> dict:
        def shown(text: str) -> str:
            return TOUCH.sub(ALWAYS, text) if touched else text

        return {
            "letter": letter.name,
            "view": view,
            "width": width,
            "dark": scheme == "dark",
            "bare": view == BARE,
            "pseudo": pseudo,
            "author": shown(letter.author),
            "ours": {name: shown(html) for name, html in letter.ours.items()},
        }

    jobs = [job(f"{width} {scheme}", width) for width in WIDTHS]
    if scheme == "light":
        jobs.append(job(BARE, 700))
        if TOUCH.search(letter.author):
            jobs.append(job(TOUCHED, 700, touched=True))
    return jobs


def _compare(jobs: list[dict], page: Path, scheme: str) -> list[Difference]:
    listed = json.dumps(jobs).replace("<", "\\u003c")
    page.write_text(PAGE.read_text("utf-8").replace("const JOBS = []", f"const JOBS = {listed}"), "utf-8")
    dom = browser.run(
        page, "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", width=1000, height=800, scheme=scheme
    )
    report = json.loads(unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert report["jobs"] == len(jobs), "the page was dumped before it had compared everything"
    return [Difference(*one) for one in report["found"]]
