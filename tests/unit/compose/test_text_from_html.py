"""The text part that is derived from the HTML."""

from __future__ import annotations

import pytest

from campaign.compose.text.text_from_html import derived


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>See <a href='https://example.com/a'>our page</a>.</p>", "See our page (https://example.com/a)."),
        ("<a href='https://example.com'>https://example.com</a>", "https://example.com"),
        ("<a href='https://example.com'>example.com</a>", "example.com"),
        ("<a href='mailto:ada@example.com'>Write</a>", "Write (ada@example.com)"),
        ("<a href='mailto:ada@example.com'>ada@example.com</a>", "ada@example.com"),
        ("<a href='#top'>top</a>", "top"),
        ("<a href='https://example.com/'><img src='a.png' alt='Shop'></a>", "Shop (https://example.com/)"),
        ("<p>a<img src='a.png'>b</p>", "ab"),
        ("<ul><li>one</li><li>two</li></ul>", "  * one\n  * two"),
        ("<ol><li>one</li><li>two</li></ol>", " 1. one\n 2. two"),
        ("<table><tr><td>Price</td><td>3</td></tr><tr><td>Sum</td><td>4</td></tr></table>", "Price  3\nSum  4"),
        ("<div style='display: none'>secret</div><p>seen</p>", "seen"),
        ("<div style='DISPLAY:NONE;max-height:0'>secret</div>seen", "seen"),
        ("<div style='mso-hide:all'>secret</div>seen", "seen"),
        ("<style>p { }</style><title>T</title><!-- no --><script>x</script>seen", "seen"),
        ("<p>one</p>\n\n\n<p>two<br>three</p>", "one\n\ntwo\nthree"),
        ("<p>fish &amp; chips &lt;3 a&nbsp;b</p>", "fish & chips <3 a b"),
        ("<p>李雷&#8203;</p>", "李雷"),
    ],
)
def test_html_reads_well_as_text(html, text):
    assert derived(f"<html><body>{html}</body></html>").strip("\n") == text


def test_lines_end_in_no_blank_and_the_text_in_one_line_end():
    text = derived("<table><tr><td>a</td><td></td></tr></table><p>b </p>")
    assert text.endswith("b\n")
    assert all(line == line.rstrip() for line in text.split("\n"))


def test_no_html_is_no_text():
    assert derived("").strip() == ""
