"""The handler that passes the stages' `logging` records to the run's log and, if grave, to the operator.

The stages do not import this module: they log under the name ``campaign`` as any library would.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from campaign.report.live.event_log import Log
from campaign.report.live.repeated_messages import RepeatedMessages

ROOT = "campaign"


class Notices(logging.Handler):
    """Each record becomes an event of the log, if there is one; warnings also go to ``note``.

    ``clock`` gives monotonic seconds.
    """

    def __init__(
        self, log: Log | None, note: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(logging.INFO)
        self._log, self._note, self._repeated = log, note, RepeatedMessages(clock)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        text = record.getMessage()
        if self._log:
            self._log.event(text, level=record.levelname.lower(), module=record.name.removeprefix(f"{ROOT}."))
        if record.levelno >= logging.WARNING and not self._repeated.seen(text):
            self._note(text)


@contextmanager
def passed_on(log: Log | None, note: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, pass the stages' records on, and nowhere else."""
    logger, handler = logging.getLogger(ROOT), Notices(log, note)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
