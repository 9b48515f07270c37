"""What may go wrong with a connection to a relay or a gateway, the same for every transport.

A connection that was never made is `ConnectFailed`, one that became unusable is `ConnectionLost`. An envelope that the
relay refused is neither: it is an answer, `EnvelopeRefused`.
"""

from __future__ import annotations

import msgspec

from campaign.delivery.replies.classify import Stage
from campaign.model import Reply


class ConnectionLost(Exception):  # noqa: N818 - not an error of ours but a state of the world
    """The connection is unusable; ``str`` gives the reason, in words for the operator."""


class ConnectFailed(Exception):  # noqa: N818 - it says what is, as `ConnectionLost` does
    """No usable connection. ``hopeless``: trying again would end the same way; ``advice`` is what to do.

    ``unreachable``: nothing answered at that address, or its name could not be looked up; that may pass by itself.
    """

    def __init__(
        self,
        stage: Stage,
        why: str,
        *,
        reply: Reply | None = None,
        hopeless: bool = False,
        unreachable: bool = False,
        advice: str = "",
    ) -> None:
        super().__init__(why)
        self.stage = stage
        self.why = why
        self.reply = reply
        self.hopeless = hopeless
        self.unreachable = unreachable
        self.advice = advice


class EnvelopeRefused(msgspec.Struct, frozen=True):
    """The relay refused the envelope: the refused command, and its reply."""

    stage: Stage
    reply: Reply
