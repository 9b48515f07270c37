"""From and Reply-To as templates: filled in for each row, held to what a header may be, and their domain constant."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from campaign.compose.composer import Composer
from campaign.config import load
from campaign.errors import ConfigError
from campaign.model import Letter, Recipient, Unrenderable
from campaign.pipeline.command_context import prepare

FILE = """
[campaign]
name = "gazette"
from = '{sender}'
{more}
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
"""
CONSTANT = "News <news@example.com>"


def composer(place: Path, sender: str = CONSTANT, more: str = "") -> Composer:
    (place / "letter.txt").write_text("Hello\n", encoding="utf-8")
    (place / "gazette.toml").write_text(FILE.format(sender=sender, more=more), encoding="utf-8")
    job = prepare(load(place / "gazette.toml", {}), environment={"CAMPAIGN_SECRET": "0" * 32})
    return Composer(job.brief(("email", "name", "desk", "answer"), 1))


def made(one: Composer, **row: Any) -> Letter | Unrenderable:
    values = {"email": "ada@example.com", "name": "Zoë", "desk": "south", "answer": "zoe@bücher.example", **row}
    return one.compose(Recipient(0, "ada@example.com", "ada@example.com", "", 2, values), 0.0)


def header(letter: Letter | Unrenderable, name: str) -> str:
    assert isinstance(letter, Letter)
    return str(message_from_bytes(letter.content, policy=default)[name])


def test_a_template_in_from_is_filled_in_for_each_row(tmp_path: Path) -> None:
    one = composer(tmp_path, '"{{ name }}" <{{ desk }}@example.com>')
    assert header(made(one), "From") == "Zoë <south@example.com>"
    assert header(made(one, name="Ada, of London", desk="north"), "From") == '"Ada, of London" <north@example.com>'


def test_the_return_path_is_the_address_of_from_unless_it_is_set(tmp_path: Path) -> None:
    sender = "{{ name }} <{{ desk }}@example.com>"
    letter = made(composer(tmp_path, sender))
    assert isinstance(letter, Letter)
    assert letter.sender == "south@example.com"
    letter = made(composer(tmp_path, sender, "return_path = 'bounces@example.com'"))
    assert isinstance(letter, Letter)
    assert letter.sender == "bounces@example.com"


def test_the_message_id_does_not_hang_on_the_row(tmp_path: Path) -> None:
    one = composer(tmp_path, "{{ name }} <{{ desk }}@example.com>")
    found = {header(made(one, desk=desk), "Message-ID") for desk in ("south", "north")}
    assert len(found) == 1
    assert found.pop().endswith("@example.com>")


@pytest.mark.parametrize("written", ["{{ name }} <{{ answer }}>", '"{{ name }}" <{{ answer }}>'])
def test_name_and_address_of_reply_to_may_be_templates(tmp_path: Path, written: str) -> None:
    letter = made(composer(tmp_path, more=f"reply_to = '{written}'"))
    assert header(letter, "Reply-To") == "Zoë <zoe@xn--bcher-kva.example>"
    assert header(letter, "From") == CONSTANT


def test_both_may_be_templates_in_one_letter(tmp_path: Path) -> None:
    letter = made(composer(tmp_path, "{{ name }} <news@example.com>", "reply_to = '{{ answer }}'"))
    assert header(letter, "From") == "Zoë <news@example.com>"
    assert header(letter, "Reply-To") == "zoe@xn--bcher-kva.example"
    assert header(letter, "Subject") == "News"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"name": "Ada\r\nBcc: eve@example.com"}, "the display name holds"),
        ({"name": "x" * 600}, "characters long"),
        ({"desk": "eve@evil.example, x"}, "campaign.from gives"),
        ({"desk": "eve@evil.example"}, "campaign.from gives"),
        ({"desk": ""}, "campaign.from gives"),
        ({"desk": "x" * 65}, "campaign.from gives"),
        ({"answer": ""}, "campaign.reply_to gives"),
        ({"answer": "a@example.com\r\nX: y"}, "campaign.reply_to gives"),
        ({"answer": "a@example.com, b@example.com"}, "campaign.reply_to gives"),
        ({"answer": "Eve <eve@example.com>"}, "campaign.reply_to gives"),
    ],
)
def test_what_no_header_may_hold_makes_the_row_unrenderable(tmp_path: Path, row: dict[str, str], reason: str) -> None:
    one = composer(tmp_path, "{{ name }} <{{ desk }}@example.com>", "reply_to = '{{ answer }}'")
    letter = made(one, **row)
    assert isinstance(letter, Unrenderable)
    assert reason in letter.reason


@pytest.mark.parametrize(
    ("sender", "more", "told"),
    [
        ("{{ nmae }} <news@example.com>", "", "nmae"),
        ("{{ name <news@example.com>", "", "campaign.from"),
        ("{% if name %} <news@example.com>", "", "campaign.from"),
        ("News <news@{{ desk }}>", "", "the domain cannot be a template"),
        ("{{ answer }}", "", "the domain cannot be a template"),
        (CONSTANT, "return_path = '{{desk}}@example.com'", "cannot be a template here"),
        (CONSTANT, "cc = 'eve@example.com'", "no letter has copies"),
        (CONSTANT, "bcc = ['eve@example.com']", "no letter has copies"),
    ],
)
def test_what_would_fail_for_each_row_is_told_beforehand(tmp_path: Path, sender: str, more: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        composer(tmp_path, sender, more)
    assert told in str(refused.value)


def test_a_constant_sender_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = composer(tmp_path, more="reply_to = 'desk@example.com'")
    encoded: list[str] = []

    def mailbox(name: str, address: str, *, smtputf8: bool = False) -> str:
        encoded.append(address)
        return address

    monkeypatch.setattr("campaign.compose.mime.header_values.mailbox_header", mailbox)
    made(one)
    assert encoded == ["ada@example.com"]
