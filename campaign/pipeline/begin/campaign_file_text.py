"""Writes the text of a first campaign file: only the keys that are needed, each with a comment where one helps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import msgspec

from campaign.audience.columns.local_dates_and_numbers import BARE_KEY
from campaign.config import SCHEMA
from campaign.config.units import mailbox_template
from campaign.model import Mailbox
from campaign.pipeline.begin.found_list import FoundList, is_database
from campaign.pipeline.begin.starter_letter import Form, Starter, leave_link, subject_of

#: The column at which comments begin, if the line leaves room.
COMMENTS = 42
_PASSWORD = ('# password_file = "relay.password"', "its password on the first line; chmod 600")
_COMMENTS = {
    "encoding": "as detected: look at the names in the preview",
    "header_row": "the row that names the columns",
    "header": "the list has no header: name its columns here",
    "split_addresses": "each address in a cell gets a letter of its own",
}


class NewCampaign(msgspec.Struct, frozen=True):
    """What a new campaign is to be: the answers, and the list as it was found. ``source`` is the list as written."""

    name: str
    starter: Starter
    form: Form
    sender: str
    relay: str
    source: str
    found: FoundList

    @property
    def mailbox(self) -> Mailbox:
        """The sender's name and address."""
        return mailbox_template(self.sender)


def campaign_file_text(new: NewCampaign, template: str) -> str:
    """The whole file; ``template`` names the template beside it."""
    sections = {
        "campaign": _campaign(new),
        "audience": _audience(new),
        "compose": _compose(new, template),
        "delivery": _delivery(new.relay),
    }
    lines = [
        f"#:schema ./{SCHEMA.name}",
        "# Paths are relative to this file. Every key is explained in docs/reference.md.",
    ]
    for name, keys in sections.items():
        lines += ["", f"[{name}]", *(_with_comment(key, comment) for key, comment in keys)]
    return "\n".join(lines) + "\n"


def _campaign(new: NewCampaign) -> Iterator[tuple[str, str]]:
    yield _key("name", new.name), ""
    if new.starter == "newsletter":
        yield _key("edition", "%Y-%m"), "the month's issue; nobody gets one edition twice"
    elif new.starter == "notice":
        yield '# edition = "2"', "set one to write to the same people again"
    yield _key("from", new.sender), "an address that you may send from"


def _audience(new: NewCampaign) -> Iterator[tuple[str, str]]:
    settings = new.found.settings
    for name, value in settings.model_dump(exclude_unset=True).items():
        yield _key(name, new.source if name == "source" else value), _COMMENTS.get(name, "")
    if is_database(new.source) and not new.source.startswith("sqlite"):
        yield '# password_file = "database.password"', "or CAMPAIGN_DATABASE_PASSWORD"
    if new.starter == "invoice":
        number = new.found.invoice
        if number is not None:
            yield _key("key", new.found.headers[number]), "one letter for each of these; nobody gets one twice"
        else:
            yield '# key = "invoice number"', "the column that identifies an invoice, if a person may get several"


def _compose(new: NewCampaign, template: str) -> Iterator[tuple[str, str]]:
    yield _key("subject", subject_of(new.starter, new.found)), ""
    yield _key(new.form, template), ""
    if new.starter == "newsletter":
        address = leave_link(new.mailbox).removeprefix("mailto:")
        if "{" not in address:
            yield _key("unsubscribe_mailto", address), "answers go there"
        yield '# unsubscribe = "https://example.com/u/{{ unsubscribe_token }}"', "your page: docs/unsubscribe.md"
    elif new.starter == "invoice":
        column = new.found.columns[new.found.invoice if new.found.invoice is not None else new.found.address]
        yield f'# attachments = ["invoices/{{{{ {column} }}}}.pdf"]', "a file for each row"
        yield 'headers = { "Auto-Submitted" = "auto-generated" }', "nobody subscribed to these"
    else:
        yield 'headers = { "Auto-Submitted" = "auto-generated" }', "nobody subscribed to these"


def _delivery(relay: str) -> Iterator[tuple[str, str]]:
    if relay == "mailbox":
        yield _key("relay", relay), "a rehearsal: nobody gets a letter"
        yield '# relay = "smtps://you@smtp.example.com"', "a real one, or a preset: docs/relays.md"
    else:
        yield _key("relay", relay), "a rehearsal: campaign send … --relay mailbox"
        if "@" not in relay and not relay.startswith("smtp://"):
            yield '# user = "you@example.com"', "who logs in there"
    yield _PASSWORD
    yield '# rate = "20/s"', "a limit that the relay asks for"


def _key(name: str, value: object) -> str:
    return f"{name} = {_value(value)}"


def _value(value: object) -> str:
    """A value as TOML; text in the escapes that JSON shares with it."""
    if isinstance(value, Mapping):
        pairs = (f"{key if BARE_KEY.fullmatch(key) else _value(key)} = {_value(one)}" for key, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _with_comment(key: str, comment: str) -> str:
    return f"{key:<{COMMENTS - 2}}  # {comment}" if comment else key
