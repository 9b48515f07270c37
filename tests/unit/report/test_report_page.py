"""The report page: what it says, and that it is one file that runs and loads nothing."""

import math
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from campaign.model import Books
from campaign.report.facts import DoubtRow, ReplyTally, RunFacts, TimelineBucket
from campaign.report.html.html_builder import Html, html_document, join, tag
from campaign.report.html.report_page import headline, page, write_page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[31m\u202egnp.exe\r\n"
VOID = {"meta", "br", "hr", "img", "input", "link"}


def facts(**changes) -> RunFacts:
    given = {
        "campaign": "gazette",
        "edition": "2026-11",
        "run": "20261124T080000Z",
        "folder": "runs/gazette/2026-11/20261124T080000Z",
        "generation": 1,
        "started": 1795507200.0,
        "ended": 1795507220.4,
        "books": Books(read=1010, invalid=4, duplicate=6, planned=1000),
        "verdicts": {"accepted": 996, "rejected": 3, "in_doubt": 1},
        "by_domain": {"example.com": {"accepted": 600, "rejected": 3}, "example.net": {"accepted": 396, "in_doubt": 1}},
        "by_reply": [ReplyTally(550, "5.1.1", "No such user", "rejected", 3, "The mailbox does not exist.")],
        "timeline": [TimelineBucket(1795507200.0 + at, 49, 0, 1) for at in range(20)],
        "latency": {"p50": 0.042, "p90": 0.118, "p99": 0.71, "max": 3.4},
        "relays": {"smtps://smtp.example.com:465": 996},
        "settings": {"delivery.rate": "50/s"},
        "fingerprints": {"body.html.j2": "9f2c" * 16},
        "exit_code": 4,
        "in_doubt": [
            DoubtRow(512, "grace@example.net", "<k3v7@example.com>", "smtps://smtp.example.com:465", 1795507210.0)
        ],
        "file": "gazette.toml",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    return RunFacts(**(given | changes))


class Reader(HTMLParser):
    """Checks that elements nest, and keeps tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize(
    ("accepted", "planned", "said"),
    [
        (996, 1000, "996 of 1,000 accepted"),
        (1000, 1000, "All 1,000 accepted"),
        (1, 1, "The one letter was accepted"),
        (0, 5, "None of 5 accepted"),
        (0, 1, "The one letter was not accepted"),
        (0, 0, "Nobody was left to serve"),
    ],
)
def test_the_headline_says_it_in_words(accepted, planned, said):
    assert headline(facts(books=Books(read=planned, planned=planned), verdicts={"accepted": accepted})) == said


@pytest.mark.parametrize(
    "said",
    [
        "996 of 1,000 accepted",
        "3 are rejected and 1 is in doubt.",
        "Finished, some in doubt",
        "They balance: 1,010 rows read = 4 invalid + 6 duplicate + 1,000 planned; every recipient has one verdict.",
        "The mailbox does not exist.",
        "No such user",
        "550 5.1.1",
        "grace@example.net",
        "<k3v7@example.com>",
        "42 ms",
        "3.40 s",
        "50/s",
        "9f2c" * 16,
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "980 accepted, 0 deferred, 20 rejected over 20s; at most 49.0/s accepted, at 08:00:00 UTC.",
    ],
)
def test_the_page_says(said):
    assert said in "".join(read(page(facts())).text)


def test_commands_on_the_page_can_be_copied_whole():
    text = "".join(read(page(facts())).text)
    assert "campaign resolve runs/gazette/2026-11/20261124T080000Z --accepted LOG " in text


def test_nothing_runs_and_nothing_is_fetched():
    html = page(facts())
    reader = read(html)
    assert not reader.tags & {"script", "iframe", "object", "embed", "link", "img", "form", "base"}
    assert not [
        name for name, _ in reader.attributes if name.startswith("on") or name in {"src", "href", "srcset", "action"}
    ]
    assert not re.search(r"@import|url\(|//", re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1])
    assert "default-src 'none'" in unescape(html)


def everything_hostile() -> RunFacts:
    return facts(
        campaign=HOSTILE,
        edition=HOSTILE,
        run=HOSTILE,
        folder=HOSTILE,
        file=HOSTILE,
        trace_id=HOSTILE,
        notes=[HOSTILE],
        relays={HOSTILE: 1},
        settings={HOSTILE: HOSTILE},
        fingerprints={HOSTILE: HOSTILE},
        by_domain={HOSTILE: {"accepted": 3, "rejected": 1}},
        by_reply=[ReplyTally(550, HOSTILE, HOSTILE, "rejected", 1, HOSTILE)],
        in_doubt=[DoubtRow(1, HOSTILE, HOSTILE, HOSTILE, 0.0)],
    )


def test_what_relays_and_rows_say_is_text_and_never_markup():
    html = page(everything_hostile())
    plain, hostile = read(page(facts())), read(html)
    assert hostile.tags == plain.tags
    assert {name for name, _ in hostile.attributes} == {name for name, _ in plain.attributes}
    assert not set(html) & set("\x1b\u202e\r")
    assert html.count("&lt;script&gt;") >= 14


def test_books_that_do_not_balance_are_an_alarm():
    html = page(facts(verdicts={"accepted": 999}, exit_code=70))
    assert 'class="alarm"' in html
    assert "They do not balance: 1,000 recipients were planned, but" in html


def test_a_run_without_anything_still_has_a_page():
    empty = RunFacts("a", "", "r", "f", 1, 0.0, 0.0, Books(), {})
    text = "".join(read(page(empty)).text)
    assert "Nobody was left to serve" in text
    assert "In doubt" not in text


def test_long_lists_are_cut_and_say_so():
    doubts = [DoubtRow(at, f"a{at}@example.com", "<m>", "r", 0.0) for at in range(250)]
    domains = {f"d{at}.example": {"accepted": 1000 - at} for at in range(30)}
    text = "".join(read(page(facts(in_doubt=doubts, by_domain=domains))).text)
    assert "And 150 more, in in-doubt.csv." in text
    assert "And 10 domains more." in text
    assert "a99@example.com" in text
    assert "a100@example.com" not in text
    assert "d29.example" not in text


@pytest.mark.parametrize("seconds", [3, 7, 119, 121, 3600, 90_000])
def test_the_timeline_never_has_more_columns_than_can_be_seen(seconds):
    html = page(facts(timeline=[TimelineBucket(float(at), 50, 0, 0) for at in range(seconds)]))
    columns = html.count('class="hit"')
    assert math.ceil(seconds / 1000) <= columns <= 120
    assert "50 accepted" in html or "50.0 accepted" in html
    heights = [float(height) for height in re.findall(r'height="([\d.]+)" class="accepted"', html)]
    assert max(heights) <= 100


def test_a_run_of_a_moment_is_told_in_words_and_not_as_one_great_block():
    html = page(facts(timeline=[TimelineBucket(1795507200.0, 0, 0, 40)]))
    assert "<svg" not in html
    assert "40 rejected within 1s, from 08:00:00 UTC." in html


def test_the_axis_of_a_run_of_days_names_the_day():
    days = [TimelineBucket(1795507200.0 + at * 3600, 50, 0, 0) for at in range(60)]
    assert "<span>2026-11-24 08:00</span>" in page(facts(timeline=days))
    assert "<span>08:00:00</span>" in page(facts())


def test_of_a_few_replies_there_are_no_percentiles():
    html = page(facts(latency={"p50": 0.0004, "max": 0.0004}, latency_buckets={0.01: 1}))
    assert "The answer came after 0.4 ms." in html
    assert 'class="latency"' not in html


def test_a_refusal_is_told_in_words_with_advice_before_what_the_relay_said():
    one = ReplyTally(550, "5.1.1", "No such user", "rejected", 3, "take it off", "there is no such recipient")
    html = page(facts(by_reply=[one]))
    assert "<b>There is no such recipient.</b> Take it off." in html
    assert html.index("Take it off.") < html.index("No such user")


def test_a_run_that_served_nobody_does_not_look_like_a_success():
    html = page(facts(verdicts={"rejected": 1000}, exit_code=3))
    assert '<span class="ending bad">Finished, nobody was served</span>' in html
    assert "None of 1,000 accepted" in html


def test_a_run_in_which_nothing_was_tried_does_not_boast_of_its_speed():
    assert "took 0s" not in "".join(read(page(facts(started=5.0, ended=5.0, verdicts={"waiting": 1000}))).text)


def test_the_page_is_for_the_owner_only_and_small(tmp_path):
    path = write_page(tmp_path, facts())
    assert path.name == "report.html"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size < 60_000


def test_only_markup_is_markup():
    assert tag("p", "a < b", Html("<b>c</b>"), None, False, 1234, ["x", ["&"]]) == "<p>a &lt; b<b>c</b>1,234x&amp;</p>"
    assert tag("a", cls='"><x', for_="y", aria_label="z", open=True, gone=None) == (
        '<a class="&quot;&gt;&lt;x" for="y" aria-label="z" open></a>'
    )
    assert join([Html("<i></i>"), "<i>"]) == "<i></i>&lt;i&gt;"
    with pytest.raises(TypeError, match="float is no child"):
        tag("p", 1.5)


def test_a_document_forbids_everything_before_anything_is_read():
    head = html_document("t", "page.css", "x").split("</head>")[0]
    assert head.index("Content-Security-Policy") < head.index("<title>")
