"""The sample newsletter as it lies in the mailbox after `campaign send`, opened with the standard library alone."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.compose.composer import Composer
from campaign.config import load
from campaign.ledger.recovery import read_history
from campaign.model import Letter
from campaign.pipeline.command_context import prepare
from tests.support.stand import ROOT, clean_environment, parsed

ATTRIBUTE = dict[str, str | None]


class Seen(HTMLParser):
    """Every start tag with its attributes, and all text outside of style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ATTRIBUTE]] = []
        self.text: list[str] = []
        self.styles: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.styles if self._inside == "style" else self.text).append(data)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, sent at full speed from a copy of its own; exit 3, because one row makes no letter on purpose."""
    place = tmp_path_factory.mktemp("sample")
    for name in ("sample_data", "templates"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("runs", "*.secret"))
    send(place, 3, "send", "sample_data/newsletter.toml")
    return place


def send(place: Path, code: int, *words: str) -> str:
    found = subprocess.run(
        [sys.executable, "-m", "campaign", *words],
        cwd=place, env={**clean_environment(), "CAMPAIGN__DELIVERY__RATE": "[]"},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert found.returncode == code, found.stderr
    assert "Traceback" not in found.stderr
    return found.stderr


@pytest.fixture(scope="module")
def contents(place: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(place.glob("sample_data/runs/gazette/2026-12/*/mailbox/new/*"))]


@pytest.fixture(scope="module")
def letters(contents: list[bytes]) -> list[EmailMessage]:
    return [parsed(content) for content in contents]


def part(letter: EmailMessage, kind: str) -> str:
    body = letter.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def rows(place: Path) -> Iterator[dict[str, str]]:
    with (place / "sample_data" / "recipients.csv").open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def test_every_letter_is_seven_bit_with_short_lines(contents: list[bytes]) -> None:
    assert len(contents) > 900
    for content in contents:
        head, _, body = content.partition(b"\r\n\r\n")
        assert re.sub(rb"<[^@>]+@[a-z0-9.-]+>", b"<address>", head).isascii()
        assert body.isascii()
        assert b"\0" not in content
        assert max(map(len, content.split(b"\r\n"))) <= 998
        assert b"\n" not in content.replace(b"\r\n", b"")
        assert b"\r" not in content.replace(b"\r\n", b"")


def test_every_header_stands_once(letters: list[EmailMessage]) -> None:
    wanted = {
        "From", "Reply-To", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
        "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID",
    }  # fmt: skip
    for letter in letters:
        names = Counter(letter.keys())
        assert wanted <= set(names)
        assert set(names.values()) == {1}
        assert not letter.defects


def test_each_letter_has_a_message_id_of_its_own(letters: list[EmailMessage]) -> None:
    ids = [letter["Message-ID"] for letter in letters]
    assert all(re.fullmatch(r"<[a-z0-9.]{20,}@example\.com>", one) for one in ids)
    assert len(set(ids)) == len(letters)


def test_each_letter_is_addressed_to_one_person_of_the_list(place: Path, letters: list[EmailMessage]) -> None:
    people = Counter(str(letter["To"].addresses[0].addr_spec).casefold() for letter in letters)
    assert set(people.values()) == {1}
    assert all(len(letter["To"].addresses) == 1 for letter in letters)
    assert letters[0]["From"] == "Lantern Hill Observatory <gazette@example.com>"


def test_one_click_unsubscribe_is_intact_and_personal(contents: list[bytes], letters: list[EmailMessage]) -> None:
    links = {letter["List-Unsubscribe"] for letter in letters}
    assert len(links) == len(letters)
    assert all(re.fullmatch(r"<https://example\.com/u/[A-Za-z0-9_-]+>", link) for link in links)
    assert {letter["List-Unsubscribe-Post"] for letter in letters} == {"List-Unsubscribe=One-Click"}
    for content in contents[:50]:
        raw = re.search(rb"(?m)^List-Unsubscribe: (.*)\r$", content)
        assert raw is not None
        assert b"=?" not in raw[1]


def test_both_texts_say_the_same_to_the_same_person(letters: list[EmailMessage]) -> None:
    for letter in letters[::25]:
        link = letter["List-Unsubscribe"][1:-1]
        assert link in part(letter, "plain")
        assert link in part(letter, "html")
        assert len(part(letter, "plain")) > 500


def display_name(letter: EmailMessage) -> str:
    """As RFC 2047 wants it read: Python's own address parser keeps blanks between encoded words until 3.13."""
    raw = next(str(value) for name, value in letter.raw_items() if name == "To")
    phrase = str(make_header(decode_header(raw.rpartition("<")[0]))).strip()
    return re.sub(r"\\(.)", r"\1", phrase[1:-1]) if phrase.startswith('"') else phrase


def test_names_in_any_script_arrive_intact(place: Path, letters: list[EmailMessage]) -> None:
    names = {row["name"].strip() for row in rows(place) if row.get("name")}
    found = list(map(display_name, letters))
    assert len([name for name in found if not name.isascii()]) > 200
    assert set(found) - {""} <= names
    for letter, name in list(zip(letters, found, strict=True))[::20]:
        if name:
            assert name in letter["Subject"]
            assert name in part(letter, "plain")
            assert name in "".join(Seen(part(letter, "html")).text)


def test_css_is_inlined_and_at_rules_are_kept(letters: list[EmailMessage]) -> None:
    for letter in letters[::50]:
        seen = Seen(part(letter, "html"))
        styled = sum("style" in attributes for _, attributes in seen.tags)
        assert styled > 20
        kept = "".join(seen.styles)
        assert "@media" in kept
        assert "prefers-color-scheme: dark" in kept
        assert "@import" not in kept


def test_pictures_travel_inside_the_letter(letters: list[EmailMessage]) -> None:
    for letter in letters[::50]:
        asked = [str(attributes["src"]) for tag, attributes in Seen(part(letter, "html")).tags if tag == "img"]
        assert asked
        assert all(source.startswith("cid:") for source in asked)
        parts = {one["Content-ID"]: one for one in letter.walk() if one["Content-ID"]}
        assert {f"<{source[4:]}>" for source in asked} == set(parts)
        for one in parts.values():
            assert one.get_content_type() == "image/png"
            assert one.get_content().startswith(b"\x89PNG\r\n")


def test_braces_come_from_the_list_alone_and_arrive_as_they_are(place: Path, letters: list[EmailMessage]) -> None:
    bait = [value for row in rows(place) for value in row.values() if isinstance(value, str) and "{{" in value]
    assert bait
    found = [text for letter in letters for text in part(letter, "plain").split("\r\n") if "{{" in text or "{%" in text]
    assert found
    assert all(any(value in text for value in bait) for text in found)


def test_the_books_of_the_sample_balance(place: Path, letters: list[EmailMessage]) -> None:
    run = next(place.glob("sample_data/runs/gazette/2026-12/*Z"))
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    books, verdicts = summary["books"], summary["verdicts"]
    assert books["read"] == sum(count for name, count in books.items() if name != "read")
    assert books["planned"] == sum(verdicts.values())
    assert verdicts["accepted"] == len(letters)
    assert verdicts["unrenderable"] == 1
    assert not (run / "mailbox" / "tmp").is_dir() or not list((run / "mailbox" / "tmp").iterdir())


def test_nothing_in_the_run_folder_is_open_to_others(place: Path) -> None:
    run = next(place.glob("sample_data/runs/gazette/2026-12/*Z"))
    for path in [run, *run.iterdir()]:
        assert path.stat().st_mode & 0o077 == 0 or path.name == "mailbox", path
    secret = (place / "sample_data" / "campaign.secret").read_bytes().strip()
    assert len(secret) >= 32
    for path in run.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path


def test_the_same_letters_are_the_same_bytes_when_made_again(place: Path, contents: list[bytes]) -> None:
    """Composed again from plan and secret, with the date and the run's trace that the journal recorded."""
    job = prepare(load(place / "sample_data" / "newsletter.toml", {}), environment={})
    run = next(place.glob("sample_data/runs/gazette/2026-12/*Z"))
    plan = Plan.open(run / "plan.jsonl")
    trace = read_history(run).opened.trace
    composer = Composer(job.brief(plan.columns, 1, trace=trace))
    date = parsedate_to_datetime(parsed(contents[0])["Date"]).timestamp()
    again = {letter.content for one in plan.recipients() if isinstance(letter := composer.compose(one, date), Letter)}
    assert again == set(contents)


def test_the_readme_shows_the_figures_of_this_very_run(place: Path, letters: list[EmailMessage]) -> None:
    run = next(place.glob("sample_data/runs/gazette/2026-12/*Z"))
    books = json.loads((run / "summary.json").read_text(encoding="utf-8"))["books"]
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    said = re.search(r"^Books +([\d,]+) rows read = (.*); they balance$", shown, re.MULTILINE)
    assert said is not None
    parts = dict(reversed(part.split(" ")) for part in said[2].replace(",", "").split(" + "))
    assert int(said[1].replace(",", "")) == books["read"]
    assert {name: int(count) for name, count in parts.items()} == {
        name: count for name, count in books.items() if count and name != "read"
    }
    assert f"sends {len(letters):,} letters over real SMTP" in shown
