"""What one message, log line or event tells, before it is known whom of ours it is about."""

from __future__ import annotations

from dataclasses import dataclass, field

from campaign.model import FeedbackOutcome, Reply

NO_REPLY = Reply(0, "", "")


@dataclass(frozen=True, slots=True)
class FeedbackNotice:
    """One thing told about one letter.

    ``outcome`` is ``None`` for a bounce: what it means is decided by the reply rules, from ``reply`` (code 0 and
    enhanced ``""`` where none was given; its text is the diagnostic) and from ``permanent``, which is what the report
    itself says (``None``: nothing). ``at`` is POSIX seconds, 0 where unknown; ``mta`` the host that reports.

    The rest are keys to the person, none of them trusted yet: ``sent_to`` are addresses that the message itself was
    delivered to (a return path or an unsubscribe address of ours may be among them), ``message_ids`` those of letters
    it names or brings back, ``unsubscribe_tokens`` those of a returned List-Unsubscribe, ``reply_ids`` what a relay
    called the letter when it took it, ``addresses`` the recipients it names, the original ones first.
    """

    outcome: FeedbackOutcome | None
    reply: Reply = field(default=NO_REPLY)
    permanent: bool | None = None
    at: float = 0.0
    mta: str = ""
    sent_to: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    unsubscribe_tokens: tuple[str, ...] = ()
    reply_ids: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
