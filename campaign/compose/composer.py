"""Renders one recipient into one letter, as a pure function that may run anywhere, in any order, any number of times.

A mistake that shows without a row is a ConfigError when the `Composer` is created. A row that cannot be rendered is an
`Unrenderable` with its reason. Composing is independent of sending, of journals and of the clock: the date is an
argument.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from campaign.compose.files.campaign_files import CampaignFiles
from campaign.compose.html.inlining_mode import inlining_mode
from campaign.compose.html.shape_cache import Inlining
from campaign.compose.mime import header_values
from campaign.compose.mime.dkim_signature import Signer
from campaign.compose.mime.from_and_reply_to import templated
from campaign.compose.mime.letter_headers import LetterHeaders
from campaign.compose.mime.multipart import assembled
from campaign.compose.portion.draft import Draft
from campaign.compose.portion.usual_letters import LetterPlan, UsualLetters
from campaign.compose.portion.usual_writer import UsualWriter
from campaign.compose.row_variables import EXTRAS, RowVariables
from campaign.compose.template.filters import known_locale
from campaign.compose.template.operation_limits import TooMuch
from campaign.compose.template.static_dynamic_split import RenderedTemplate
from campaign.compose.template.template import Page, RowRefused, Statics, TemplateOutput
from campaign.compose.tokens.recipient_token import Purpose, token_filler
from campaign.compose.value_positions import in_places
from campaign.config.campaign_secret import secret_fingerprint
from campaign.config.compose import ComposeSection, DkimSection
from campaign.errors import ConfigError
from campaign.model import Identity, Letter, Mailbox, Recipient, Unrenderable

log = logging.getLogger(__name__)

#: The output of templates: for each its constant text with ``None`` for each value, and the values.
Printed = list[tuple[Statics, list[Any]]]
#: The rendering version. Raise it whenever the same recipient, template and settings give other bytes: no run continues
#: under another version unless the operator asks for it.
RENDERING = 2
#: Its name among the fingerprints. Journals of release 0.1.0 lack it: their letters have rendering version 1.
WAY_OF_RENDERING, FIRST_RENDERING = "way of rendering", "1"
_UNSHAPING = {"row_timeout", "dkim"}  # settings without effect on letters, or added separately below


@dataclass(frozen=True)
class Brief:
    """The input for a campaign's letters. ``base`` is the campaign file's folder, ``columns`` those of a row.

    ``trace_header`` names the header that holds ``trace_id``, the run's ID, the same in each of its letters.
    ``private`` are files and folders under the root that no letter may contain: the list, the secret, the runs. A row
    or template that names one is refused. ``rewritten`` are header fields that relays replace.
    """

    identity: Identity
    sender: Mailbox
    reply_to: Mailbox | None
    return_path: str | None
    settings: ComposeSection
    base: Path
    columns: tuple[str, ...]
    trace_header: str = ""
    trace_id: str = ""
    private: tuple[Path, ...] = ()
    rewritten: tuple[str, ...] = ()
    idempotency_header: str = ""

    @property
    def root(self) -> Path:
        """The folder outside which nothing is read into a letter, resolved."""
        return (self.base / self.settings.root).resolve()

    def filler(self, address: str | None, purpose: Purpose) -> Callable[[int], str] | None:
        """A function from a recipient's number to ``address`` with the token; ``None`` if it has no placeholder."""
        return token_filler(address, purpose, self.identity, self.trace_id)


class Composer:
    """Composes the letters of one campaign. ``inlining`` is the result of `choose_inlining`, now or earlier.

    ``files`` are those of another composer of the same templates, with the shapes known so far; else they are opened.
    Raises ConfigError for every mistake that affects all rows: templates, variables, pictures, keys.
    """

    def __init__(self, brief: Brief, inlining: Inlining = "shape", files: CampaignFiles | None = None) -> None:
        self.brief, self.inlining = brief, inlining
        dkim = brief.settings.dkim
        keys = [dkim] if isinstance(dkim, DkimSection) else list(dkim or ())
        private = (*brief.private, *(brief.base / key.key_file for key in keys))
        self.files = files or CampaignFiles(brief.settings, brief.base, brief.root, brief.columns, EXTRAS, private)
        trace = brief.trace_header, brief.trace_id
        self._head = LetterHeaders(
            brief.sender,
            brief.reply_to,
            brief.settings,
            self.files.subject,
            self.files.custom,
            trace,
            from_row=templated(brief.sender, "campaign.from", self.files.templates.source),
            reply_to_row=templated(brief.reply_to, "campaign.reply_to", self.files.templates.source),
            idempotency_header=brief.idempotency_header,
            mailto_row=brief.filler(brief.settings.unsubscribe_mailto, "unsubscribe by mail"),
        )
        self._envelope_sender = _envelope_senders(brief)
        self._variables = RowVariables(brief.identity, self.files, brief.settings.unsubscribe_id, brief.columns)
        self._signer = Signer(keys, brief.base, brief.rewritten) if keys else None
        self._message_id = header_values.message_ids(brief.identity, brief.sender.address.rpartition("@")[2])
        self._usual: UsualWriter | None = UsualWriter(self.files, self.files.watch, self._usual_letters())

    @property
    def warnings(self) -> list[str]:
        """Sentences for the operator; more may come as letters are composed."""
        shapes = self.files.shapes
        remark = shapes.remark() if shapes and self.inlining == "shape" else ""
        signer = self._signer.warnings if self._signer else []
        return [*signer, *self.files.warnings, *([remark] if remark else [])]

    @property
    def shapes(self) -> int:
        """How many shapes have been built so far."""
        return self.files.shapes.built if self.files.shapes else 0

    @property
    def inliner_runs(self) -> int:
        """How often the inliner has run so far."""
        return self.files.shapes.runs if self.files.shapes else 0

    @property
    def deciding(self) -> list[str]:
        """The names used in conditions and loops of the templates."""
        return list(self.files.templates.deciding)

    def compose(self, recipient: Recipient, date: float) -> Letter | Unrenderable:
        """The letter of ``recipient``, dated ``date`` (POSIX seconds). The same input gives the same bytes.

        The result is always a value. Even an unexpected exception makes only this row unrenderable, with the
        exception's type and text as the reason, and does not end the run.
        """
        return self.compose_all([(recipient, date)])[0]

    def compose_showing(self, recipient: Recipient, date: float) -> tuple[Letter | Unrenderable, Printed]:
        """As `compose`, with the output of the templates: subject, text part, HTML part (if present)."""
        (draft,) = self._drafted([(recipient, date)])
        if not isinstance(draft.made, Letter):
            return cast("Unrenderable", draft.made), []
        outputs: tuple[TemplateOutput | RenderedTemplate, ...] = (
            self.files.subject.render(draft.variables),
            *draft.rendered,
        )
        return draft.made, [(one.statics, in_places(one.values, one.order)) for one in outputs]

    def compose_all(self, wanted: Iterable[tuple[Recipient, float]]) -> list[Letter | Unrenderable]:
        """As `compose`, for several recipients; each step runs for all of them before the next, which is fastest."""
        return [cast("Letter | Unrenderable", draft.made) for draft in self._drafted(wanted)]

    def _drafted(self, wanted: Iterable[tuple[Recipient, float]]) -> list[Draft]:
        drafts = [Draft(recipient, date) for recipient, date in wanted]
        self.files.watch.start()
        self._take_all(self._begin, drafts)
        if self._usual and self.inlining == "shape" and (fault := self._make_together(self._usual, drafts)):
            log.warning("%s, so no more letters are made together", fault)
            self._usual = None
            return list(map(self._alone, drafts))
        self._take_all(self._compose, drafts)
        return drafts

    def _make_together(self, usual: UsualWriter, drafts: Sequence[Draft]) -> str:
        """Make as many of these letters as are usual; returns what is wrong with them, if anything is."""
        try:
            fresh = usual.write(drafts)
        except Exception as fault:  # noqa: BLE001 - as for one row: the run goes on, whatever the exception
            return f"letters cannot be made together ({type(fault).__name__}: {fault})"
        self._take_all(self._compose, fresh)
        if any(self._alone(draft).made != draft.made for draft in fresh):
            return "letters made together differ from those made one by one"
        return ""

    def _alone(self, draft: Draft) -> Draft:
        """The letter of ``draft`` again, made without any other."""
        alone = Draft(draft.recipient, draft.date)
        self.files.watch.start()
        for step in (self._begin, self._compose):
            self._take_all(step, [alone])
        return alone

    def _take_all(self, step: Callable[[Draft], None], drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            if draft.made is None:
                self._take(step, draft)

    def _take(self, step: Callable[[Draft], None], draft: Draft) -> None:
        self.files.watch.go_on(draft.used)
        try:
            step(draft)
        except ConfigError as error:  # a missing attachment or picture
            draft.refuse(error.what)
        except (RowRefused, header_values.HeaderRefused, TooMuch) as refused:
            draft.refuse(str(refused))
        except UnicodeEncodeError:
            draft.refuse("a value holds half of a surrogate pair, which no letter can")
        except Exception as fault:  # noqa: BLE001 - one row must not end the run, whatever the exception
            draft.refuse(f"it cannot be made into a letter: {type(fault).__name__}: {fault}")
        draft.used = self.files.watch.used()

    def fingerprints(self) -> dict[str, str]:
        """Everything that affects letters, by name: hashes of files, texts of settings."""
        hashes = {**self.files.fingerprints(), **self.files.resources.fingerprints()}
        return {**_brief_fingerprints(self.brief), **hashes, WAY_OF_RENDERING: str(RENDERING)}

    def choose_inlining(self, sample: Sequence[Recipient]) -> tuple[Inlining, str]:
        """The mode of inlining: "shape" if it gives the same as "row" for all of ``sample``, else "row" and why."""
        if self.files.shapes is None or not self.brief.settings.inline_css:
            return "shape", ""
        return inlining_mode(self.files.shapes, sample, self._variables.of, self.files.watch)

    def _usual_letters(self) -> UsualLetters | None:
        """What finishes letters together; None if none of this campaign's is usual."""
        if self._signer or self.files.attachments or not self._head.by_column:
            return None
        files, longest = self.files, self.brief.settings.max_letter_size
        parts = files.text is not None, files.shapes is not None
        return UsualLetters(self._head, LetterPlan(*parts, longest, self._message_id, self._envelope_sender))

    def _begin(self, draft: Draft) -> None:
        draft.variables = self._variables.of(draft.recipient)

    def _write_text(self, draft: Draft) -> None:
        if self.files.text and draft.text is None:
            rendered = self.files.text.render(draft.variables, draft.printed[0])
            draft.rendered.append(rendered)
            draft.text = self.files.text.encode(rendered)

    def _write_html(self, draft: Draft) -> None:
        if self.files.shapes and draft.html is None:
            rendered = self.files.shapes.render(draft.variables, self.inlining, draft.printed[1])
            draft.rendered.append(rendered)
            body = self.files.shapes.body(rendered, self.inlining)
            draft.text, draft.html = draft.text or body.text, body.html
            draft.images = [image.part for image in body.images]

    def _compose(self, draft: Draft) -> None:
        self._write_text(draft)
        self._write_html(draft)
        self._finish(draft)

    def _finish(self, draft: Draft) -> None:
        recipient, variables = draft.recipient, draft.variables
        attachments = self._attachments(variables)
        message_id = self._message_id(recipient.key)
        boundary = f"=_{message_id[1:41]}"  # as hard to guess as the ID; and none of our encodings produces =_
        letter = assembled(draft.text, draft.html, draft.images, attachments, boundary)
        sender = self._head.sender(variables)
        block = self._head.block(recipient, variables, header_values.date(draft.date), message_id, letter, sender)
        if self._signer is not None:
            block = self._signer.sign(block, letter.body, draft.date) + block
        content = b"".join((block, b"\r\n", *letter.pieces))
        if len(content) > self.brief.settings.max_letter_size:
            raise RowRefused(f"the letter has {len(content):,} octets, more than compose.max_letter_size")
        digest, wide = hashlib.sha256(content).digest(), not recipient.address.isascii()
        sound = (not draft.text or draft.text.sound) and (not draft.html or draft.html.sound)  # other parts always are
        envelope = self._envelope_sender(recipient.number, sender), recipient.address
        draft.made = Letter(recipient.number, message_id, *envelope, content, digest, wide, sound)

    def _attachments(self, variables: Mapping[str, Any]) -> Sequence[bytes]:
        if not self.brief.settings.attachments:
            return ()
        names = [page.text(variables).strip() for page in self.files.attachments]
        return [self.files.resources.attachment(name) for name in names if name]


def _brief_fingerprints(brief: Brief) -> dict[str, str]:
    """What settings and names contribute to the fingerprints of a campaign's letters."""
    settings = brief.settings.model_dump(mode="json", exclude=_UNSHAPING)
    found = {f"compose.{key}": _text(value) for key, value in settings.items()}
    found |= {"campaign.from": _text(brief.sender), "campaign.reply_to": _text(brief.reply_to)}
    found |= {"campaign.return_path": _text(brief.return_path), "compose.dkim": _text(brief.settings.dkim)}
    if brief.settings.dkim and brief.rewritten:
        found["headers that a relay rewrites"] = ", ".join(brief.rewritten)
    if brief.idempotency_header:
        found["header that drops second copies"] = brief.idempotency_header
    if brief.trace_header:
        found["report.trace_header"] = brief.trace_header
    found["campaign.secret"] = secret_fingerprint(brief.identity.secret)
    return found


def _envelope_senders(brief: Brief) -> Callable[[int, Mailbox | None], str]:
    """The return path for a recipient's number and, if From is a template, the letter's sender."""
    filler = brief.filler(brief.return_path, "return path")
    if filler is not None:
        return lambda number, _: filler(number)
    return lambda _, sender: brief.return_path or (sender or brief.sender).address


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else hashlib.sha256(text.encode("utf-8")).hexdigest()


__all__ = ["Brief", "Composer", "Page", "known_locale"]
