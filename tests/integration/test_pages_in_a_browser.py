"""The pages as a browser shows them: laid out for a telephone and a desk, in light and dark, loading nothing.

Chromium paints the screenshots and also reads them: a page of our own counts their colours on a canvas.
"""

import base64
import json
import re
import struct
import threading
import zlib
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from msgspec.structs import replace

from campaign.model import Books
from campaign.report.facts import DoubtRow, ReplyTally, RunFacts, TimelineBucket
from campaign.report.html.gallery import Preview, write_gallery
from campaign.report.html.report_page import write_page
from tests.support.servers import browser

HOSTILE = "<script>document.title='ran'</script>" + "long-word-" * 30


MEASURE = """<script>addEventListener('load', () => {
  const visible = name => [...document.querySelectorAll(name)].filter(one => one.checkVisibility());
  const seen = visible('body *').filter(one => !one.closest('svg'));
  const said = seen.filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  const beyond = seen.filter(one => !one.closest('.frame, nav') && one.getBoundingClientRect().right > innerWidth + 1);
  top.document.body.dataset.measured = JSON.stringify({
    width: innerWidth,
    overflow: document.documentElement.scrollWidth - innerWidth,
    smallest: Math.min(...said.map(one => parseFloat(getComputedStyle(one).fontSize))),
    beyond: beyond.map(one => one.className || one.tagName),
    torn: visible('.tally b, .flow .total')
      .filter(one => one.offsetHeight > 2 * parseFloat(getComputedStyle(one).fontSize)).map(one => one.innerText),
    plot: document.querySelector('svg')?.getBoundingClientRect().width,
    headline: document.querySelector('h1').innerText,
    used: Math.max(...visible('iframe').map(one => one.getBoundingClientRect().right))
      - Math.min(...said.map(one => one.getBoundingClientRect().left)),
    frames: visible('iframe').map(one => one.clientWidth)})
})</script></body>"""


def measured(page: Path, width: int) -> dict:
    """Lay out a copy of ``page`` that may run one script, ours, and say what came of it."""
    copy = page.with_name(f"measured-{width}.html")
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    copy.write_text(html.replace("</body>", MEASURE), "utf-8")
    dom = browser.run(browser.framed(copy, width), "--dump-dom")
    return json.loads(unescape(re.search(r'data-measured="([^"]*)"', dom)[1]))


COUNT = """<body><img src="data:image/png;base64,PICTURE"><script>addEventListener('load', () => {
  const image = document.querySelector('img');
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext('2d');
  canvas.drawImage(image, 0, 0);
  const pixels = canvas.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data, counts = {};
  for (const one of new Uint32Array(pixels.buffer)) counts[one] = (counts[one] || 0) + 1;
  const hex = one => '#' + [0, 8, 16].map(at => ((one >> at) & 255).toString(16).padStart(2, '0')).join('');
  const many = Object.entries(counts).filter(([_, count]) => count > 30);
  document.body.dataset.colours = JSON.stringify(Object.fromEntries(many.map(([one, count]) => [hex(one), count])))
})</script></body>"""


def colours(page: Path, **options) -> dict[str, int]:
    """How many pixels of each colour a screenshot of ``page`` has."""
    picture, counter = page.with_suffix(".png"), page.with_name("count.html")
    browser.run(page, f"--screenshot={picture}", **options)
    counter.write_text(COUNT.replace("PICTURE", base64.b64encode(picture.read_bytes()).decode()))
    dom = browser.run(counter, "--dump-dom")
    return json.loads(unescape(re.search(r'data-colours="([^"]*)"', dom)[1]))


def report_facts() -> RunFacts:
    return RunFacts(
        campaign="gazette",
        edition="2026-11",
        run="20261124T080000Z",
        folder="runs/gazette/2026-11/20261124T080000Z",
        generation=1,
        started=1795507200.0,
        ended=1795507400.0,
        books=Books(read=10_134, invalid=21, duplicate=64, suppressed=37, already=12, planned=10_000),
        verdicts={"accepted": 9_012, "deferred": 14, "rejected": 943, "in_doubt": 2, "withdrawn": 29},
        by_domain={f"a-rather-long-domain-{at}.example": {"accepted": 900, "rejected": at} for at in range(12)},
        by_reply=[
            ReplyTally(550, "5.1.1", HOSTILE, "rejected", 1_000_000, "Take it off."),
            ReplyTally(0, "", "", "x", 2),
        ],
        timeline=[TimelineBucket(1795507200.0 + at, 45, at % 7, 1) for at in range(200)],
        latency={"p50": 0.042, "p90": 0.118, "p99": 0.71, "max": 3.4},
        relays={"smtps://a-very-long-relay-name.with.many.labels.example.com:465": 9_012},
        settings={"compose.subject": "{{ name }}, " + "x" * 200},
        fingerprints={"templates/newsletter/body.html.j2": "9f2c" * 16},
        exit_code=75,
        in_doubt=[DoubtRow(512, "grace@example.net", f"<{'k' * 90}@example.com>", "smtps://smtp.example.com:465", 0.0)],
        file="gazette.toml",
    )


@pytest.fixture
def report(tmp_path) -> Path:
    return write_page(tmp_path, report_facts())


@pytest.mark.parametrize("width", [375, 1280])
def test_the_report_fits_a_telephone_and_a_desk_and_stays_readable(report, width):
    found = measured(report, width)
    assert found["width"] == width
    assert found["overflow"] <= 0
    assert found["beyond"] == []
    assert found["smallest"] >= 12
    assert found["plot"] > 0.5 * width * (1 if width < 736 else 0.9)
    assert found["headline"].replace("\n", " ") == "9,012 of 10,000 accepted"


@pytest.mark.parametrize("width", [375, 1280])
def test_numbers_of_millions_stay_whole(tmp_path, width):
    books = Books(read=12_839_999, planned=12_839_999)
    verdicts = {"accepted": 12_827_654, "rejected": 12_341, "in_doubt": 2, "unrenderable": 1, "expired": 1}
    found = measured(write_page(tmp_path, replace(report_facts(), books=books, verdicts=verdicts)), width)
    assert found["torn"] == []
    assert (found["overflow"], found["beyond"]) == (0, [])


PAINT = {
    "light": {"paper": "#faf9f7", "accepted": "#23845f", "rejected": "#c5432f", "deferred": "#d29a22"},
    "dark": {"paper": "#131416", "accepted": "#45ab81", "rejected": "#e06c58", "deferred": "#dcae4b"},
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_painted_for_light_and_for_dark(report, scheme):
    seen, paint = colours(report, scheme=scheme), PAINT[scheme]
    other = PAINT["dark" if scheme == "light" else "light"]
    assert max(seen, key=seen.get) == paint["paper"]
    assert other["paper"] not in seen
    assert seen[paint["accepted"]] > 20_000
    assert seen[paint["rejected"]] > 1_000
    assert seen[paint["deferred"]] > 500


class Tracker(BaseHTTPRequestHandler):
    """Notes that somebody asked."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def tracker():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def picture(red: int, green: int, blue: int) -> str:
    """A PNG of one pixel, as a data URI."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes([0, red, green, blue]))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def letter(tracker_url: str) -> str:
    return f"""<!DOCTYPE html><html><head>
<link rel="stylesheet" href="{tracker_url}/style.css">
<style>@import url("{tracker_url}/import.css");
body {{ margin: 0; background: #fdfdf0; background-image: url("{tracker_url}/background.png") }}
@media (max-width: 400px) {{ h1 {{ background: #ccddee }} }}
@media (prefers-color-scheme: dark) {{ body {{ background-color: #102030 }} }}</style></head>
<body><h1>Dear Ada</h1><img src="{picture(255, 0, 170)}" alt="a lake" style="width:100px;height:100px;display:block">
<img src="{tracker_url}/open.gif" alt=""><iframe src="{tracker_url}/frame"></iframe>
<img name="documentElement" alt=""><p style="height:500px"></p>
<script>document.body.style.background = '#00ff00'; fetch('{tracker_url}/script')</script></body></html>"""


@pytest.fixture
def letters(tracker) -> list[Preview]:
    html = letter(f"http://127.0.0.1:{tracker.server_port}")
    headers = [("Subject", "Dear Ada"), ("List-Unsubscribe", f"<https://example.com/{'u' * 200}>")]
    rows = [("first row", 3), ("longest name", 17), ("a shape with a long name of its own", 29)]
    return [
        Preview(label, row, "ada@example.com", "Dear Ada", headers, html, "Dear Ada", 34_210, own_dark=True)
        for label, row in rows
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_gallery_shows_every_view_and_runs_and_loads_nothing(letters, tracker, tmp_path, scheme):
    refresh = f'<body><meta http-equiv="refresh" content="0;url=http://127.0.0.1:{tracker.server_port}/refresh">'
    letters = [replace(one, html=one.html.replace("<body>", refresh)) for one in letters]
    seen = colours(write_gallery(tmp_path, letters), scheme=scheme, height=4000)
    assert tracker.asked == []
    assert "#00ff00" not in seen, "a script ran"
    assert seen["#ff00aa"] == 4 * 100 * 100, "the picture is to be seen in four views, and not with images off"
    assert seen["#fdfdf0"] > 3 * 150_000, "three light views, whatever the browser prefers"
    assert seen["#102030"] > 2 * 150_000, "two dark views, whatever the browser prefers"
    assert seen["#ccddee"] > 2 * 5_000, "two narrow views"
    assert PAINT[scheme]["paper"] in seen


def test_the_letter_by_itself_would_have_run_and_loaded_all_of_it(letters, tracker, tmp_path):
    page = tmp_path / "letter.html"
    page.write_text(letters[0].html, "utf-8")
    assert "#00ff00" in colours(page, height=600)
    assert {"/open.gif", "/style.css", "/frame"} <= set(tracker.asked)


@pytest.mark.parametrize("width", [375, 1280])
def test_the_gallery_fits_a_telephone_and_a_desk(letters, tmp_path, width):
    found = measured(write_gallery(tmp_path, letters), width)
    assert found["overflow"] <= 1
    assert found["beyond"] == []
    assert found["smallest"] >= 12
    assert found["frames"] == [600, 375, 600, 375, 600]


@pytest.mark.parametrize(("body", "least", "most"), [("", 64, 64), ("<p style='height:3000px'>x", 3000, 3200)])
def test_each_frame_is_as_tall_as_its_letter(letters, tmp_path, body, least, most):
    html = f'<!DOCTYPE html><img name="documentElement" alt=""><style>img{{display:none}}</style>{body}'
    dom = browser.run(write_gallery(tmp_path, [replace(letters[0], html=html)]), "--dump-dom")
    heights = [int(one) for one in re.findall(r'<iframe [^>]*style="height: (\d+)px;"', dom)]
    assert len(heights) == 5
    assert all(least <= one <= most for one in heights), heights


def test_a_letter_without_rules_for_dark_mode_can_be_read_in_its_dark_views(letters, tmp_path):
    html = '<div style="color:#222222;background:none;font:900 300px/1 monospace">MMMM</div>'
    seen = colours(write_gallery(tmp_path, [replace(letters[0], html=html, own_dark=False)]), height=1400)
    assert seen["#dddddd"] > 10_000, "the dark text has become light"
    assert seen["#000000"] > 10_000, "and its ground dark"


HINTS = """<script>addEventListener('load', () => {
  const cut = [...document.querySelectorAll('main *, nav')].filter(one => one.checkVisibility()
    && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== 'visible');
  const hint = one => one.tagName === 'NAV' ? getComputedStyle(one).maskImage !== 'none'
    : one.className === 'frame' ? getComputedStyle(one.previousSibling, '::after').content.includes('scroll')
    : getComputedStyle(one).textOverflow === 'ellipsis';
  top.document.body.dataset.measured = JSON.stringify(cut.map(one => [one.className || one.tagName, hint(one)]))
})</script></body>"""


def test_what_a_telephone_cuts_off_says_that_there_is_more(letters, tmp_path):
    long = replace(
        letters[0], sender=("A sender with a long name " * 3, ""), preheader="words " * 30, subject="s " * 90
    )
    page = write_gallery(tmp_path, [long, *letters[1:]])
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    page.write_text(html.replace("</body>", HINTS), "utf-8")
    dom = browser.run(browser.framed(page, 390), "--dump-dom")
    cut = json.loads(unescape(re.search(r'data-measured="([^"]*)"', dom)[1]))
    assert [name for name, hint in cut if not hint] == []
    assert [name for name, _ in cut].count("frame") == 3, "the wide views"
    assert "NAV" in [name for name, _ in cut]


def test_a_desk_of_1280_pixels_is_used_from_side_to_side(letters, tmp_path):
    found = measured(write_gallery(tmp_path, letters), 1280)
    assert found["used"] >= 1280 - 2 * 24
