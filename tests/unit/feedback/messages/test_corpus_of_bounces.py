"""Bounces as servers of the world write them: what they mean, and that the person can be found.

The messages stand in a corpus beside the checkout, which is not part of this project. It is Sisimai's, and so are the
expectations: a reason, and whether the address is dead. Where we differ we do so on purpose:

* a 4xx that lasted until it was given up is soft, whatever it says ("450 4.1.1 User unknown");
* 5.2.1 and "disabled" are dead, as they are for a reply of SMTP (Sisimai: suspended);
* "unknown user" is dead unless the refusal surely answered the content, which few reports say (Sisimai: filtered).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from campaign.delivery.replies.bounce_meaning import bounce_meaning
from campaign.delivery.replies.classify import Rules
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.messages.read_message import read_message
from campaign.model import FeedbackOutcome, Reply

CORPUS = Path(__file__).parents[5] / "shared" / "corpus"
RULES = Rules.load()

#: Reasons of the corpus that say nothing about the address.
NEVER_DEAD = {
    "authfailure", "badreputation", "blocked", "contenterror", "exceedlimit", "mesgtoobig", "norelaying",
    "notcompliantrfc", "policyviolation", "requireptr", "securityerror", "spamdetected", "speeding", "toomanyconn",
    "virusdetected",
}  # fmt: skip

#: Phrases of providers that we judge otherwise than the corpus, and why.
OTHERWISE = {
    "nonexistent domain": "the recipient's domain does not exist: no network trouble",
    "does not exist": "5.4.310 is about the recipient's domain, not about relaying",
    "system not accepting network messages": "a 4.3.2 passes: it is the server that does not serve now",
    "hosted tenant which has no mail-enabled subscriptions": "a 4.4.4 passes: the tenant may subscribe again",
    "storedrv.deliver: missing or bad storedriver mdb properties": "a fault of the mailbox server, not of the address",
    "account inbounds disabled": "a 451 passes: the recipient's company has switched its gateway off for now",
}


@dataclass(frozen=True)
class Case:
    """A message of the corpus with what it is expected to mean, and what it means to us."""

    file: str
    expected: list[dict[str, Any]]
    notices: tuple[FeedbackNotice, ...]

    def dead(self) -> list[bool]:
        return [_outcome(one) is FeedbackOutcome.HARD for one in self.notices]

    def agrees(self) -> bool:
        expected = [one["hard"] for one in self.expected]
        if len(expected) == len(self.notices):
            return sorted(expected) == sorted(self.dead())
        return any(expected) == any(self.dead())


def _outcome(notice: FeedbackNotice) -> FeedbackOutcome:
    if notice.outcome is not None:
        return notice.outcome
    domain = notice.addresses[0].rpartition("@")[2].lower() if notice.addresses else ""
    return bounce_meaning(RULES, notice.reply, notice.permanent, domain)[0]


@cache
def cases() -> tuple[Case, ...]:
    listing = CORPUS / "bounces" / "expected.jsonl"
    if not listing.is_file():
        pytest.skip(f"the corpus of bounces is not beside this checkout: {listing.name}")
    lines = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]
    return tuple(
        Case(line["file"], line["expected"], read_message((CORPUS / "bounces" / line["file"]).read_bytes()))
        for line in lines
    )


def test_the_corpus_is_there() -> None:
    assert len(cases()) > 300


def test_dead_or_not_agrees_for_nearly_all() -> None:
    judged = [one for one in cases() if one.expected]
    differing = [one.file for one in judged if not one.agrees()]
    assert len(differing) <= 0.06 * len(judged), differing


def test_nobody_is_called_dead_for_a_fault_of_ours() -> None:
    wronged = [
        (one.file, expected["reason"])
        for one in cases()
        for expected, dead in zip(one.expected, one.dead(), strict=False)
        if dead and expected["reason"] in NEVER_DEAD
    ]
    assert not wronged


def test_an_address_or_a_key_is_found_in_nearly_all() -> None:
    found = [one for one in cases() if any(n.addresses or n.message_ids or n.unsubscribe_tokens for n in one.notices)]
    assert len(found) >= 0.97 * len(cases())


def test_bounces_have_their_reply_and_their_address_in_nearly_all() -> None:
    bounces = [one for one in cases() if one.expected and one.expected[0]["reason"] not in ("feedback", "undefined")]
    bare = [one.file for one in bounces if not all(n.addresses and n.reply.text for n in one.notices)]
    assert len(bare) <= 0.02 * len(bounces), bare


def test_complaints_and_automatic_replies_are_told_from_bounces() -> None:
    kinds = {one.file: one.notices[0].outcome for one in cases()}
    for file, outcome in kinds.items():
        if file.startswith("arf-"):
            assert outcome in (FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNKNOWN), file
        if file.startswith("rfc3834-"):
            assert outcome is FeedbackOutcome.AUTOMATIC_REPLY, file


def test_reading_a_message_takes_little_time() -> None:
    raws = [(CORPUS / "bounces" / one.file).read_bytes() for one in cases()]
    fastest = min(_seconds(raws) for _ in range(3))
    assert fastest / len(raws) < 0.002  # half of that on a machine that does nothing else


def _seconds(raws: list[bytes]) -> float:
    began = time.process_time()
    for raw in raws:
        read_message(raw)
    return time.process_time() - began


def _lines(name: str) -> list[list[str]]:
    file = CORPUS / "replies" / name
    if not file.is_file():
        pytest.skip(f"the corpus of replies is not beside this checkout: {file.name}")
    return [line.split("\t") for line in file.read_bytes().decode().split("\n")[1:] if line]


def test_phrases_of_providers_mean_what_their_authors_say_but_for_those_judged_otherwise() -> None:
    domains = {"Microsoft": "outlook.com", "Cox": "cox.net"}
    differing = set()
    for provider, code, enhanced, words, _, dead in _lines("provider-phrases.tsv"):
        reply = Reply(int(code or {"4": 450}.get(enhanced[:1], 550)), enhanced, f"Sorry, {words} (x1)")
        outcome, _ = bounce_meaning(RULES, reply, None, domains.get(provider, ""))
        if (outcome is FeedbackOutcome.HARD) != (dead == "yes"):
            differing.add(words.rpartition("; ")[2] if "nonexistent" in words else words)
    assert differing == set(OTHERWISE)


def test_replies_seen_in_the_wild_call_dead_only_who_is() -> None:
    dead_words = ("not found", "does not exist", "is disabled", "no longer valid", "mailbox unavailable",
        "mailbox is disabled", "user doesn't have", "not a valid rfc-5321", "domain lookup failed")  # fmt: skip
    for domain, code, enhanced, text, _ in _lines("realistic.tsv"):
        outcome, means = bounce_meaning(RULES, Reply(int(code), enhanced, text), None, domain)
        dead = code.startswith("5") and any(words in text.lower() for words in dead_words)
        assert (outcome is FeedbackOutcome.HARD) == dead, (text, outcome, means)
