"""The content of one message, log line or event, before its recipient has been found."""

from __future__ import annotations

import msgspec

from campaign.model import FeedbackOutcome, Reply

NO_REPLY = Reply(0, "", "")


class FeedbackNotice(msgspec.Struct, frozen=True):
    """One statement about one letter.

    ``outcome`` is ``None`` for a bounce: the reply rules decide what it means, from ``reply`` (code 0 and
    enhanced ``""`` if none was given; its text is the diagnostic) and from ``permanent``, the report's own statement
    (``None`` if it makes none). ``at`` is POSIX seconds, 0 if unknown; ``mta`` is the reporting host.

    The rest are keys to the recipient, none of them trusted yet: ``sent_to`` are addresses to which the message itself
    was delivered (a return path or an unsubscribe address of ours may be among them), ``message_ids`` are those of
    letters that it names or returns, ``unsubscribe_tokens`` those of a returned List-Unsubscribe, ``reply_ids`` the
    relay's ids of the letter, ``addresses`` the recipients it names, the original ones first.
    """

    outcome: FeedbackOutcome | None
    reply: Reply = msgspec.field(default=NO_REPLY)
    permanent: bool | None = None
    at: float = 0.0
    mta: str = ""
    sent_to: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    unsubscribe_tokens: tuple[str, ...] = ()
    reply_ids: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
