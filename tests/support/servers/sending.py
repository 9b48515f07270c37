"""What the delivery tests share: letters, a recorder that is an oracle of its own, and a pass in one call."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from campaign.config.delivery import DeliverySection, Timeouts
from campaign.delivery.relays.relay import Relay, open_relays
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.model import Letter, Outcome, Recipient, Verdict

#: Seconds; short enough for tests, long enough for a busy machine.
QUICK = dict.fromkeys(Timeouts.model_fields, 5.0)


def recipients(count: int, domain: str = "example.com") -> list[Recipient]:
    return [Recipient(n, f"u{n}@{domain}", f"u{n}@{domain}", "", n + 2, {}) for n in range(count)]


def letter_for(recipient: Recipient, body: bytes = b"Hello\r\n") -> Letter:
    content = b"From: news@example.com\r\nTo: %s\r\n\r\n%s" % (recipient.address.encode(), body)
    return make_letter(recipient, content)


def make_letter(recipient: Recipient, content: bytes, **more: Any) -> Letter:
    digest = hashlib.sha256(content).digest()
    number = recipient.number
    return Letter(number, f"<{number}@example.com>", "news@example.com", recipient.address, content, digest, **more)


class Steered:
    """A `Control` that a test holds in its hands."""

    def __init__(self, **wishes: Any) -> None:
        self.state, self.rate, self.connections, self.looks = "run", None, None, 0
        self.__dict__.update(wishes)

    def poll(self, now: float) -> bool:
        self.looks += 1
        return True


class Ledger:
    """Records like the journal, and keeps its rules: no verdict twice, no dot without an intent."""

    def __init__(self) -> None:
        self.intents: Counter[int] = Counter()
        self.outcomes: list[Outcome] = []
        self.last: dict[int, Outcome] = {}
        self.fail_intent: Exception | None = None
        self.fail_verdict: Exception | None = None
        self.on_intent: Callable[[Letter], Awaitable[None] | None] = lambda _: None

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        if self.fail_intent is not None:
            raise self.fail_intent
        self.intents[letter.number] += 1
        return self.on_intent(letter)

    def verdict(self, outcome: Outcome) -> None:
        if self.fail_verdict is not None:
            raise self.fail_verdict
        assert outcome.number not in self.last or self.last[outcome.number].verdict is Verdict.DEFERRED
        self.outcomes.append(outcome)
        self.last[outcome.number] = outcome

    def count(self, verdict: Verdict) -> int:
        return sum(outcome.verdict is verdict for outcome in self.last.values())


def settings(relay: str | list[str], **keys: Any) -> DeliverySection:
    timeouts = Timeouts(**{**QUICK, **keys.pop("timeouts", {})})
    return DeliverySection.model_validate({"relay": relay, "connections": 1, "timeouts": timeouts, **keys})


async def relays_of(
    slice_: DeliverySection, environment: dict[str, str] | None = None, base: Path = Path()
) -> list[Relay]:
    return await open_relays(slice_, base, environment or {}, None)


async def dispatcher(slice_: DeliverySection, ledger: Ledger, **more: Any) -> Dispatcher:
    return Dispatcher(slice_, await relays_of(slice_), ledger, **more)


async def send(
    relay: str | list[str],
    who: Iterable[Recipient],
    compose: Callable[[Recipient], Any] = letter_for,
    ledger: Ledger | None = None,
    **keys: Any,
) -> Ledger:
    """One pass over ``who`` through ``relay``; what was recorded. Errors of the run are raised."""
    ledger = ledger or Ledger()
    await (await dispatcher(settings(relay, **keys), ledger)).serve_pass(iter(who), compose)
    return ledger


def drawn(who: Iterable[Recipient], log: list[int]) -> Iterator[Recipient]:
    for recipient in who:
        log.append(recipient.number)
        yield recipient
