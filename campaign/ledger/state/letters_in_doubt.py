"""The letters of a run that may have been sent: what is known of each, so that only the same bytes are sent again."""

from __future__ import annotations

from campaign.ledger.state.recipient_states import IN_DOUBT, WAITING, RecipientStates
from campaign.model import Verdict


class LettersInDoubt(RecipientStates):
    """``digests`` maps recipients who may have a letter to its SHA-256 in hex, or ``""`` if it is unknown.

    ``domains`` and ``shaped_by`` map them to the domain of its Message-ID and to the fingerprints of the inputs that it
    was made from; ``domain`` and ``fingerprints`` are the present ones.
    """

    def __init__(self, size: int, domain: str, fingerprints: dict[str, str]) -> None:
        super().__init__(size)
        self.domain, self.fingerprints = domain, fingerprints
        self.digests: dict[int, str] = {}
        self.domains: dict[int, str] = {}
        self.shaped_by: dict[int, dict[str, str]] = {}

    def reopen_doubts(self) -> None:
        """Let those in doubt wait again, in memory only: in the journal each is in doubt until its next verdict."""
        for number in list(self.numbers(Verdict.IN_DOUBT)):
            self.digests.setdefault(number, "")
            self._move(number, WAITING)

    def close_doubts(self) -> None:
        """Put recipients who were reopened and have no verdict back in doubt."""
        for number in self.digests:
            if self.state[number] == WAITING:
                self._move(number, IN_DOUBT)

    def may_go(self, number: int, sha256: bytes) -> bool:
        """Whether this letter may be sent: if the recipient may have one already, only with the same bytes.

        If its SHA-256 is unknown, they are the same only if nothing that shapes letters has changed since.
        """
        if number not in self.digests:
            return True
        known = self.digests[number]
        return known == sha256.hex() if known else self.shaped_by.get(number) == self.fingerprints

    def _shaped(self, number: int) -> None:
        """Record the present domain and fingerprints for a letter in doubt, unless it was in doubt before."""
        self.domains.setdefault(number, self.domain)
        self.shaped_by.setdefault(number, self.fingerprints)
