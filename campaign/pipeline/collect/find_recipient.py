"""Finds the recipient of a notice: by unforgeable keys, then by the relay's id of the letter, then by address.

Return-path token, token of an unsubscribe address, Message-ID and unsubscribe token are keyed hashes or encrypted, so
they cannot be forged. A relay's id counts only from the relay's own log or queue. Anyone can name an address, so it
comes last and is marked as such. The result is always the planned recipient: if a letter was forwarded, the failed
address belongs to another person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from campaign.compose.tokens.recipient_token import RecipientTokens, possible_tokens
from campaign.compose.tokens.unsubscribe_token import OpenedToken, UnsubscribeTokens
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.model import FeedbackOutcome
from campaign.pipeline.collect.run_lookup import Planned, RunLookup
from campaign.pipeline.collect.sent_runs import SentRun
from campaign.pipeline.operate.forget.letter_id import letter_id

RETURN_PATH, MESSAGE_ID, UNSUBSCRIBE, REPLY_ID, ADDRESS = (
    "return-path",
    "message-id",
    "unsubscribe-token",
    "reply-id",
    "address",
)
#: Length from which a relay's id of a letter is not reused within years, in characters.
LONG_REPLY_ID = 20
MOST_TRIED = 20  #: keys tried of each kind
SAME_KEYS = 8  #: cached searches for tokens: all notices of a message have the same keys
#: Outcomes that machines may send to an unsubscribe address without unsubscribing.
_MACHINES = frozenset({None, FeedbackOutcome.AUTOMATIC_REPLY, FeedbackOutcome.DELAYED, FeedbackOutcome.DELIVERED})
#: Outcomes that a log reports for all mail, every day.
_ALSO_OF_OTHER_MAIL = frozenset({FeedbackOutcome.DELAYED, FeedbackOutcome.DELIVERED})
_OUR_ID = re.compile(r"<?([0-9a-f]{40})@[^@\s>]{1,255}>?")


class FoundRecipient(NamedTuple):
    """The recipient of a notice. ``run`` is None and ``number`` 0 if a token contains an address that is in no plan.

    ``unsubscribes``: the message was sent to this recipient's own address for unsubscribing.
    """

    address: str
    matched_by: str
    run: SentRun | None = None
    number: int = 0
    message_id: str = ""
    campaign: str = ""
    unsubscribes: bool = False


class RecipientFinder:
    """Finds recipients of ``runs``, newest first, that were made with the campaign's ``secret``.

    ``campaign`` is the one in whose plans a mere address is looked up; ``unsubscribe_id`` is the column that
    unsubscribe tokens stand for, or "".
    """

    def __init__(self, runs: Sequence[SentRun], secret: bytes, campaign: str, unsubscribe_id: str = "") -> None:
        self._lookup = RunLookup(runs, unsubscribe_id)
        self._campaign = campaign
        self._return_paths = RecipientTokens(secret, "return path")
        self._mail_tokens = RecipientTokens(secret, "unsubscribe by mail")
        self._unsubscribe_tokens = UnsubscribeTokens(secret)
        self._by_trace = {run.opened.trace: run for run in reversed(runs)}
        self._traces = tuple(self._by_trace)
        self._opened = lru_cache(SAME_KEYS)(self._search)

    def find(self, notice: FeedbackNotice, *, relays_own: bool, believed: bool = False) -> FoundRecipient | None:
        """The recipient of ``notice``, by its best key.

        ``relays_own``: the notice is from a relay's log or queue, not from a message. These also report other mail to
        our recipients, so an address suffices only if the letter itself is not named, or if the source is ``believed``.
        """
        strange = relays_own and not believed and (notice.message_ids or notice.outcome in _ALSO_OF_OTHER_MAIL)
        return (
            self._by_return_path(notice)
            or self._by_mail_token(notice)
            or self._by_message_id(notice)
            or self._by_unsubscribe_token(notice)
            or (self._by_reply_id(notice) if relays_own else None)
            or (None if strange else self._by_address(notice))
        )

    def find_letter(self, notice: FeedbackNotice) -> FoundRecipient | None:
        """The recipient of the letter that ``notice`` names by a key that only we can make; addresses do not count."""
        return self._by_return_path(notice) or self._by_mail_token(notice) or self._by_message_id(notice)

    def _by_return_path(self, notice: FeedbackNotice) -> FoundRecipient | None:
        if notice.outcome is FeedbackOutcome.UNSUBSCRIBE:  # bounces show that address to strangers
            return None
        return _found(self._opened(self._return_paths, notice.sent_to), RETURN_PATH)

    def _by_mail_token(self, notice: FeedbackNotice) -> FoundRecipient | None:
        if notice.outcome in _MACHINES:
            return None
        named = (*notice.sent_to[:MOST_TRIED], *notice.unsubscribe_tokens[:MOST_TRIED])
        found = _found(self._opened(self._mail_tokens, named), UNSUBSCRIBE)
        return found._replace(unsubscribes=True) if found else None

    def _search(self, tokens: RecipientTokens, texts: tuple[str, ...]) -> Planned | None:
        for text in texts:
            for token in possible_tokens(text):
                opened = tokens.open(token, self._traces)
                if opened and (planned := self._lookup.numbered(self._by_trace[opened[0]], opened[1])):
                    return planned
        return None

    def _by_message_id(self, notice: FeedbackNotice) -> FoundRecipient | None:
        for one in notice.message_ids[:MOST_TRIED]:
            ours = _OUR_ID.fullmatch(one.strip().lower())
            if ours and (planned := self._lookup.by_message_id(ours[1])):
                return _found(planned, MESSAGE_ID)
        return None

    def _by_unsubscribe_token(self, notice: FeedbackNotice) -> FoundRecipient | None:
        """By the token of a link, or of an address, in the returned List-Unsubscribe."""
        if planned := self._opened(self._mail_tokens, notice.unsubscribe_tokens[:MOST_TRIED]):
            return _found(planned, UNSUBSCRIBE)
        for opened in self._tokens_opened(notice.unsubscribe_tokens[:MOST_TRIED]):
            planned = self._lookup.by_address(
                opened.subject, opened.campaign, opened.edition
            ) or self._lookup.by_column(opened.subject, opened.campaign, opened.edition)
            if planned:
                return _found(planned, UNSUBSCRIBE)
            if "@" in opened.subject:  # the plan is gone, but the token contains the address
                return FoundRecipient(opened.subject, UNSUBSCRIBE, campaign=opened.campaign)
        return None

    def _tokens_opened(self, tokens: Iterable[str]) -> Iterator[OpenedToken]:
        for token in tokens:
            try:
                opened = self._unsubscribe_tokens.open(token)
            except ValueError:
                continue
            if not opened.test:
                yield opened

    def _by_reply_id(self, notice: FeedbackNotice) -> FoundRecipient | None:
        for name in notice.reply_ids[:MOST_TRIED]:
            if notice.message_ids and len(name) < LONG_REPLY_ID:
                continue  # another letter has got this id since
            planned = self._lookup.by_reply(name) or ("." in name and self._lookup.by_reply(name.partition(".")[0]))
            if planned:
                return _found(planned, REPLY_ID)
        return None

    def _by_address(self, notice: FeedbackNotice) -> FoundRecipient | None:
        for address in notice.addresses[:MOST_TRIED]:
            if planned := self._lookup.by_address(address, self._campaign):
                return _found(planned, ADDRESS)
        return None


def names_letter(notice: FeedbackNotice) -> bool:
    """Whether ``notice`` names a letter that looks like one of this program's, by a Message-ID of its form."""
    return any(_OUR_ID.fullmatch(one.strip().lower()) for one in notice.message_ids[:MOST_TRIED])


def _found(planned: Planned | None, matched_by: str) -> FoundRecipient | None:
    if planned is None:
        return None
    run, recipient = planned
    name = letter_id(run.identity, run.opened.domain, recipient) if run.opened.domain else ""
    return FoundRecipient(recipient.address, matched_by, run, recipient.number, name, run.opened.campaign)
