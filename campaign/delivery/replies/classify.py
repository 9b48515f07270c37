"""Classifies a reply: a pure decision by rules that are data (`replies.toml`, `gateway_answers.toml`).

Order: rules of the campaign file, then stage, provider text, enhanced code, basic code, class; within each, the first
rule that fits. A reply quoted by a bounce has extra rules, which come before the built-in ones. Answers of HTTP
gateways have rules of their own, as a 400 means something else there. This module only decides: it sends, slows and
stops nothing, and a server's text is never interpreted as anything but text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from msgspec.structs import replace

from campaign.delivery.replies.retry_hint import hint
from campaign.delivery.replies.rule_parser import (
    Action,
    Rule,
    Scope,
    Stage,
    pattern,
    read_rules,
    read_user_rules,
)
from campaign.model import Reply

__all__ = ["Action", "Decision", "Rules", "Scope", "Stage"]

TIERS = ("stage", "text", "enhanced", "code", "class")
#: What is said by a bounce, and not by a relay or the gateway of that name.
BOUNCED = "bounce"


class Decision(msgspec.Struct, frozen=True):
    """The decision about a reply: what to do, the reason in words, and what it applies to.

    ``retry_after``: minimum wait in seconds, None without a hint. ``counted``: the attempt counts against the
    recipient. ``login``: the relay refused our login. ``quota``: an allowance is used up, so a stop leaves
    the run unfinished, not failed. ``strikes``: stop only after this many such replies in a row.
    ``doubt``: a reply to the dot that neither accepts nor refuses. ``rule``: the name of the deciding rule.
    ``means``: the class of a bounce with this reply, one of `MEANINGS`.
    """

    action: Action
    reason: str
    advice: str
    retry_after: float | None
    scope: Scope
    counted: bool
    login: bool
    rule: str
    quota: bool = False
    strikes: int = 1
    doubt: bool = False
    means: str = "other"


_NO_REPLY = Decision(Action.BACK_OFF, "there was no well-formed reply", "", None, "relay", False, False, "no-reply")


class Rules:
    """All rules: those of the campaign file before the built-in ones, which are read when a reply first needs them."""

    def __init__(self, user: Sequence[Rule]) -> None:
        self._user = tuple(user)
        self._fitting: dict[tuple[Stage, int, str], list[tuple[Rule, Decision]]] = {}
        self._plain: dict[Stage, Decision] = {}

    @classmethod
    def load(cls, extra: Sequence[Mapping[str, Any]] = ()) -> Rules:
        """The built-in rules and the campaign file's. Raises ConfigError naming a wrong rule."""
        return cls(read_user_rules(extra))

    def decide(
        self,
        stage: Stage,
        reply: Reply,
        *,
        recipient_domain: str = "",
        relay: str = "",
        gateway: str = "",
        resent: bool = False,
    ) -> Decision:
        """The decision about ``reply`` at ``stage``. ``resent``: the letter was in doubt before this attempt.

        ``gateway`` names the HTTP gateway that answered; then the code is a status.

        Every code is decided, including unknown ones; a code of 0 stands for no well-formed reply.
        """
        if reply.code == 250:
            if stage not in self._plain:
                self._plain[stage] = self._decide(stage, Reply(250, "", ""), "", "")
            return self._plain[stage]
        decision = self._decide(stage, reply, recipient_domain, relay, gateway)
        if resent and decision.rule == "exchange-duplicate":
            return replace(decision, action=Action.ACCEPT, reason="the first copy had arrived; this one was refused")
        return decision

    def decide_bounced(self, stage: Stage, reply: Reply, recipient_domain: str = "") -> Decision:
        """The decision about a ``reply`` quoted by a bounce: another server received it at ``stage``, or created it."""
        return self._decide(stage, reply, recipient_domain, "", BOUNCED)

    def names(self) -> list[str]:
        """The names of all rules, in order."""
        return [rule.name for rule in self.rules_for()]

    def _decide(self, stage: Stage, reply: Reply, domain: str, relay: str, said_by: str = "") -> Decision:
        code, text = reply.code, reply.text
        enhanced = reply.enhanced if reply.enhanced[:1] == str(code)[0] else ""  # RFC 2034: the class must agree
        for rule, decision in self._candidates(stage, code, said_by):
            if (
                (rule.enhanced is None or pattern(rule.enhanced).fullmatch(enhanced))
                and (rule.domains is None or domain in rule.domains)
                and (rule.relays is None or relay in rule.relays)
                and (rule.text is None or pattern(rule.text).search(text))
            ):
                return _with_hint(decision, text) if decision.action in _WAITING else decision
        return replace(_NO_REPLY, doubt=stage is Stage.DOT)

    def _candidates(self, stage: Stage, code: int, said_by: str) -> list[tuple[Rule, Decision]]:
        found = self._fitting.get((stage, code, said_by))
        if found is None:
            found = [
                (rule, _decision(rule, stage, code))
                for rule in self.rules_for(said_by)
                if (rule.stages is None or stage in rule.stages) and (rule.codes is None or code in rule.codes)
            ]
            self._fitting[stage, code, said_by] = found
        return found

    def rules_for(self, said_by: str = "") -> tuple[Rule, ...]:
        """The rules in the order in which they are tried, for what a relay, a gateway or a bounce says."""
        if said_by == BOUNCED:
            return (*self._user, *_own_rules(("bounce",)), *_own_rules(TIERS))
        return (*self._user, *(_gateway_rules(said_by) if said_by else _own_rules(TIERS)))


_WAITING = frozenset({Action.RETRY, Action.BACK_OFF, Action.STOP, Action.NEXT_RELAY})


def _decision(rule: Rule, stage: Stage, code: int) -> Decision:
    return Decision(
        action=rule.action,
        reason=rule.reason,
        advice=rule.advice,
        retry_after=rule.retry,
        scope=rule.scope,
        counted=rule.counted and code != 421,
        login=rule.login,
        rule=rule.name,
        quota=rule.quota,
        strikes=rule.strikes,
        doubt=stage is Stage.DOT and 300 <= code < 400,
        means=rule.means,
    )


def _with_hint(decision: Decision, text: str) -> Decision:
    asked = hint(text)
    if asked is None or asked <= (decision.retry_after or 0.0):
        return decision
    return replace(decision, retry_after=asked)


@cache
def _own_rules(tiers: tuple[str, ...]) -> tuple[Rule, ...]:
    return read_rules([table for tier in tiers for table in _own_tables()[tier]])


@cache
def _own_tables() -> Mapping[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("replies.toml").read_text(encoding="utf-8"))


@cache
def _gateway_rules(gateway: str) -> tuple[Rule, ...]:
    data = tomllib.loads(resources.files(__package__).joinpath("gateway_answers.toml").read_text(encoding="utf-8"))
    tables = [table for table in data["answer"] if gateway in table.get("gateway", (gateway,))]
    return read_rules([{key: value for key, value in table.items() if key != "gateway"} for table in tables])
