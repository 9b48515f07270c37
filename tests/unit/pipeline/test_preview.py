"""What a preview leaves in its folder: letters, a page, and the attachments behind its links."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path
from urllib.parse import unquote

import pytest

from campaign.config import load
from campaign.pipeline import preview as module
from campaign.pipeline.command_context import prepare
from campaign.pipeline.preview import preview
from campaign.report.live.console import Console

SETTINGS = """
[campaign]
name = "gazette"
from = "Ada <news@xn--bcher-kva.example>"
[audience]
source = "list.csv"
[compose]
subject = "News"
text = "letter.txt"
attachments = ["{{ file }}"]
[delivery]
relay = "mailbox"
"""


@pytest.fixture
def page(tmp_path: Path):
    """Makes the page for one letter with this file attached, and gives its text."""

    def page(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        (tmp_path / "list.csv").write_text(f"email,file,note\nada@example.com,{name},x\n", "utf-8")
        (tmp_path / "letter.txt").write_text("Dear reader, in short: {% if note %}a note{% endif %}\n")
        (tmp_path / "gazette.toml").write_text(SETTINGS)
        job = prepare(load(tmp_path / "gazette.toml", {}))
        return preview(job, Console(quiet=True), rows=(), to="", output=tmp_path / "out").read_text("utf-8")

    return page


@pytest.mark.parametrize("name", ["invoice.PDF", "näme with blanks.png", "x" * 150 + ".csv"])
def test_an_attachment_that_a_browser_may_open_lies_beside_the_page_with_the_very_bytes(page, tmp_path, name):
    html = page(name, b"\0bytes\r\n\xff")
    link = unquote(re.search(r'<li><a href="([^"]*)"', html)[1])
    assert link.startswith("row-2-1-")
    assert "/" not in link
    assert Path(link).suffix.lower() in (".pdf", ".png", ".txt", ".csv")
    assert (tmp_path / "out" / link).read_bytes() == b"\0bytes\r\n\xff"
    assert (tmp_path / "out" / link).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["page.html", "logo.svg", "feed.xml", "page.pdf.htm", "noending", "x.xhtml"])
def test_an_attachment_that_could_run_in_a_browser_is_saved_and_never_opened(page, tmp_path, name):
    html = page(name, b"<script>alert(1)</script>")
    href, download = re.search(r'<li><a href="([^"]*)" target="_blank" download="([^"]*)"', html).groups()
    kind, _, data = href.partition(",")
    assert (kind, download) == ("data:application/octet-stream;base64", name)
    assert b64decode(data) == b"<script>alert(1)</script>"
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["index.html", "row-2.eml"]


def test_a_large_one_of_them_is_not_put_into_the_page(page, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_SAVED", 10)
    html = page("page.html", b"<script>alert(1)</script>")
    assert "data:application" not in html
    assert "look into the .eml file" in html


def test_the_page_names_the_campaign_the_sender_and_the_first_words(page):
    html = page("a.txt", b"x")
    assert "<h1>gazette</h1>" in html
    assert "news@bücher.example" in html
    assert 'class="preheader">Dear reader, in short: a note<' in html


def test_each_letter_of_a_row_with_several_addresses_has_a_file_of_its_own(tmp_path):
    (tmp_path / "list.csv").write_text("email\na@example.com; b@example.com\n")
    (tmp_path / "letter.txt").write_text("Dear reader\n")
    settings = 'split_addresses = true\nsource = "list.csv"'
    (tmp_path / "gazette.toml").write_text(re.sub(r'source = "[^"]*"', settings, re.sub("attach.*\n", "", SETTINGS)))
    job = prepare(load(tmp_path / "gazette.toml", {}))
    preview(job, Console(quiet=True), rows=(2,), to="", output=tmp_path / "out")
    letters = {one.name: one.read_text() for one in (tmp_path / "out").glob("*.eml")}
    assert sorted(letters) == ["row-2.eml", "row-2_2.eml"]
    assert "To: b@example.com" in letters["row-2_2.eml"]
