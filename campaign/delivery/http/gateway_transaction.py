"""Letters over a connection to a gateway. The request is the dot: before `dot` no octet of it leaves.

An answer in the provider's own form with a status below 500 is a reply. After the first octet, everything else leaves
the letter in doubt: a time limit, a reset, a status of 500 and above, 408 (RFC 9110: the server gave up waiting, which
says nothing about what it has), and the page of a server on the way, which knows nothing of the provider's decision.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from email import message_from_bytes
from email.policy import compat32
from email.utils import getaddresses

from campaign.delivery.credentials.token_refresh import without_secrets
from campaign.delivery.http.exchange import GatewayAnswer
from campaign.delivery.http.gateway_connection import GatewayConnection
from campaign.delivery.smtp.mail_transaction import for_the_wire, smuggles, unfit
from campaign.delivery.transport_errors import ConnectFailed, ConnectionLost, EnvelopeRefused
from campaign.errors import InternalError
from campaign.model import Letter, Outcome, Reply, Verdict

#: Statuses that say nothing about what became of the request, whatever the answer's form.
UNDECIDED = frozenset({408, *range(500, 600)})
#: Longest quotation of an answer that leaves a letter in doubt, in characters.
QUOTED = 80


class GatewayTransaction:
    """The same verbs as for SMTP; see `campaign.delivery.interfaces.Transaction`."""

    pipelined = False

    def __init__(self, connection: GatewayConnection) -> None:
        self._connection = connection
        self._limits = connection.timeouts
        self._letter: Letter | None = None
        self._secrets: list[str] = []

    def prepare(self, letter: Letter) -> bytes | Outcome:
        """The letter's own octets, or the outcome of one that must not go there."""
        if not letter.sound and for_the_wire(letter.content) is None:
            return smuggles(letter)
        outcome = unfit(letter, self._connection)
        if outcome is None and self._connection.preset.addressed == "header":
            outcome = self._wrongly_addressed(letter)
        return outcome or letter.content

    def offer(self, letter: Letter) -> None:
        """Begin with ``letter``."""
        self._letter = letter

    def agreed(self) -> bool:
        """Always: there is nothing to wait for."""
        return True

    async def answer(self) -> EnvelopeRefused | None:
        """Never asked for."""
        return None

    def content(self, data: bytes) -> Awaitable[None]:  # noqa: ARG002 - the letter offered has the same octets
        """Make the request, with keys that are valid now, on a connection that may be used. Nothing of it leaves."""
        return self._make_request()

    def dot(self, following: Letter | None = None) -> None:  # noqa: ARG002 - there never is one
        """Send the first octets of the request. ConnectionLost: none left."""
        self._connection.stream.send()

    async def verdict(self) -> Reply:
        """The provider's answer. ConnectionLost: the letter is in doubt."""
        stream = self._connection.stream
        try:
            answer = await stream.answer(self._limits.content, self._limits.dot)
        except ConnectionLost as lost:
            stream.abort(str(lost))
            raise
        reply = None if answer.status in UNDECIDED else self._connection.api.letter_reply(answer)
        if reply is None:
            why = self._undecided(answer)
            stream.abort(why)
            raise ConnectionLost(why)
        if reply.code < 300:
            return reply
        wait = answer.wait()
        text = without_secrets(reply.text, self._secrets)
        return reply._replace(text=text if wait is None else f"{text} (retry-after: {wait:.0f})")

    # -- inside

    async def _make_request(self) -> None:
        connection, letter = self._connection, self._letter
        if letter is None:
            raise InternalError("A request was to be made before a letter was offered.")
        try:
            secret = await connection.secret()
        except ConnectionError as error:
            raise ConnectionLost(str(error)) from error
        if not connection.stream.reusable:
            try:
                await connection.connect()
            except ConnectFailed as failure:
                raise ConnectionLost(failure.why) from failure
        self._secrets = secret.split("\n")
        request = connection.api.letter_request(letter, secret, time.time())
        connection.stream.load(request, connection.host)

    def _undecided(self, answer: GatewayAnswer) -> str:
        words = answer.body[: QUOTED * 4].decode("utf-8", "replace")
        said = without_secrets(" ".join(words.split())[:QUOTED], self._secrets)
        return f"the gateway answered {answer.status} without saying whether it took the letter: {said or 'nothing'}"

    def _wrongly_addressed(self, letter: Letter) -> Outcome | None:
        """The outcome of a letter whose own fields name others than its recipient: it would go to all of them."""
        head = message_from_bytes(letter.content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", policy=compat32)
        fields = [str(value) for name in ("To", "Cc", "Bcc") for value in head.get_all(name, [])]
        named = {address.casefold() for _, address in getaddresses(fields)}
        if named == {letter.recipient.casefold()}:
            return None
        why = "this gateway sends to whom To, Cc and Bcc name, and these name others than the recipient"
        return Outcome(letter.number, Verdict.REJECTED, why, relay=self._connection.relay.name)
