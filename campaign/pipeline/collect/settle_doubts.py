"""Settles letters in doubt from feedback: one that bounced, arrived or was complained about had been accepted.

This is derived from all stored events, so a run that is being served now, or a process killed before this step, is
handled the next time. Only keyed matches count, so naming an address cannot settle a letter.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from campaign.errors import CampaignError, UnfinishedError
from campaign.exit_codes import first_of
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.recovery import read_history
from campaign.model import FeedbackEvent, FeedbackOutcome, Verdict
from campaign.pipeline.collect.find_recipient import MESSAGE_ID, RETURN_PATH
from campaign.pipeline.finish.close_run import verdict_codes
from campaign.pipeline.operate.manage import alone, checkpoint_of, report
from campaign.pipeline.operate.run_standing import is_running

KEYED = frozenset({RETURN_PATH, MESSAGE_ID})
#: Outcomes that are impossible for a letter that no relay accepted.
TOOK = frozenset(
    {
        FeedbackOutcome.HARD,
        FeedbackOutcome.SOFT,
        FeedbackOutcome.NOT_THEIR_FAULT,
        FeedbackOutcome.DELIVERED,
        FeedbackOutcome.DELAYED,
        FeedbackOutcome.COMPLAINT,
        FeedbackOutcome.AUTOMATIC_REPLY,
        FeedbackOutcome.UNSUBSCRIBE,
    }
)


def taken_letters(events: Iterable[FeedbackEvent]) -> dict[str, array[int]]:
    """The numbers of letters proved accepted, by run; four octets an event."""
    found: dict[str, array[int]] = {}
    for event in events:
        if event.run and event.matched_by in KEYED and event.outcome in TOOK:
            found.setdefault(event.run, array("I")).append(event.number)
    return found


def settle_doubts(directory: Path, taken: Mapping[str, Sequence[int]]) -> tuple[int, list[CampaignError]]:
    """Settle letters in doubt in these runs; returns their number, and errors of runs that could not be examined.

    A run that a process serves, or is about to serve, is skipped silently.
    """
    settled, failures = 0, []
    for name, numbers in taken.items():
        run = directory / name
        try:
            if may_have_doubts(run):
                settled += _settle(run, frozenset(numbers))
        except UnfinishedError:
            continue
        except CampaignError as error:
            failures.append(error)
    return settled, failures


def may_have_doubts(run: Path) -> bool:
    """Whether the run's journal must be replayed; not if its summary shows that it ended without doubts."""
    if not run_folder.has_journal(run) or is_running(run):
        return False
    if journal_reader.last_word(run / journal_reader.NAME) is None:
        return True
    try:
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        return bool(summary["verdicts"][Verdict.IN_DOUBT])
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _settle(run: Path, taken: frozenset[int]) -> int:
    """Settle the run's letters in doubt among ``taken``; without any, nothing is written."""
    if taken.isdisjoint(read_history(run).numbers(Verdict.IN_DOUBT)):
        return 0
    with alone(run), checkpoint_of(run) as checkpoint:
        history = checkpoint.history
        doubtful = [number for number in history.numbers(Verdict.IN_DOUBT) if number in taken]
        for number in doubtful:
            checkpoint.settle(number, Verdict.ACCEPTED, "feedback shows that a relay accepted it")
        checkpoint.end(int(first_of(verdict_codes(history, "hold"))))
    report(run)
    return len(doubtful)
