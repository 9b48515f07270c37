"""Parses and checks rules about replies, from `replies.toml` and from the campaign file.

`classify.py` applies the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Literal, TypeVar, get_args

import msgspec

from campaign.config.units import duration
from campaign.errors import ConfigError, close_matches


class Stage(StrEnum):
    """The stage of an SMTP session that a reply answers."""

    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"
    RSET = "rset"
    QUIT = "quit"
    IDLE = "idle"


class Action(StrEnum):
    """What a reply requires.

    ``accept``: continue. ``retry``: try this recipient in a later pass. ``back_off``: slow down or hold what the scope
    names; the recipient goes back to the queue. ``reject``: refuse this recipient permanently. ``suppress``: the same,
    and leave it out of later runs. ``stop``: end the run, resumable. ``next_relay``: stop using this relay; another
    takes over.
    """

    ACCEPT = "accept"
    RETRY = "retry"
    BACK_OFF = "back_off"
    REJECT = "reject"
    SUPPRESS = "suppress"
    STOP = "stop"
    NEXT_RELAY = "next_relay"


Scope = Literal["recipient", "domain", "relay", "run"]

#: Classes of refusals; `bounce_meaning.py` decides whether each is about the address or about us.
MEANINGS = frozenset({
    "accepted", "no_such_user", "no_such_domain", "disabled", "filtered", "full", "deferred", "expired", "too_big",
    "spam", "blocked", "policy", "authentication", "relay_denied", "content", "rate", "configuration", "other",
})  # fmt: skip

_KEYS = {
    "name", "stage", "code", "enhanced", "text", "domain", "relay",
    "action", "scope", "counted", "retry", "strikes", "quota", "login", "means", "reason", "advice",
}  # fmt: skip
_CONDITIONS = {"stage", "code", "enhanced", "text", "domain", "relay"}
_Word = TypeVar("_Word", bound=StrEnum)
_PART = re.compile(r"\*|\d{1,3}(-\d{1,3})?")


class Rule(msgspec.Struct, frozen=True):
    """One rule: conditions (``None`` matches anything) and consequences. ``retry`` is in seconds.

    ``enhanced`` and ``text`` are regular expressions, compiled by `pattern` when first used.
    """

    name: str
    action: Action
    stages: frozenset[Stage] | None
    codes: frozenset[int] | None
    enhanced: str | None
    text: str | None
    domains: frozenset[str] | None
    relays: frozenset[str] | None
    scope: Scope
    counted: bool
    retry: float | None
    strikes: int
    quota: bool
    login: bool
    means: str
    reason: str
    advice: str


@cache
def pattern(expression: str) -> re.Pattern[str]:
    """``expression`` compiled, ignoring case. Raises re.error."""
    return re.compile(expression, re.IGNORECASE)


def read_rules(tables: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """The built-in rules. Raises ConfigError for a mistake in one."""
    return tuple(_rule(table, str(table.get("name", "?"))) for table in tables)


def read_user_rules(tables: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules of the campaign file. Raises ConfigError naming the rule and its mistake."""
    return tuple(_checked(table, f"delivery.reply_rules[{number}]") for number, table in enumerate(tables))


def _checked(table: Mapping[str, Any], place: str) -> Rule:
    name = f"{place} {table['name']!r}" if isinstance(table.get("name"), str) else place
    if not _CONDITIONS & set(table):
        raise _wrong(name, f"it fits every reply; name at least one of {', '.join(sorted(_CONDITIONS))}")
    rule = _rule({"code": ["4xx", "5xx"], **table}, name)
    if rule.codes is not None and any(code < 400 for code in rule.codes):
        raise _wrong(name, "code: only 4xx and 5xx can be given another meaning; a 2xx is an acceptance")
    if rule.action is Action.ACCEPT and rule.stages != frozenset({Stage.DOT}):
        raise _wrong(name, "action: a refusal can only be taken for an acceptance at stage = 'dot'")
    if rule.text is not None:
        try:
            pattern(rule.text)
        except re.error as error:
            raise _wrong(name, f"text: {rule.text!r} is not a regular expression: {error}") from None
    return rule


def _rule(table: Mapping[str, Any], name: str) -> Rule:
    _known_keys(table, name)
    action = _one_of(Action, table.get("action"), name, "action")
    stages = [_one_of(Stage, one, name, "stage") for one in _many(table.get("stage"))]
    codes = {code for one in _many(table.get("code")) for code in _codes(one, name)}
    enhanced = [_enhanced(one, name) for one in _many(table.get("enhanced"))]
    scope = table.get("scope", "recipient")
    if scope not in get_args(Scope):
        raise _wrong(name, f"scope: {scope!r} is none of {', '.join(get_args(Scope))}")
    return Rule(
        name=str(table.get("name", name)),
        action=action,
        stages=frozenset(stages) or None,
        codes=frozenset(codes) or None,
        enhanced="|".join(enhanced) or None,
        text=None if table.get("text") is None else str(table["text"]),
        domains=frozenset(str(one).lower() for one in _many(table.get("domain"))) or None,
        relays=frozenset(str(one).lower() for one in _many(table.get("relay"))) or None,
        scope=scope,
        counted=_flag(table, "counted", name, default=True),
        retry=_seconds(table.get("retry"), name),
        strikes=_count(table.get("strikes", 1), name),
        quota=_flag(table, "quota", name),
        login=_flag(table, "login", name),
        means=_meaning(table.get("means", "other"), name),
        reason=str(table.get("reason", "")) or f"as {name} says",
        advice=str(table.get("advice", "")),
    )


def _known_keys(table: Mapping[str, Any], name: str) -> None:
    for key in table:
        if key not in _KEYS:
            close = close_matches(key, _KEYS, n=1)
            raise _wrong(name, f"{key}: unknown key; {_meant(close, sorted(_KEYS))}")


def _meaning(value: object, name: str) -> str:
    if value not in MEANINGS:
        close = close_matches(str(value), MEANINGS, n=1)
        raise _wrong(name, f"means: {value!r} is not known; {_meant(close, sorted(MEANINGS))}")
    return str(value)


def _one_of(kind: type[_Word], value: object, name: str, key: str) -> _Word:
    try:
        return kind(str(value).lower())
    except ValueError:
        known = [str(one) for one in kind]
        close = close_matches(str(value).lower(), known, n=1)
        raise _wrong(name, f"{key}: {value!r} is not known; {_meant(close, known)}") from None


def _many(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def _codes(value: object, name: str) -> Iterable[int]:
    text = str(value).lower()
    if re.fullmatch("[2-5]xx", text):
        return range(int(text[0]) * 100, int(text[0]) * 100 + 100)
    if re.fullmatch("[2-5][0-9][0-9]", text):
        return [int(text)]
    raise _wrong(name, f"code: {value!r} is neither a code such as 550 nor a class such as '5xx'")


def _enhanced(value: object, name: str) -> str:
    parts = str(value).split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        raise _wrong(name, f"enhanced: {value!r} is not of the form '5.1.1', '5.7.*' or '*.7.26-32'")
    return r"\.".join(_part(part) for part in parts)


def _part(part: str) -> str:
    first, dash, last = part.partition("-")
    if dash:
        return f"(?:{'|'.join(str(number) for number in range(int(first), int(last) + 1))})"
    return r"\d+" if part == "*" else part


def _seconds(value: object, name: str) -> float | None:
    try:
        return None if value is None else duration(value)
    except ValueError as error:
        raise _wrong(name, f"retry: {error}") from None


def _count(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong(name, f"strikes: {value!r} is not a whole number of at least 1")
    return value


def _flag(table: Mapping[str, Any], key: str, name: str, *, default: bool = False) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise _wrong(name, f"{key}: {value!r} is neither true nor false")
    return value


def _meant(close: list[str], known: list[str]) -> str:
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def _wrong(name: str, what: str) -> ConfigError:
    return ConfigError(
        f"The reply rule {name} is wrong.",
        evidence=what,
        next_step="correct it; docs/reference.md explains reply rules",
    )
