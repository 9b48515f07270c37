"""Looks up recipients in the runs of a ledger: by Message-ID, address, a column's value, or a relay's reply.

The first lookup reads a run's plan or journal, newest run first; later ones use an index in memory. To limit time and
memory, only the newest runs are searched, up to `REACH` recipients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from campaign.audience.columns.template_names import column_of
from campaign.audience.plan.forgotten_rows import kept_message_id
from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.addresses import address_key
from campaign.compose.mime.header_values import message_ids
from campaign.errors import StorageError
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import VerdictRecord
from campaign.model import Recipient, Verdict
from campaign.pipeline.collect.recipient_index import RecipientIndex
from campaign.pipeline.collect.sent_runs import SentRun
from campaign.pipeline.operate.forget.letter_id import letter_id

REACH = 20_000_000  #: recipients of the newest runs that are searched
ANY_DOMAIN = "example.com"  #: the part before the @ is a keyed hash and sufficient; the domain may have changed
WORDS_A_REPLY = 2  #: words of one reply that may be the relay's id of the letter
SHORTEST_WORD, LONGEST_WORD, LONGEST_REPLY = 6, 200, 500  #: characters

Words = Iterator[tuple[str, int]]


class Planned(NamedTuple):
    """A recipient of a run."""

    run: SentRun
    recipient: Recipient


class RunLookup:
    """Finds recipients of ``runs``, newest first. ``unsubscribe_id`` is the column that tokens stand for, or ""."""

    def __init__(self, runs: Sequence[SentRun], unsubscribe_id: str = "") -> None:
        self.runs = runs
        self._unsubscribe_id = unsubscribe_id
        self._near = _within_reach(runs)
        self._plans: dict[str, Plan] = {}
        self._indexes: dict[tuple[str, str], RecipientIndex] = {}

    def numbered(self, run: SentRun, number: int) -> Planned | None:
        """Recipient ``number`` of ``run``; None if its plan does not have it."""
        try:
            return Planned(run, self.plan(run).recipient(number))
        except (IndexError, StorageError):
            return None

    def by_message_id(self, name: str) -> Planned | None:
        """The recipient of the letter with this Message-ID; ``name`` is the part before the @."""
        for run in self._near:
            for found in self._found(run, "message-id", name, _message_id_words):
                if letter_id(run.identity, ANY_DOMAIN, found.recipient) == f"<{name}@{ANY_DOMAIN}>":
                    return found
        return None

    def by_address(self, address: str, campaign: str, edition: str | None = None) -> Planned | None:
        """The recipient with this address, in any edition if ``edition`` is None."""
        wanted = address_key(address)
        for run in self._of(campaign, edition):
            for found in self._found(run, "address", wanted, _address_words):
                if address_key(found.recipient.address) == wanted:
                    return found
        return None

    def by_column(self, value: str, campaign: str, edition: str) -> Planned | None:
        """The recipient with this value in the column that unsubscribe tokens stand for."""
        for run in self._of(campaign, edition) if self._unsubscribe_id else ():
            column = column_of(self._unsubscribe_id, self.plan(run).columns)
            if column is None:
                continue
            for found in self._found(run, f"column {column}", value, _column_words(column)):
                if str(found.recipient.row.get(column)) == value:
                    return found
        return None

    def by_reply(self, name: str) -> Planned | None:
        """The recipient of the letter to which the relay gave the id ``name``; None if it gave it to two letters."""
        for run in self._near:
            found = list(self._found(run, "reply", name, _reply_words, words=WORDS_A_REPLY))
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def plan(self, run: SentRun) -> Plan:
        """The run's plan, opened once. Raises StorageError."""
        if run.name not in self._plans:
            self._plans[run.name] = Plan.open(run.folder / run_folder.PLAN)
        return self._plans[run.name]

    def _of(self, campaign: str, edition: str | None) -> Iterator[SentRun]:
        for run in self._near:
            if run.opened.campaign == campaign and edition in (None, run.opened.edition):
                yield run

    def _found(
        self, run: SentRun, kind: str, word: str, source: Callable[[SentRun, Plan], Words], words: int = 1
    ) -> Iterator[Planned]:
        try:
            plan = self.plan(run)
            index = self._indexes.get((run.name, kind))
            if index is None:
                index = RecipientIndex(source(run, plan), plan.size * words)
                self._indexes[run.name, kind] = index
            for number in index.find(word):
                yield Planned(run, plan.recipient(number))
        except (StorageError, IndexError):
            return  # a run whose plan is gone or damaged is told of by whoever takes it up


def _within_reach(runs: Sequence[SentRun]) -> tuple[SentRun, ...]:
    near: list[SentRun] = []
    left = REACH
    for run in runs:
        left -= run.opened.recipients
        if near and left < 0:
            break
        near.append(run)
    return tuple(near)


def _message_id_words(run: SentRun, plan: Plan) -> Words:
    named = message_ids(run.identity, ANY_DOMAIN)
    cut = -len(ANY_DOMAIN) - 2
    return (
        (named(key)[1:cut] if address else kept_message_id(key), number)
        for number, (key, address) in enumerate(plan.keys_and_addresses())
    )


def _address_words(_: SentRun, plan: Plan) -> Words:
    return ((address_key(address), number) for number, address in enumerate(plan.addresses()))


def _column_words(column: str) -> Callable[[SentRun, Plan], Words]:
    return lambda _, plan: ((str(one.row.get(column)), one.number) for one in plan.recipients())


def _reply_words(run: SentRun, _: Plan) -> Words:
    for record in journal_reader.read_records(run.folder / journal_reader.NAME, journal_reader.Reading()):
        if isinstance(record, VerdictRecord) and record.verdict == Verdict.ACCEPTED:
            for word in reply_names(record.reason)[:WORDS_A_REPLY]:
                yield word, record.number


def reply_names(text: str) -> list[str]:
    """Words of a reply that may be the relay's id of the letter: long words with a digit, last first."""
    words = [word.strip("<>()[]{},;:.'\"") for word in text[-LONGEST_REPLY:].split()]
    return [
        word
        for word in reversed(words)
        if SHORTEST_WORD <= len(word) <= LONGEST_WORD and any(one.isdigit() for one in word)
    ]
