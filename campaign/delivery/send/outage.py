"""An outage of all relays, reported once when it begins and once when it is over."""

from __future__ import annotations

import logging
import time

from campaign.delivery.relays.failover import RelaySelector

log = logging.getLogger(__name__)


class Outage:
    """``words`` name the relay being waited for, until when and why; empty while one can be reached."""

    def __init__(self) -> None:
        self.words = ""
        self._relay = ""

    def look(self, selector: RelaySelector, now: float) -> None:
        """Report an outage if there is one; ``now`` is on the selector's clock."""
        found = selector.waited_for()
        if found is None or self.words:
            return
        state, end = found
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + end - now))
        self._relay, self.words = state.relay.name, f"waiting for {state.relay.name} until {until} ({state.why})"
        log.warning("%s; Ctrl-C is safe, the same command continues", self.words)

    def over(self) -> None:
        """Report that the outage is over: a connection is open."""
        if self.words:
            log.warning("%s can be reached again", self._relay)
            self.words = ""
