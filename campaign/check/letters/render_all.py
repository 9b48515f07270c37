"""Rendering of every row of a plan, and checks of the letters: brief ones of all, full ones of one of each kind.

Reading a letter back costs several times as much as rendering it. So the rows of a kind share the findings of its first
letter (`equivalence_classes`), and checking never takes longer than half the time that rendering has taken. What is
left unchecked is counted and reported.
"""

from __future__ import annotations

import re
import time
from collections.abc import Hashable, Sequence

import msgspec

from campaign.audience.plan.plan_reader import Plan
from campaign.check.config_checks import check_survey, domain_of
from campaign.check.findings import ROWS_SHOWN, Finding, Findings
from campaign.check.letters.equivalence_classes import Printed, kind
from campaign.check.letters.html_faults import web_links
from campaign.check.letters.letter_fault import Fault
from campaign.check.letters.structure import letter_faults, unsubscribe_url
from campaign.check.list_warnings import Survey
from campaign.check.template_checks import Missing, add_missing
from campaign.compose.composer import Composer
from campaign.compose.mime.read_back import ReadLetter, read_letter
from campaign.model import Letter, Recipient, Unrenderable
from campaign.pipeline.command_context import Job
from campaign.report.live.console import Console
from campaign.report.live.step_progress import StepProgress

#: Kinds that are checked at any cost, and the share of the rendering time that further checks may take.
ALWAYS, SHARE = 300, 0.5
#: Share of rows that may fail for one reason before a run is not worth starting; a single row always may.
MOST_UNRENDERABLE = 0.01
#: A word such as "null" in a column may be a person's name, until so many rows have it.
FEW, FEW_SHARE = 2, 0.01
SAMPLES, MOST_LINKS = 3, 2_000

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_UNDEFINED = re.compile(r"'([^']+)' is undefined")


class Looked(msgspec.Struct):
    """The results of a walk over all letters, besides findings."""

    rendered: int = 0
    kinds: int = 0
    unseen: int = 0
    largest: int = 0
    largest_row: int | None = None
    samples: list[Letter] = msgspec.field(default_factory=list)
    links: dict[str, None] = msgspec.field(default_factory=dict)
    survey: Survey = msgspec.field(default_factory=Survey)
    international: list[int] = msgspec.field(default_factory=list)
    lines: dict[str, list[int]] = msgspec.field(default_factory=dict)


def look(
    job: Job,
    plan: Plan,
    composer: Composer | None,
    missing: Sequence[Missing],
    findings: Findings,
    console: Console,
) -> Looked:
    """Walk over every recipient; without a composer, only over the list."""
    walk = LetterChecks(composer, unsubscribe=bool(job.settings.compose.unsubscribe), date=float(int(time.time())))
    with StepProgress(console, plan.size) as meter:
        for done, recipient in enumerate(plan.recipients()):
            meter.at(done)
            walk.take(recipient)
    walk.tell(plan, missing, findings)
    return walk.looked


class LetterChecks:
    """Takes recipients one by one, and reports the faults of their letters at the end."""

    def __init__(self, composer: Composer | None, *, unsubscribe: bool, date: float) -> None:
        self.looked = Looked()
        self._composer, self._unsubscribe, self._date = composer, unsubscribe, date
        self._found = Findings()
        self._known: dict[Hashable, tuple[Fault, ...]] = {}
        self._refused: dict[str, list[tuple[int, str]]] = {}
        self._refusals = 0
        self._rendering = self._looking = 0.0

    def take(self, recipient: Recipient) -> None:
        """Render one letter, and check it if it is the first of its kind."""
        self._note(recipient)
        if self._composer is None:
            return
        began = time.perf_counter()
        letter, printed = self._composer.compose_showing(recipient, self._date)
        self._rendering += time.perf_counter() - began
        if isinstance(letter, Unrenderable):
            self._refuse(recipient, letter.reason)
        else:
            self._judge(self._composer, recipient, letter, printed)

    def _note(self, recipient: Recipient) -> None:
        looked = self.looked
        looked.survey.add(recipient)
        lines = looked.lines.setdefault(domain_of(recipient.address), [])
        if len(lines) < ROWS_SHOWN:
            lines.append(recipient.line)
        if not recipient.address.isascii() and len(looked.international) < ROWS_SHOWN:
            looked.international.append(recipient.line)

    def _refuse(self, recipient: Recipient, reason: str) -> None:
        """Group reasons that differ only in a quoted value; the first of them is shown."""
        self._refusals += 1
        known = reason if _UNDEFINED.search(reason) else _QUOTED.sub("…", reason)
        told = self._refused.setdefault(known, [])
        told.append((recipient.line, reason if not told else ""))

    def _judge(self, composer: Composer, recipient: Recipient, letter: Letter, printed: Printed) -> None:
        looked = self.looked
        looked.rendered += 1
        if len(letter.content) > looked.largest:
            looked.largest, looked.largest_row = len(letter.content), recipient.line
        key = kind(printed, recipient, letter)
        faults = self._known.get(key)
        if faults is None:
            if looked.kinds >= ALWAYS and self._looking > SHARE * self._rendering:
                looked.unseen += 1
                return
            began = time.perf_counter()
            faults = self._known[key] = self._inspected(composer, recipient, letter, [values for _, values in printed])
            self._looking += time.perf_counter() - began
        for one in faults:
            self._found.add(one.severity, one.code, one.message, row=recipient.line, where=one.where, remedy=one.remedy)

    def _inspected(
        self, composer: Composer, recipient: Recipient, letter: Letter, printed: Sequence[Sequence[object]]
    ) -> tuple[Fault, ...]:
        looked, seen = self.looked, read_letter(letter.content)
        looked.kinds += 1
        if len(looked.samples) < SAMPLES:
            looked.samples.append(letter)
        self._gather_links(seen)
        faults = letter_faults(letter, seen, recipient, unsubscribe=self._unsubscribe, printed=printed)
        if composer.compose(recipient, self._date) == letter:
            return faults
        unstable = Fault("error", "unstable", "the same row gives other bytes the second time", "letter")
        return (*faults, unstable)

    def _gather_links(self, seen: ReadLetter) -> None:
        """Collect links to be requested, but never the one that unsubscribes a recipient."""
        own = unsubscribe_url(seen)
        for link in web_links(seen):
            if link != own and len(self.looked.links) < MOST_LINKS:
                self.looked.links[link] = None

    def tell(self, plan: Plan, missing: Sequence[Missing], findings: Findings) -> None:
        """Report all findings, once all recipients were taken."""
        add_missing(missing, self._rows_without(missing), findings)
        self._tell_refused(plan, findings)
        for one in self._found:
            few = one.count < max(FEW, FEW_SHARE * self.looked.rendered)
            if not (one.code == "nothing-value" and one.where == "a column" and few):
                findings.take(one)
        for warning in self._composer.warnings if self._composer else ():
            findings.add("warning", "rendering", warning)
        check_survey(self.looked.survey, self.looked.lines, plan.source, findings)
        if self.looked.unseen:
            what = "there are too many variants of the letter to look at one of each"
            findings.add("unverified", "rare-letters", what, remedy=f"{self.looked.unseen:,} not read back")

    def _rows_without(self, missing: Sequence[Missing]) -> dict[str, list[int]]:
        """Rows refused for a variable that no row has; they are reported with it, and not once more by themselves."""
        names = {one.name for one in missing}
        rows: dict[str, list[int]] = {}
        for told in list(self._refused):
            match = _UNDEFINED.search(self._refused[told][0][1])
            if match and match[1] in names:
                refused = self._refused.pop(told)
                self._refusals -= len(refused)
                rows.setdefault(match[1], []).extend(line for line, _ in refused)
        return rows

    def _tell_refused(self, plan: Plan, findings: Findings) -> None:
        """Rows without a letter are a warning, as the others are served; too many for one reason are an error."""
        most = 0 if self._refusals == plan.size else max(1, MOST_UNRENDERABLE * plan.size)
        for told in self._refused.values():
            findings.take(
                Finding(
                    "error" if len(told) > most else "warning",
                    "unrenderable",
                    told[0][1],
                    rows=[line for line, _ in told[:ROWS_SHOWN]],
                    where=plan.source,
                    remedy="correct the row, or the template; without a letter it ends in failed.csv",
                    count=len(told),
                )
            )
