"""Builds the header block of a letter: constant fields are encoded once, the recipient's own are filled in and checked.

This module decides which fields a letter has, `header_values.py` which values they may have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from campaign.compose.mime import header_values
from campaign.compose.mime.from_and_reply_to import MailboxTemplate
from campaign.compose.mime.list_unsubscribe import list_unsubscribe
from campaign.compose.mime.multipart import Assembled
from campaign.compose.template.template import Page
from campaign.config.compose import ComposeSection
from campaign.errors import ConfigError
from campaign.model import Mailbox, Recipient


class LetterHeaders:
    """Builds header blocks. ``custom`` are templates of the user's own headers, ``trace`` is the run's (name, value).

    ``from_row`` and ``reply_to_row`` replace ``sender`` and ``reply_to`` if those are templates;
    ``mailto_row`` returns a recipient's own address for unsubscribing, by number, if each has one.
    ``idempotency_header`` names a header whose value is unique to the letter, and the same each time it is sent.
    ``single`` and ``multi`` are the gates of letters with one part and with several. Raises ConfigError.
    """

    def __init__(
        self,
        sender: Mailbox,
        reply_to: Mailbox | None,
        settings: ComposeSection,
        subject: Page,
        custom: Mapping[str, Page],
        trace: tuple[str, str] = ("", ""),
        *,
        from_row: MailboxTemplate | None = None,
        reply_to_row: MailboxTemplate | None = None,
        mailto_row: Callable[[int], str] | None = None,
        idempotency_header: str = "",
    ) -> None:
        self._from, self._reply_to = from_row, reply_to_row
        self.subject, self.custom = subject, dict(custom)
        self.mailto, self._mailto_row = settings.unsubscribe_mailto, mailto_row
        own = {name.lower() for name in custom}
        self.idempotency = idempotency_header if idempotency_header.lower() not in own else ""
        for name in custom:
            header_values.check_custom_name(name)
        if trace[0]:
            header_values.check_custom_name(trace[0], "report.trace_header")
        try:
            fields = self._fields(sender, reply_to, settings, trace)
            self.single = header_values.HeaderGate([*fields, ("Content-Transfer-Encoding", None)])
            self.multi = header_values.HeaderGate(fields)
        except header_values.HeaderRefused as refused:
            raise ConfigError(
                f"A header of every letter cannot be written: {refused}.",
                next_step="correct from and reply_to in [campaign], unsubscribe_mailto in [compose], or trace_header",
            ) from None

    def _fields(
        self, sender: Mailbox, reply_to: Mailbox | None, settings: ComposeSection, trace: tuple[str, str]
    ) -> list[tuple[str, str | None]]:
        fields: list[tuple[str, str | None]] = [
            ("From", None if self._from else header_values.mailbox_header(sender.name, sender.address)),
            ("To", None),
        ]
        if reply_to is not None:
            answers = None if self._reply_to else header_values.mailbox_header(reply_to.name, reply_to.address)
            fields.append(("Reply-To", answers))
        fields += [("Subject", None), ("Date", None), ("Message-ID", None)]
        if self.idempotency:
            fields.append((self.idempotency, None))
        for name, value in list_unsubscribe(
            "https://example.com/" if settings.unsubscribe else "",
            self._mailto_row(0) if self._mailto_row else self.mailto,
        ):
            fields.append((name, None if name == "List-Unsubscribe" else value))
        fields += [(name, None) for name in self.custom]
        if trace[0]:
            fields.append((trace[0], header_values.custom(*trace)))
        return [*fields, ("MIME-Version", "1.0"), ("Content-Type", None)]

    @property
    def by_column(self) -> bool:
        """Whether no field but To, Subject, List-Unsubscribe and the user's own comes from the row."""
        return not (self._from or self._reply_to or self._mailto_row)

    def sender(self, variables: Mapping[str, Any]) -> Mailbox | None:
        """The sender of this row's letter, if that is a template. Raises RowRefused."""
        return self._from.of(variables) if self._from else None

    def block(
        self,
        to: Recipient,
        variables: Mapping[str, Any],
        date: str,
        message_id: str,
        letter: Assembled,
        sender: Mailbox | None = None,
    ) -> bytes:
        """The finished block, ending in CRLF, without the empty line. Raises HeaderRefused, RowRefused.

        ``sender`` is the result of `sender`.
        """
        smtputf8 = not to.address.isascii()
        values = [header_values.mailbox_header(*sender)] if sender else []
        values.append(header_values.mailbox_header(to.name, to.address, smtputf8=smtputf8))
        if self._reply_to:
            values.append(header_values.mailbox_header(*self._reply_to.of(variables)))
        values += [
            header_values.encode_text("Subject", self.subject.text(variables)),
            date,
            message_id,
        ]
        if self.idempotency:
            values.append(message_id[1:].partition("@")[0])
        unsubscribe = variables["unsubscribe_url"]
        if unsubscribe or self.mailto:
            mailto = self._mailto_row(to.number) if self._mailto_row else self.mailto
            values.append(list_unsubscribe(unsubscribe, mailto)[0][1])
        values += [header_values.custom(name, page.text(variables)) for name, page in self.custom.items()]
        values.append(letter.content_type)
        if letter.encoding:
            return self.single.fill(*values, letter.encoding, smtputf8=smtputf8)
        return self.multi.fill(*values, smtputf8=smtputf8)
