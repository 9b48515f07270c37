"""The state of each recipient of a run, in fourteen octets: verdict, attempts and times; and which are due."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from campaign.model import Verdict

VERDICTS = tuple(Verdict)
CODE = {verdict: code for code, verdict in enumerate(VERDICTS)}
WAITING, DEFERRED, IN_DOUBT = CODE[Verdict.WAITING], CODE[Verdict.DEFERRED], CODE[Verdict.IN_DOUBT]
TO_GO = frozenset({WAITING, DEFERRED})
#: Verdicts that end an attempt, as opposed to those that needed none.
ATTEMPT_CODES = frozenset({CODE[Verdict.ACCEPTED], CODE[Verdict.DEFERRED], CODE[Verdict.REJECTED], IN_DOUBT})
BY_NAME = {verdict.value: code for verdict, code in CODE.items()}
#: In `RecipientStates.first_put_off`: never.
NEVER = -(1 << 31)
#: The last POSIX second that four octets hold, in February 2106.
LATEST = 0xFFFFFFFF


def is_date(seconds: float) -> bool:
    """Whether a POSIX time fits into the four octets that each recipient has for it."""
    return 0 <= seconds <= LATEST


class RecipientStates:
    """The recipients of one run, by their number in the plan.

    ``state`` holds a verdict code, ``attempts`` how often it was tried (saturating), ``dates`` the Date of the letter
    and ``not_before`` the earliest next attempt, both in POSIX seconds, 0 if there is none. ``first_put_off`` is when a
    relay first put it off, in seconds of the run's clock, or `NEVER`. ``counts`` has the number of recipients with each
    code.
    """

    def __init__(self, size: int) -> None:
        self.state = bytearray(size)
        self.attempts = bytearray(size)
        self.dates = array("I", bytes(4)) * size
        self.not_before = array("I", bytes(4)) * size
        self.first_put_off = array("i", [NEVER]) * size
        self.counts = [size] + [0] * (len(VERDICTS) - 1)

    def verdict(self, number: int) -> Verdict:
        """The recorded verdict of one recipient; between dot and reply still the previous one."""
        return VERDICTS[self.state[number]]

    def tally(self) -> dict[str, int]:
        """How many recipients have each of the nine verdicts."""
        return {verdict.value: self.counts[code] for code, verdict in enumerate(VERDICTS)}

    def numbers(self, *verdicts: Verdict) -> Iterator[int]:
        """Numbers of the recipients with one of these verdicts, ascending."""
        codes = frozenset(CODE[verdict] for verdict in verdicts)
        return (number for number, code in enumerate(self.state) if code in codes)

    def due(self, now: float, start: int = 0) -> Iterator[int]:
        """Numbers of the recipients that a pass beginning at ``now`` serves, ascending."""
        state, not_before = self.state, self.not_before
        for number in range(start, len(state)):
            code = state[number]
            if code == WAITING or (code == DEFERRED and not_before[number] <= now):
                yield number

    def is_open(self, number: int) -> bool:
        """Whether this recipient may have to be served in a pass, now or later."""
        return self.state[number] in TO_GO

    def first_unsettled(self) -> int:
        """The lowest number that may have to be served in a pass; the size of the run if there is none."""
        places = (self.state.find(code) for code in (WAITING, DEFERRED))
        return min((place for place in places if place >= 0), default=len(self.state))

    def next_due(self) -> float | None:
        """The earliest POSIX time at which a recipient is due; 0.0 = at once, None = never."""
        if self.counts[WAITING]:
            return 0.0
        if not self.counts[DEFERRED]:
            return None
        return float(min(self.not_before[n] for n, code in enumerate(self.state) if code == DEFERRED))

    def _move(self, number: int, code: int) -> None:
        self.counts[self.state[number]] -= 1
        self.counts[code] += 1
        self.state[number] = code

    def _draw_in(self, latest: int) -> int:
        """Shorten all waits to end by ``latest`` (POSIX seconds); returns how many were shortened."""
        later = [n for n, code in enumerate(self.state) if code == DEFERRED and self.not_before[n] > latest]
        for number in later:
            self.not_before[number] = latest
        return len(later)
