"""Previews and test letters: look at letters (`preview`), send real rows to yourself (`test`).

Works on a plan frozen into a temporary folder, so nothing is left behind and no recipient counts as served.
`run_checks.py` inspects a whole campaign.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.addresses import Refusal, parse_address
from campaign.audience.screening.suggested_settings import all_suggestions
from campaign.audience.sources.source_factory import template_columns
from campaign.compose.composer import Composer
from campaign.compose.mime.read_back import Attachment, read_letter
from campaign.delivery.relays.relay import open_relays
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.errors import ConfigError, InputError
from campaign.exit_codes import ExitCode
from campaign.ledger.journal.journal_file import write_whole
from campaign.ledger.run_folder import make_folder
from campaign.model import Letter, Outcome, Recipient, Unrenderable, Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.preview_rows.pick_rows import Pick, asked_for, telling_rows
from campaign.pipeline.start.preflight import refuse_unready
from campaign.report.formatting import printable, without_addresses
from campaign.report.html.gallery import Enclosed, Preview, write_gallery
from campaign.report.live.console import Console, path_text
from campaign.report.live.logging_handler import passed_on

#: Attachments that a browser shows or saves without running their content, by file name suffix: that is what a browser
#: goes by for a file on disk, whatever type the letter declares.
_OPENED = re.compile(
    r"\.(?:bmp|csv|docx?|gif|ics|jpe?g|mp3|mp4|pdf|png|pptx?|txt|wav|webm|webp|xlsx?|zip)", re.IGNORECASE
)
LARGEST_SAVED = 1_000_000  #: octets of any other attachment in the page; the .eml file has it whatever its size
LONGEST_NAME = 80  #: characters of an attachment's file name
_UNSAFE = re.compile(r"[^\w.-]+")


@contextlib.contextmanager
def rehearsed(job: Job, console: Console, *, test: bool = False) -> Iterator[tuple[Plan, Composer]]:
    """A plan frozen for inspection only, and the composer for it. Raises what `send` would raise."""
    audience, base = job.settings.audience, job.settings.base
    with all_suggestions(audience, base):
        columns = template_columns(audience, base)
    Composer(job.brief(columns, 1, test=test))
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        plan = freeze(
            audience, base, Path(folder), suppression=job.suppression(), already=None, progress=console.loading
        )
        if not plan.size:
            raise InputError(
                f"{audience.source} has nobody to write to.",
                evidence=f"{plan.books.read:,} rows read, none of them kept",
                next_step=job.command("check"),
            )
        for remark in plan.remarks:
            console.say(remark)
        yield plan, Composer(job.brief(plan.columns, 1, test=test))


def preview(job: Job, console: Console, *, rows: Sequence[int | str], to: str, output: Path | None) -> Path:
    """Write some letters as .eml files and one gallery page; returns the page. Raises CampaignError."""
    return preview_letters(job, console, rows=rows, to=to, output=output)[0]


def preview_letters(
    job: Job, console: Console, *, rows: Sequence[int | str], to: str, output: Path | None
) -> tuple[Path, list[Preview]]:
    """As `preview`; returns also the letters of the page."""
    folder = output or job.directory / job.settings.campaign.name / "preview"
    make_folder(folder)
    notes: list[str] = []
    with rehearsed(job, console) as (plan, composer):
        picks = asked_for(plan, rows, to) if rows or to else telling_rows(plan, composer, notes.append)
        previews = [_previewed(folder, composer, one, stem) for one, stem in zip(picks, _stems(picks), strict=True)]
    for note in notes:
        console.tell(note)
    page = write_gallery(folder, previews, title=job.settings.campaign.name, names=plan.columns, notes=notes)
    return page, previews


def _stems(picks: Sequence[Pick]) -> Iterator[str]:
    """The file name stem of each letter: ``row-2``, and ``row-2_2`` for a second letter of that row."""
    seen: Counter[int] = Counter()
    for pick in picks:
        line = pick.recipient.line
        seen[line] += 1
        yield f"row-{line}" if seen[line] == 1 else f"row-{line}_{seen[line]}"


def _previewed(folder: Path, composer: Composer, pick: Pick, stem: str) -> Preview:
    recipient = pick.recipient
    letter = composed(composer, recipient)
    seen, name = read_letter(letter.content), f"{stem}.eml"
    write_whole(folder / name, letter.content)
    return Preview(
        label=pick.label,
        detail=pick.differs,
        row=recipient.line,
        to=recipient.address,
        subject=seen.header("Subject"),
        headers=seen.headers,
        html=seen.standalone_html,
        text=seen.text,
        size=len(letter.content),
        eml_name=name,
        sender=seen.sender,
        preheader=seen.preheader,
        own_dark=seen.has_dark_rules or seen.allows_dark,
        attachments=[_enclosed(folder, stem, at, one) for at, one in enumerate(seen.attachments, start=1)],
    )


def _enclosed(folder: Path, stem: str, at: int, attachment: Attachment) -> Enclosed:
    """An attachment with a link to its bytes: a file beside the page, or a download if its content could run there."""
    name = _UNSAFE.sub("_", attachment.name)[-LONGEST_NAME:].strip("._") or "attachment"
    opened = _OPENED.fullmatch(Path(name).suffix) is not None
    href = ""
    if opened:
        file = f"{stem}-{at}-{name}"
        write_whole(folder / file, attachment.data)
        href = quote(file)
    elif attachment.size <= LARGEST_SAVED:
        href = f"data:application/octet-stream;base64,{b64encode(attachment.data).decode('ascii')}"
    return Enclosed(attachment.name, attachment.type, attachment.size, href, saved=not opened)


def composed(composer: Composer, recipient: Recipient) -> Letter:
    """The letter as it would be if it were sent now. Raises InputError if the row cannot be rendered."""
    letter = composer.compose(recipient, float(int(time.time())))
    if isinstance(letter, Unrenderable):
        raise InputError(
            "This row cannot be made into a letter.",
            evidence=f"row {recipient.line}: {letter.reason}",
            next_step="correct the row, or choose another with --row",
        )
    return letter


class Noted(msgspec.Struct):
    """A recorder without a ledger: keeps the outcome of each test letter."""

    outcomes: list[Outcome] = msgspec.field(default_factory=list)

    def intent(self, letter: Letter, relay: str) -> None:
        """Nothing to record."""

    def verdict(self, outcome: Outcome) -> None:
        """Keep it for the operator."""
        self.outcomes.append(outcome)


class TestLetters(msgspec.Struct, frozen=True):
    """The outcome of each test letter with its row of the list, and the exit code."""

    __test__ = False  # not for pytest

    code: ExitCode
    letters: tuple[tuple[int, Outcome], ...]

    def facts(self, *, show_addresses: bool) -> list[dict[str, Any]]:
        """What became of each letter, for ``--json``."""
        hide = printable if show_addresses else without_addresses
        return [
            {
                "row": row,
                "verdict": one.verdict.value,
                "code": one.code or None,
                "enhanced_code": one.enhanced,
                "reason": hide(printable(one.reason)),
                "relay": one.relay,
            }
            for row, one in self.letters
        ]


def send_tests(job: Job, console: Console, *, to: str, rows: Sequence[int | str]) -> TestLetters:
    """Send real rows to ``to``, with identities of their own. Raises CampaignError."""
    address = parse_address(to)
    if isinstance(address, Refusal):
        raise ConfigError(
            f"{to} is not an address: {address.reason}.",
            next_step=f"{job.command('test')} --to you@example.com, with your own",
        )
    if "mailbox" in job.settings.delivery.urls:
        raise ConfigError(
            "The relay is the embedded mailbox, so a test letter would reach nobody.",
            next_step=f"look at the letters: campaign preview {path_text(job.settings.file)}; or give --relay URL",
        )
    refuse_unready(job)
    with rehearsed(job, console, test=True) as (plan, composer):
        picks = asked_for(plan, rows, "") if rows else [Pick("first", plan.recipient(0))]
        chosen = [one.recipient._replace(address=address.wire) for one in picks]
        letters = [composed(composer, one) for one in chosen]
        with passed_on(None, console.tell):
            outcomes = asyncio.run(_deliver(job, letters, chosen))
    for outcome in outcomes:
        console.tell(f"{outcome.verdict.value}: {outcome.code or ''} {outcome.reason}".strip())
    served = [outcome for outcome in outcomes if outcome.verdict is Verdict.ACCEPTED]
    console.tell(f"{len(served)} of {len(chosen)} test letters accepted for {to}")
    lines = {one.number: one.line for one in chosen}
    code = ExitCode.DONE if len(served) == len(chosen) else ExitCode.SOME_FAILED
    return TestLetters(code, tuple((lines[outcome.number], outcome) for outcome in outcomes))


async def _deliver(job: Job, letters: Sequence[Letter], recipients: Sequence[Recipient]) -> list[Outcome]:
    noted, by_number = Noted(), {letter.number: letter for letter in letters}
    relays = await open_relays(job.settings.delivery, job.settings.base, os.environ, None)
    impatient = job.settings.delivery.model_copy(update={"relay_patience": 0.0})  # a person is waiting
    dispatcher = Dispatcher(impatient, relays, noted)
    await dispatcher.serve_pass(iter(recipients), lambda one: by_number[one.number])
    return noted.outcomes
