"""Inlining keeps the author's look: each document of `corpus/` beside what is made of it, in Chromium, in all views."""

import fcntl
import importlib.util
import json
import os
import re
from pathlib import Path
from shutil import copytree

import pytest

from campaign.compose.html.css.css_inliner import Styles
from tests.support.servers import browser

_SPEC = importlib.util.spec_from_file_location("looks", Path(__file__).with_name("looks.py"))
looks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(looks)

CORPUS = Path(__file__).with_name("corpus")
DOCUMENTS = {path.stem: path.read_text("utf-8") for path in sorted(CORPUS.glob("*.html"))}
INLINERS = ("premailer", "css-inline")

#: Documents that look otherwise without their sheets, whoever inlines them, and why.
NEED_THEIR_SHEETS: dict[str, str] = {
    "attributes_for_looks": "* is not written into every element",
    "at_rules_that_stay": "an animation is named in the element and described in the sheet",
    "cascade_layers": "layers are an order of sheets",
    "client_hooks": "* is not written into every element",
    "columns_side_by_side": "::after is no element",
    "elements_without_tags": "where the author wrote no tag there is none to write into",
    "forms": "what the state of a control decides stays in the sheet",
    "generated_content": "::before is no element",
    "id_against_classes_against_types": "* is not written into every element",
    "is_where_and_has": "not every client that shows styles of elements knows these",
    "lists_and_markers": "::marker is no element",
    "nested_conditions": "rules for wide screens, and for what a client supports, stay conditional",
    "not_and_nth_child": "lists in :not() and in :nth-child() are not known to every client",
    "right_to_left": "what :lang() and :dir() match is the client's affair",
    "unknown_selectors_in_lists": "not every client that shows styles of elements knows :is()",
}


def inlined(html: str, inliner: str) -> str:
    return Styles(CORPUS, (CORPUS,), inliner).inline(html)


def corpus_letters() -> tuple[list, list]:
    """The letters, and what could not be made into one."""
    letters, failures = [], []
    for name, html in DOCUMENTS.items():
        ours = {}
        for inliner in INLINERS:
            try:
                ours[inliner] = inlined(html, inliner)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the failure of this document
                failures.append(looks.Difference(name, inliner, "inlining", "", "error", "", str(error)))
        letters.append(looks.Letter(name, html, ours))
    return letters, failures


# The comparison is no use where it is blind: faults to find, each in these views and in no other.

AUTHOR = """<!doctype html><html><head><style>p { color: #333 } table { width: 50% } a { color: #00f; display: block }
a:hover { color: #f00 }</style></head><body><p class="x">Dear Ada,</p>
<table><tr><td>one<!-- two --></td></tr></table><![if !mso]><i>two</i><![endif]>
<!--[if mso]><b>three</b><![endif]--><a href="#">more</a></body></html>"""
FAIR = """<!doctype html><html><head><style>a:hover { color: #f00 !important }</style></head><body>
<p class="x" style="color: #333">Dear Ada,</p>
<table width="50%" style="width: 50%"><tr><td>one<!-- two --></td></tr></table><![if !mso]><i>two</i><![endif]>
<!--[if mso]><b>three</b><![endif]--><a href="#" style="color: #00f; display: block">more</a></body></html>"""
EVERY = set(looks.VIEWS)
STARRED = "<style>p::before { content: '*' }"
AT = "<style>@media ({}-width: 500px) and (prefers-color-scheme: {}) {{ p {{ color: #010203 !important }} }}"

FAULTS = {
    "nothing": (AUTHOR, FAIR, "", set()),
    "wide and light": (
        AUTHOR,
        FAIR.replace("<style>", AT.format("min", "light")),
        "color",
        {"700 light", looks.TOUCHED},
    ),
    "narrow and light": (AUTHOR, FAIR.replace("<style>", AT.format("max", "light")), "color", {"390 light"}),
    "wide and dark": (AUTHOR, FAIR.replace("<style>", AT.format("min", "dark")), "color", {"700 dark"}),
    "narrow and dark": (AUTHOR, FAIR.replace("<style>", AT.format("max", "dark")), "color", {"390 dark"}),
    "a rule left in the sheet": (AUTHOR, AUTHOR.replace("#f00", "#f00 !important"), "color", {looks.BARE}),
    "a hover that loses": (AUTHOR, FAIR.replace(" !important", ""), "color", {looks.TOUCHED}),
    "a wrong colour": (AUTHOR, FAIR.replace("#333", "#334"), "color", EVERY),
    "another box": (AUTHOR, FAIR.replace("#333", "#333; margin-left: -1px"), "box", EVERY),
    "another width": (AUTHOR, FAIR.replace('"50%"', '"49%"').replace("width: 50%", ""), "width", EVERY),
    "an attribute made": (AUTHOR, FAIR.replace("<td>", '<td align="left">'), "@align", EVERY),
    "a value HTML does not have": (AUTHOR, FAIR.replace('"50%"', '"50% !important"'), "@width", EVERY),
    "an attribute lost": (AUTHOR, FAIR.replace('class="x"', ""), "@class", EVERY),
    "another text": (AUTHOR, FAIR.replace("Ada", "Bob"), "text", EVERY),
    "an element too many": (AUTHOR, FAIR.replace("<td>", "<td><br>"), "elements", EVERY),
    "no doctype": (AUTHOR, FAIR.replace("<!doctype html>", ""), "mode", EVERY),
    "a comment lost": (AUTHOR, FAIR.replace("<!-- two -->", ""), "comments", EVERY - {looks.BARE}),
    "a condition lost": (AUTHOR, FAIR.replace("<![if !mso]>", "<!--[if !mso]-->"), "conditional comments", {"source"}),
    "a star lost": (AUTHOR.replace("<style>", STARRED), FAIR, "::before content", EVERY),
}


def compute(folder: Path) -> list:
    """All differences, of the corpus and of the faults."""
    letters, failures = corpus_letters()
    copytree(CORPUS, folder, dirs_exist_ok=True)
    faults = [looks.Letter(name, author, {"fault": ours}) for name, (author, ours, *_) in FAULTS.items()]
    return failures + looks.differences(letters + faults, folder)


@pytest.fixture(scope="session")
def found(tmp_path_factory) -> list:
    """The same, once; where tests run in several processes, the first to come computes it for all."""
    browser.needed()
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    results = shared / "looks.json"
    with (shared / "looks.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not results.exists():
            results.write_text(json.dumps(compute(tmp_path_factory.mktemp("looks"))), "utf-8")
    return [looks.Difference(*one) for one in json.loads(results.read_text("utf-8"))]


@pytest.mark.parametrize("inliner", INLINERS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_letter_looks_as_its_author_made_it(found, name, inliner):
    mine = [one for one in found if (one.letter, one.inliner) in ((name, inliner), (name, "harness"))]
    if name in NEED_THEIR_SHEETS:
        mine = [one for one in mine if one.view != looks.BARE]
    if mine:
        pytest.fail(looks.told(mine), pytrace=False)


@pytest.mark.parametrize("name", NEED_THEIR_SHEETS)
def test_a_letter_that_is_said_to_need_its_sheets_does(found, name):
    bare = {one.inliner for one in found if one.letter == name and one.view == looks.BARE}
    assert bare == set(INLINERS)


@pytest.mark.parametrize("inliner", INLINERS)
def test_what_only_outlook_reads_reaches_the_element(inliner):
    html = inlined(DOCUMENTS["vendor_prefixes"], inliner).replace(" ", "")
    styles = re.findall(r'style="([^"]*)"', html)
    assert any("mso-line-height-rule:exactly" in style and "color:#333333" in style for style in styles), "of a rule"
    assert any("mso-padding-alt:0" in style for style in styles), "of its own"


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_in_the_views_that_have_it_and_in_no_other(found, name):
    *_, named, views = FAULTS[name]
    mine = [one for one in found if one.letter == name]
    assert {one.view for one in mine} == views
    assert {one.view for one in mine if one.name == named} == views
