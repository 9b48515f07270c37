"""What big providers say, and what it must lead to: never a recipient suppressed who is not at fault.

The phrases stand in a corpus beside the checkout, which is not part of this project; the decisions below are ours.
A phrase is part of a longer reply, so the rules see it with words around it, as the reply to RCPT.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from campaign.delivery.replies.classify import Action, Decision, Rules, Stage
from campaign.model import Reply

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "replies"
RULES = Rules.load()

#: The domain whose servers speak so, where a rule of ours asks for it.
DOMAINS = {"Microsoft": "outlook.com", "Cox": "cox.net"}

#: The corpus calls these addresses dead; we keep them, on purpose.
KEPT = {
    "system not accepting network messages": "a 4.3.2 passes: it is the server that does not serve now",
    "hosted tenant which has no mail-enabled subscriptions": "a 4.4.4 passes: the tenant may subscribe again",
    "account inbounds disabled": "a 451 passes: the recipient's company has switched its gateway off for now",
    "storedrv.deliver: missing or bad storedriver mdb properties": "a fault of the mailbox server, not of the address",
}

#: What stops a run or slows it down at the big four: a piece of the phrase, and what follows at RCPT.
DECISIONS: list[tuple[str, str, Action, str]] = [
    ("Google", "senders to authenticate with", Action.STOP, "run"),
    ("Google", "fails to pass authentication checks", Action.STOP, "run"),
    ("Google", "domain's dmarc policy", Action.STOP, "run"),
    ("Google", "ptr record", Action.STOP, "run"),
    ("Google", "senders to use tls/ssl", Action.STOP, "run"),
    ("Google", "an unusual rate of", Action.BACK_OFF, "domain"),
    ("Google", "the same message-id", Action.BACK_OFF, "domain"),
    ("Google", "has been rate limited", Action.BACK_OFF, "domain"),
    ("Google", "peak smtp relay limit", Action.BACK_OFF, "relay"),
    ("Google", "daily sending quota", Action.STOP, "run"),
    ("Google", "daily smtp relay", Action.STOP, "run"),
    ("Google", "mail relay denied", Action.STOP, "run"),
    ("Google", "invalid credentials for relay", Action.STOP, "run"),
    ("Google", "username and password not accepted", Action.STOP, "run"),
    ("Google", "additional messages from being delivered", Action.RETRY, "recipient"),
    ("Google", "is over quota", Action.REJECT, "recipient"),
    ("Google", "likely unsolicited mail", Action.REJECT, "recipient"),
    ("Microsoft", "does not pass dmarc verification", Action.STOP, "run"),
    ("Microsoft", "banned sender", Action.STOP, "run"),
    ("Microsoft", "banned sending ip", Action.STOP, "run"),
    ("Microsoft", "tenant has exceeded threshold", Action.STOP, "run"),
    ("Microsoft", "client was not authenticated", Action.STOP, "run"),
    ("Microsoft", "daily limit for message recipients", Action.STOP, "run"),
    ("Microsoft", "submission quota exceeded", Action.STOP, "run"),
    ("Microsoft", "temporarily rate limited due to ip reputation", Action.BACK_OFF, "domain"),
    ("Microsoft", "please try again later from", Action.BACK_OFF, "domain"),
    ("Microsoft", "on our block list", Action.BACK_OFF, "domain"),
    ("Microsoft", "has exceeded permitted limits", Action.BACK_OFF, "domain"),
    ("Microsoft", "message receive limit", Action.RETRY, "recipient"),
    ("YahooInc", "requires all senders to authenticate", Action.STOP, "run"),
    ("YahooInc", "unexpected volume or user complaints", Action.BACK_OFF, "domain"),
    ("YahooInc", "relaying denied", Action.STOP, "run"),
    ("YahooInc", "receiving mail too quickly", Action.RETRY, "recipient"),
    ("YahooInc", "max message per connection", Action.BACK_OFF, "relay"),
    ("YahooInc", "not accepted for policy reasons", Action.REJECT, "recipient"),
    ("Apple", "failing both spf and dkim", Action.STOP, "run"),
    ("Apple", "due to excessive volume", Action.BACK_OFF, "domain"),
    ("Apple", "relay access denied", Action.STOP, "run"),
    ("Apple", "due to local policy", Action.REJECT, "recipient"),
]

#: Codes of phrases that the corpus gives without one, where 550 would not be what the provider says.
CODES = {
    "unexpected volume or user complaints": 421, "max message per connection": 421, "due to excessive volume": 421,
}  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """A line of the corpus."""

    provider: str
    code: str
    enhanced: str
    words: str
    dead: bool

    def decision(self) -> Decision:
        """What the rules make of it at RCPT."""
        code = int(self.code or {"4": 450}.get(self.enhanced[:1], 550))
        code = next((known for piece, known in CODES.items() if piece in self.words), code)
        reply = Reply(code, self.enhanced, f"Sorry, {self.words} (x1)")
        return RULES.decide(Stage.RCPT, reply, recipient_domain=DOMAINS.get(self.provider, ""))


def lines(name: str) -> list[list[str]]:
    file = CORPUS / name
    if not file.is_file():
        pytest.skip(f"the corpus of replies is not beside this checkout: {file.name}")
    return [line.split("\t") for line in file.read_bytes().decode().split("\n")[1:] if line]


@pytest.fixture(name="phrases", scope="module")
def fixture_phrases() -> list[Phrase]:
    found = [Phrase(*line[:4], dead=line[5] == "yes") for line in lines("provider-phrases.tsv")]
    assert len(found) == 376
    return found


def test_nobody_is_suppressed_where_the_address_is_not_at_fault(phrases: list[Phrase]) -> None:
    wronged = [one for one in phrases if not one.dead and one.decision().action is Action.SUPPRESS]
    assert not wronged


def test_dead_addresses_are_suppressed_but_for_those_kept_on_purpose(phrases: list[Phrase]) -> None:
    dead = [one for one in phrases if one.dead]
    missed = [one.words for one in dead if one.decision().action is not Action.SUPPRESS]
    assert set(missed) == set(KEPT)
    assert len(missed) <= len(dead) * 0.1


@pytest.mark.parametrize(("provider", "piece", "action", "scope"), DECISIONS)
def test_what_stops_or_slows_a_run_is_decided_so(
    phrases: list[Phrase], provider: str, piece: str, action: Action, scope: str
) -> None:
    said = [one for one in phrases if one.provider == provider and piece in one.words]
    assert said
    for one in said:
        decision = one.decision()
        passing = one.code.startswith("4") and action is Action.REJECT  # a full mailbox may come as a 4xx
        assert (decision.action, decision.scope) == (Action.RETRY if passing else action, scope), (one, decision)


def test_replies_seen_in_the_wild_suppress_the_dead_and_nobody_else() -> None:
    dead_words = ("not found", "does not exist", "is disabled", "no longer valid", "mailbox unavailable",
        "mailbox is disabled", "user doesn't have", "not a valid rfc-5321")  # fmt: skip
    for domain, code, enhanced, text, _ in lines("realistic.tsv"):
        decision = RULES.decide(Stage.RCPT, Reply(int(code), enhanced, text), recipient_domain=domain)
        dead = code.startswith("5") and any(words in text.lower() for words in dead_words)
        assert (decision.action is Action.SUPPRESS) == dead, (text, decision)
        if code.startswith("4"):
            assert decision.action in (Action.RETRY, Action.BACK_OFF), (text, decision)
