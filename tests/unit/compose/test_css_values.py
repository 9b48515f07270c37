"""Which values every mail reader takes: only those make what stood before them needless."""

from __future__ import annotations

import pytest

from campaign.compose.html.css.css_values import is_known


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("color", "#fff"), ("color", "Red"), ("background-color", "#A0B1c2"), ("background-color", "transparent"),
        ("margin", "0 auto"), ("margin", "-1px 2.5em 0 .5%"), ("padding-left", "3pt"), ("width", "100%"),
        ("font-family", "Arial, 'Open Sans', sans-serif"), ("font-weight", "700"), ("line-height", "1.5"),
        ("border", "1px solid #eee"), ("border-top-color", "red"), ("text-align", "center"), ("display", "block"),
        ("background", "#fff url(x.png) no-repeat top left"), ("mso-line-height-rule", "exactly"), ("color", "inherit"),
    ],
)  # fmt: skip
def test_the_usual_is_known(name, value):
    assert is_known(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("color", "gary"), ("color", "#ffff"), ("color", "rgb(0 0 0 / 50%)"), ("color", "rebeccapurple"),
        ("color", "red background: blue"), ("color", "red !importan"), ("background", "linear-gradient(#333,#666)"),
        ("width", "600"), ("width", "calc(100% - 2px)"), ("width", "50vw"), ("font-size", "1rem"), ("display", "flex"),
        ("display", "-webkit-box"), ("font-weight", "light"), ("text-align", "top"), ("margin", "auto x"),
        ("margin", "var(--m)"), ("unheard-of", "1px"), ("padding", "unset"),
    ],
)  # fmt: skip
def test_what_a_reader_may_not_take_is_not(name, value):
    assert not is_known(name, value)
