"""Says why a message was not recognised, and where it is kept, for the output of `campaign collect`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from campaign.config.feedback import FeedbackSourceSection
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.model import FeedbackOutcome
from campaign.pipeline.collect.find_recipient import RecipientFinder, names_letter

OF_REHEARSAL = "its letter belongs to a rehearsal, which reached nobody"
OF_NO_RUN = "no run of this ledger sent its letter with the campaign's present secret"
OF_NO_LETTER = "it names no letter that a run of this ledger sent"
NO_FEEDBACK = "it is no bounce, complaint or unsubscribe that can be read"
ONLY_RECORDED = "its outcome is in feedback.jsonl"


class UnrecognisedReason(NamedTuple):
    """Why a message was not recognised, and where it is now."""

    why: str
    kept: str


class WhyUnrecognised:
    """Explains the unrecognised messages of one source. ``rehearsals`` makes a finder over rehearsals when needed."""

    def __init__(self, section: FeedbackSourceSection, rehearsals: Callable[[], RecipientFinder]) -> None:
        self._kept = kept_where(section)
        self._make_rehearsals = rehearsals

    def explain(self, notices: Iterable[FeedbackNotice]) -> UnrecognisedReason:
        """The reason for a message with these notices."""
        return UnrecognisedReason(self._why(tuple(notices)), self._kept)

    def _why(self, notices: tuple[FeedbackNotice, ...]) -> str:
        if any(self._rehearsals.find_letter(one) for one in notices):
            return OF_REHEARSAL
        if any(map(names_letter, notices)):
            return OF_NO_RUN
        if all(one.outcome is FeedbackOutcome.UNKNOWN for one in notices):
            return NO_FEEDBACK
        return OF_NO_LETTER

    @cached_property
    def _rehearsals(self) -> RecipientFinder:
        return self._make_rehearsals()


def kept_where(section: FeedbackSourceSection) -> str:
    """Where a source's unrecognised messages are after the collect."""
    url = section.url
    if url.startswith(("imap", "maildir:")):
        return f"moved to the folder {section.unknown} of {url}"
    return f"left in {url}" if url.startswith(("pop3", "mbox:")) else ONLY_RECORDED
