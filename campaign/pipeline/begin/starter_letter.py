"""Fills in a starter template: the list's own columns, the sender, and where a reader unsubscribes.

The starters are the files in `starters/`. Text from the list's header or from the sender is written as character
references wherever it could mean something to Jinja, HTML or Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Literal
from urllib.parse import quote

from campaign.config.units import is_template
from campaign.model import Mailbox
from campaign.pipeline.begin.found_list import FoundList
from campaign.pipeline.begin.likely_columns import is_name
from campaign.report.formatting import printable

Starter = Literal["newsletter", "notice", "invoice"]
Form = Literal["html", "markdown", "mjml"]

#: The suffix of a starter in each format; the campaign file's key is the format's name.
SUFFIXES: dict[Form, str] = {"html": ".html", "markdown": ".md", "mjml": ".mjml"}
#: Columns that a letter shows, at most, besides the name.
SHOWN: dict[Starter, int] = {"newsletter": 0, "notice": 3, "invoice": 8}
#: Names that a template cannot print as a column: words of Jinja, and variables that are always there.
TAKEN = frozenset("not none None true True false False self loop super".split()) | {  # noqa: SIM905
    *("campaign", "edition", "unsubscribe_token", "unsubscribe_url"),
}
#: What `check` takes for the mark of a template that was not filled in; a header with one is not shown as a label.
_MARK = re.compile(r"[{}«»$\[]|<<|\*\||%.*%")
_PLACE = re.compile(r"@@(\w+)@@")
_PLAIN = re.compile(r"[^\w \-.,:()/'’]", re.ASCII)


def starter_text(starter: Starter, form: Form, found: FoundList, sender: Mailbox) -> str:
    """The template, with everything filled in that the list and the sender decide."""
    text = resources.files(__package__).joinpath("starters", starter + SUFFIXES[form]).read_text(encoding="utf-8")
    shown = shown_columns(starter, found)
    values: Mapping[str, str] = {
        "columns": _columns_comment(found),
        "greeting": f"Hello {name_value(found, 'there')}" if greets(found) else "Hello",
        "sender": sender_text(sender),
        "to": value_of(found, found.address) or "your address",
        "leave": f"{{% if unsubscribe_url %}}{{{{ unsubscribe_url }}}}{{% else %}}{leave_link(sender)}{{% endif %}}",
        "invoice": subject_of("invoice", found),
        "details": _details(form, ((literal(found.headers[at]), value_of(found, at)) for at in shown)),
    }
    return _PLACE.sub(lambda place: values[place[1]], text)


def subject_of(starter: Starter, found: FoundList) -> str:
    """The template of the Subject."""
    if starter == "newsletter":
        return f"{name_value(found, 'Hello')}, the news of this month" if greets(found) else "The news of this month"
    number = value_of(found, found.invoice) if found.invoice is not None else ""
    if starter == "invoice":
        return f"Invoice {number}" if number else "Your invoice"
    return "What changes for you"


def shown_columns(starter: Starter, found: FoundList) -> list[int]:
    """The places of the columns that the letter shows as a table."""
    places = (
        at
        for at, header in enumerate(found.headers)
        if at in found.plain - {found.address, found.display, found.greeting}
        and not is_name(header)
        and not _MARK.search(header)
        and value_of(found, at)
    )
    return list(places)[: SHOWN[starter]]


def greets(found: FoundList) -> bool:
    """Whether the letter can greet by name."""
    return found.greeting is not None and found.columns[found.greeting] not in TAKEN


def name_value(found: FoundList, otherwise: str) -> str:
    """The code that prints the name, or ``otherwise`` where it is blank."""
    name = found.columns[found.greeting or 0]
    return (
        f"{{{{ ({name} or '')|trim or '{otherwise}' }}}}" if found.typed else f"{{{{ {name}|trim or '{otherwise}' }}}}"
    )


def value_of(found: FoundList, at: int) -> str:
    """The code that prints a column; empty if none can."""
    name = found.columns[at]
    if name in TAKEN:
        return ""
    return f"{{{{ '' if {name} is none else {name} }}}}" if found.typed and at != found.address else f"{{{{ {name} }}}}"


def sender_text(sender: Mailbox) -> str:
    """The sender's name as it stands in a letter; a name that is a template stays one."""
    return sender.name if is_template(sender.name) else literal(sender.name or sender.address)


def leave_link(sender: Mailbox) -> str:
    """A link by which a reader writes to the sender to unsubscribe."""
    address = sender.address if is_template(sender.address) else quote(sender.address, safe="@+")
    return f"mailto:{address}?subject=unsubscribe"


def literal(text: str) -> str:
    """``text`` on one line, so that neither Jinja nor HTML nor Markdown reads anything into it."""
    plain = " ".join(printable(" ".join(text.split())).split())
    return "".join(f"&#{ord(one)};" if one == "_" or (one < "\x7f" and _PLAIN.match(one)) else one for one in plain)


def _columns_comment(found: FoundList) -> str:
    names = [f"{{{{ {name} }}}}" for name in found.columns if name not in TAKEN]
    return f"The columns of the list, for use below: {', '.join(names)}"


def _details(form: Form, rows: Iterable[tuple[str, str]]) -> str:
    """A table of columns and values in the form of the template; empty without rows."""
    rows = list(rows)
    if not rows:
        return ""
    if form == "markdown":
        return "| | |\n| --- | --: |\n" + "".join(f"| {label} | {value} |\n" for label, value in rows) + "\n"
    if form == "mjml":
        style = "padding: 8px 0; border-bottom: 1px solid #dde3ea; color: #333d4b"
        lines = (
            f'          <tr><td style="{style}">{label}</td><td align="right" style="{style}">{value}</td></tr>\n'
            for label, value in rows
        )
        opening = '        <mj-table css-class="text" font-size="16px" line-height="23px" padding="0 0 24px">\n'
        return f"{opening}{''.join(lines)}        </mj-table>\n"
    lines = (
        f'  <tr><td class="label">{label}</td><td class="value" align="right">{value}</td></tr>\n'
        for label, value in rows
    )
    opening = '  <table width="100%" cellpadding="0" cellspacing="0" style="margin: 4px 0 24px">\n'
    return f"{opening}{''.join(lines)}  </table>\n"
