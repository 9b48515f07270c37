"""The report page: what it says, and that it is one file that runs and loads nothing."""

import math
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from campaign.model import Books
from campaign.report.facts import TIME_ZONE, DoubtRow, ReplyTally, RunFacts, SampleLetter, TimelineBucket
from campaign.report.formatting import moment_in
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
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in {"src", "srcset", "action"}]
    assert {value for name, value in reader.attributes if name == "href"} == {"screened.csv"}
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
    text = "".join(read(page(facts(in_doubt=doubts, by_domain=domains, domain_count=400))).text)
    assert "And 150 more, in in-doubt.csv." in text
    assert "And 370 smaller domains more." in text
    assert "a99@example.com" in text
    assert "a100@example.com" not in text


def test_of_many_domains_the_largest_are_in_sight_and_the_others_folded():
    html = page(facts(by_domain={f"d{at}.example": {"accepted": 1000 - at} for at in range(25)}, domain_count=25))
    sight, _, folded = html.partition("<summary>17 more domains</summary>")
    assert "d7.example" in sight
    assert "d8.example" not in sight
    assert "d24.example" in folded
    assert "smaller" not in folded
    assert "more domain" not in page(facts())


def test_domains_and_addresses_are_shown_in_their_own_letters():
    doubt = DoubtRow(1, "ada@xn--bcher-kva.example", "<m>", "r", 0.0)
    text = "".join(read(page(facts(by_domain={"xn--fsqu00a.example": {"accepted": 1}}, in_doubt=[doubt]))).text)
    assert "例子.example" in text
    assert "ada@bücher.example" in text
    assert "xn--" not in text


def test_a_row_that_makes_no_letter_is_not_told_as_a_reply():
    fault = ReplyTally(0, "", "the display name holds a line break", "unrenderable", 7)
    html = page(facts(by_reply=[fault]))
    assert "<h2>Not rendered</h2>" in html
    assert "The display name holds a line break." in html
    assert "<h2>Replies</h2>" not in html
    assert "<code>no reply</code>" not in html
    assert "<h2>Not rendered</h2>" not in page(facts())


def test_times_are_told_by_the_clocks_of_the_machine_beside_utc():
    html = page(facts(settings={TIME_ZONE: "Europe/Berlin"}))
    assert "Began 2026-11-24 08:00:00 UTC (09:00:00 Europe/Berlin)" in html
    assert "<span>08:00:00<small>09:00</small></span>" in html
    assert "times are UTC, under them Europe/Berlin." in html


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Asia/Tokyo", "2026-11-24 20:00:00 UTC (2026-11-25 05:00:00 Asia/Tokyo)"),
        ("UTC", "2026-11-24 20:00:00 UTC"),
        ("", "2026-11-24 20:00:00 UTC"),
        ("Nowhere/At all", "2026-11-24 20:00:00 UTC"),
        ("../../etc/passwd", "2026-11-24 20:00:00 UTC"),
    ],
)
def test_local_time_names_its_day_where_it_differs_and_is_left_out_where_it_tells_nothing(zone, said):
    assert moment_in(1795550400.0, zone) == said


def test_why_rows_were_set_aside_is_one_click_away():
    html = page(facts())
    assert "<summary>Why 10 rows were set aside</summary>" in html
    assert "<dt>6 duplicate</dt><dd>the recipient stands in the list before</dd>" in html
    assert '<a href="screened.csv">screened.csv</a>' in html
    assert "set aside</summary>" not in page(facts(books=Books(read=1000, planned=1000)))


def test_the_small_print_has_no_word_that_is_not_explained_where_it_stands():
    text = "".join(read(page(facts())).text)
    assert "Generation" not in text
    assert "Trace" not in text
    assert "Id in log and metrics" in text
    assert "Checksums (SHA-256) of the files and settings that shape a letter." in text
    assert "Sent again" not in text
    assert "Sent again2 times before" in "".join(read(page(facts(generation=3))).text)


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


def test_the_letter_stands_in_a_frame_that_runs_and_loads_nothing():
    sample = SampleLetter("News for «name»", "Ada <news@xn--bcher-kva.example>", "<p>Hi</p><script>x()</script>", "")
    html = page(facts(sample=sample))
    assert '<iframe sandbox="" srcdoc="&lt;p&gt;Hi&lt;/p&gt;&lt;script&gt;' in html
    assert "<script" not in html
    text = "".join(read(html).text)
    assert "News for «name»Ada <news@bücher.example>" in text
    assert "No recipient's data is shown." in text
    assert "default-src 'none'" in unescape(html)
    assert "<h2>Letter</h2>" not in page(facts())


def test_a_letter_of_text_alone_keeps_its_lines():
    html = page(facts(sample=SampleLetter("News", "news@example.com", "", "Dear <reader>\r\n\r\nBye\r\n")))
    assert "<span>Dear &lt;reader&gt;</span><span></span><span>Bye</span>" in html
    assert "<iframe" not in html


def test_on_paper_the_folded_domains_and_reasons_are_open():
    printed = re.search(r"@media print \{(.*?)\n\}", page(facts()), re.DOTALL)[1]
    assert ".reasons::details-content, .rest::details-content { content-visibility: visible;" in printed
