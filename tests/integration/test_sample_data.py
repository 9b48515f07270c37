"""The sample data is what its page says: made by its generator, screened as listed, rendered but for one row."""

from __future__ import annotations

import atexit
import csv
import email
import email.policy
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import astuple, dataclass
from email.header import decode_header, make_header
from email.message import EmailMessage
from functools import cache, cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeGuard

import pytest
from lxml import html as markup

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.compose.composer import Brief, Composer
from campaign.config import Settings, load
from campaign.model import Identity, Letter, Recipient, Unrenderable

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_data"
CAMPAIGNS = ("newsletter", "invoices", "alert")
DATE = 1_796_000_000.0
RESERVED = re.compile(r"@([^@]+\.)?(example\.(com|org|net)|[^@.]+\.(example|test|invalid))", re.IGNORECASE)
#: How long a letter's HTML may be before Gmail cuts it off.
CLIPPED = 102 * 1024


def page_rows(first: str) -> list[list[str]]:
    """The cells of the table in ABOUT.md whose header begins with ``first``, by row."""
    lines = (SAMPLES / "ABOUT.md").read_text(encoding="utf-8").split("\n")
    start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first}")) + 2
    end = next(at for at in range(start, len(lines)) if not lines[at].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start:end]]


def listed() -> dict[int, str]:
    """Line of each planted row -> the fate that ABOUT.md promises it."""
    return {int(cells[0]): cells[1] for cells in page_rows("line")}


@cache
def settings(name: str) -> Settings:
    return load(SAMPLES / f"{name}.toml", {})


@cache
def frozen(name: str) -> tuple[Plan, dict[int, str]]:
    """The plan of a sample campaign, and what screening made of the other lines."""
    this, folder = settings(name), Path(mkdtemp(prefix="samples-"))
    atexit.register(shutil.rmtree, folder)
    suppression = Suppression.load(this.audience, this.base, ())
    plan = freeze(this.audience, this.base, folder, suppression=suppression, already=None)
    with (folder / "screened.csv").open(encoding="utf-8", newline="") as file:
        return plan, {int(row["line"]): row["reason"] for row in csv.DictReader(file)}


@cache
def letters(name: str) -> dict[int, Letter | Unrenderable]:
    """What each planned row of a sample campaign is made into, by line."""
    this, (plan, _) = settings(name), frozen(name)
    brief = Brief(
        identity=Identity(this.campaign.name, this.campaign.edition, 1, b"s" * 32),
        sender=this.campaign.sender,
        reply_to=this.campaign.reply_to,
        return_path=this.campaign.return_path,
        settings=this.compose,
        base=this.base,
        columns=plan.columns,
    )
    composer = Composer(brief)
    return {recipient.line: composer.compose(recipient, DATE) for recipient in plan.recipients()}


@dataclass(frozen=True)
class Received:
    """A letter as a mail reader sees it: the row it was made for, its headers and parts, and both texts."""

    recipient: Recipient
    message: EmailMessage
    text: str
    html: str

    @cached_property
    def document(self) -> Any:
        return markup.fromstring(self.html)

    @cached_property
    def shown(self) -> str:
        """The text of the HTML part."""
        return str(self.document.find("body").text_content())


def is_letter(one: Letter | Unrenderable) -> TypeGuard[Letter]:
    return isinstance(one, Letter)


@cache
def received(name: str) -> list[Received]:
    """The letters of a sample campaign, parsed by the standard library."""
    made = letters(name)
    found = []
    for recipient in frozen(name)[0].recipients():
        if isinstance(letter := made[recipient.line], Letter):
            message = email.message_from_bytes(letter.content, policy=email.policy.default)
            found.append(Received(recipient, message, body(message, "plain"), body(message, "html")))
    return found


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return part.get_content().replace("\r\n", "\n") if part else ""


@pytest.fixture(scope="module")
def made_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    subprocess.run([sys.executable, SAMPLES / "make_samples.py", folder], check=True, timeout=60)
    return folder


@pytest.mark.parametrize("name", ["recipients.csv", "unsubscribed.csv", "ABOUT.md", "invoices"])
def test_the_generator_makes_the_same_files_again(made_again: Path, name: str) -> None:
    def content(folder: Path) -> dict[str, bytes]:
        files = sorted((folder / name).iterdir()) if (folder / name).is_dir() else [folder / name]
        return {file.name: file.read_bytes() for file in files}

    assert content(made_again) == content(SAMPLES)


def test_the_generator_makes_the_same_database_again(made_again: Path) -> None:
    def dump(folder: Path) -> list[str]:
        with closing(sqlite3.connect(folder / "shop.sqlite")) as database:
            return list(database.iterdump())

    assert dump(made_again) == dump(SAMPLES)


def test_there_are_exactly_a_thousand_records_under_a_header_in_small_letters() -> None:
    with (SAMPLES / "recipients.csv").open(encoding="utf-8", newline="") as file:
        header, *records = csv.reader(file)
    assert len(records) == 1000
    assert header == [column.lower() for column in header]


def test_every_address_in_every_sample_lies_under_a_reserved_name() -> None:
    addresses = [recipient.address for name in CAMPAIGNS for recipient in frozen(name)[0].recipients()]
    with (SAMPLES / "unsubscribed.csv").open(encoding="utf-8", newline="") as file:
        addresses += [row["email"] for row in csv.DictReader(file)]
    assert [address for address in addresses if not RESERVED.fullmatch("@" + address.rpartition("@")[2])] == []


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_the_books_come_out_as_the_page_says(name: str) -> None:
    cells = next(row for row in page_rows("| read") if row[0] == f"`{name}.toml`")
    read, further, *rest = astuple(frozen(name)[0].books)
    assert further == 0
    assert (read, *rest) == tuple(int(cell) for cell in cells[1:9])


def test_every_planted_row_meets_the_fate_the_page_promises_and_no_other_row_does() -> None:
    screened, made = frozen("newsletter")[1], letters("newsletter")
    unrenderable = {line: "unrenderable" for line, one in made.items() if isinstance(one, Unrenderable)}
    odd = {line: fate for line, fate in listed().items() if fate != "accepted"}
    assert screened | unrenderable == odd
    assert {line for line, fate in listed().items() if fate == "accepted"} <= made.keys() - unrenderable.keys()


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_the_verdicts_the_page_expects_are_those_that_rendering_allows(name: str) -> None:
    cells = next(row for row in page_rows("| read") if row[0] == f"`{name}.toml`")
    made = Counter("accepted" if isinstance(one, Letter) else "unrenderable" for one in letters(name).values())
    assert cells[9] == ", ".join(f"{number} {verdict}" for verdict, number in sorted(made.items()))
    assert cells[10] == ("3" if made["unrenderable"] else "0")


def test_the_reason_of_the_one_refused_row_names_the_line_break() -> None:
    refused = [one.reason for one in letters("newsletter").values() if isinstance(one, Unrenderable)]
    assert len(refused) == 1
    assert "line break" in refused[0]


def test_no_letter_has_another_recipient_or_another_header_than_all_the_others() -> None:
    names = {tuple(one.message.keys()) for one in received("newsletter")}
    assert len(names) == 1
    assert "Bcc" not in names.pop()
    for one in received("newsletter"):
        domain = one.recipient.address.rpartition("@")[2]
        (address,) = one.message["To"].addresses
        assert address.domain == domain
        assert one.recipient.address.isascii() <= (address.addr_spec == one.recipient.address)


def test_display_names_in_any_script_arrive_as_they_are_written() -> None:
    # Not by the policy's own parser: on some versions of Python it puts a blank between two encoded words.
    for letter, one in zip(filter(is_letter, letters("newsletter").values()), received("newsletter"), strict=True):
        head = letter.content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").decode()
        (to,) = re.findall(r"^To: (.*)\r$", head, re.MULTILINE)
        phrase = to.rpartition("<")[0].strip()
        shown = phrase[1:-1].replace('\\"', '"') if phrase.startswith('"') else str(make_header(decode_header(phrase)))
        assert shown == one.recipient.name


@pytest.mark.parametrize("column", ["name", "city", "country", "member_id", "articles_read", "note"])
def test_every_value_arrives_character_by_character_in_both_parts(column: str) -> None:
    for one in received("newsletter"):
        value = str(one.recipient.row[column])
        assert value in one.text, one.recipient.line
        assert value in one.shown, one.recipient.line


def test_no_markup_of_a_row_becomes_markup_of_the_letter() -> None:
    images = {one.name for one in (ROOT / "templates" / "newsletter" / "images").iterdir()}
    for one in received("newsletter"):
        assert not one.document.findall(".//script"), one.recipient.line
        assert len(one.document.findall(".//img")) == len(images), one.recipient.line


def test_every_picture_travels_in_the_letter_and_says_what_it_shows() -> None:
    first = received("newsletter")[0]
    images = {image.get("src"): image.get("alt") for image in first.document.iter("img")}
    assert images.keys() == {f"cid:{part['Content-ID'][1:-1]}" for part in first.message.walk() if part["Content-ID"]}
    assert None not in images.values()


def test_the_same_unsubscribe_link_is_in_the_header_and_in_both_parts() -> None:
    for one in received("newsletter"):
        link = one.message["List-Unsubscribe"].strip("<>")
        assert link in one.text
        assert link in {anchor.get("href") for anchor in one.document.iter("a")}
        assert one.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_styles_are_inlined_and_those_that_cannot_be_stay_in_the_head() -> None:
    document = received("newsletter")[0].document
    assert "font-size:17px" in document.xpath("//td[contains(@class, 'body')]/@style")[0].replace(" ", "")
    kept = "".join(document.xpath("//style/text()")).replace(" ", "")
    assert "(prefers-color-scheme:dark)" in kept
    assert "(max-width:599px)" in kept


def test_no_letter_is_so_long_that_a_mail_reader_would_cut_it() -> None:
    assert max(len(one.html.encode()) for one in received("newsletter")) < CLIPPED


def test_each_plan_reads_its_own_paragraph() -> None:
    paragraphs = {"patron": "For patrons", "friend": "For friends", "free": "From us to you"}
    for one in received("newsletter"):
        assert [plan for plan, words in paragraphs.items() if words in one.shown] == [one.recipient.row["plan"]]


def test_each_invoice_brings_its_own_pdf_and_its_own_lines() -> None:
    for one in received("invoices"):
        (attachment,) = one.message.iter_attachments()
        content = attachment.get_content()
        assert attachment.get_filename() == f"{one.recipient.key}.pdf"
        assert content == (SAMPLES / "invoices" / f"{one.recipient.key}.pdf").read_bytes()
        assert one.recipient.key.encode() in content
        lines: Any = one.recipient.row["lines"]
        for line in lines:
            assert line["article"] in one.text
            assert line["article"] in one.shown
            assert line["article"].encode() in content


def test_a_customer_with_four_invoices_gets_four_letters() -> None:
    assert max(Counter(one.recipient.address for one in received("invoices")).values()) == 4


def test_the_alert_is_plain_text_alone() -> None:
    for one in received("alert"):
        assert one.message.get_content_type() == "text/plain"
        assert str(one.recipient.row["runbook"]) in one.text
        assert one.message["Subject"] == "[critical] dome 4: the shutter does not close"
