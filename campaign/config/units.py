"""The written forms of durations, rates, ramps, shares and mailboxes, and the values they stand for.

Each annotated type turns the written form into a plain value, or raises an error that shows the expected form. It
also has the JSON Schema of the written form, for editors; its keyword `x-form` says in words how a value is written.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from campaign.model import Mailbox

#: The placeholder in an address for a recipient's token, and the characters of the token.
TOKEN, TOKEN_LENGTH = "{token}", 24
LONGEST_LOCAL = 64  #: octets before an @ (RFC 5321, section 4.5.3.1.1)
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|hour|h|day|d)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)?\s*(s|min|m|hour|h|day|d)")
_RAMP = re.compile(r"(?P<start>.+?)\s*\.\.\s*(?P<end>.+?)\s+over\s+(?P<over>.+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_MAILBOX = re.compile(r"(?:(?P<name>[^<>\x00-\x1f\x7f]*?)\s*<(?P<inner>[^<>]*)>|(?P<bare>[^<>\s]+))")
_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[^\s@<>()\[\]\\,;:\"]{1,253}")


class Rate(msgspec.Struct, frozen=True):
    """At most ``count`` letters in every sliding window of ``per`` seconds."""

    count: float
    per: float

    @property
    def per_second(self) -> float:
        """The mean rate in letters per second."""
        return self.count / self.per

    def __str__(self) -> str:
        units = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "day"}
        return f"{self.count:g}/{units.get(self.per, f'{self.per:g}s')}"


class Ramp(msgspec.Struct, frozen=True):
    """A linear rise from ``start`` to ``end`` in ``over`` seconds, and ``end`` from then on."""

    start: Rate
    end: Rate
    over: float

    def per_second(self, age: float) -> float:
        """Letters a second when the ramp is ``age`` seconds old."""
        share = min(1.0, max(0.0, age / self.over))
        return self.start.per_second + (self.end.per_second - self.start.per_second) * share

    def __str__(self) -> str:
        return f"{self.start}..{self.end} over {self.over:g}s"


def duration(value: object) -> float:
    """``"24h"`` -> 86400.0 seconds; a bare number is seconds. Raises ValueError on anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    parts = _DURATION.findall(str(value)) if isinstance(value, str) else []
    if not parts or _DURATION.sub("", str(value)).strip():
        raise ValueError(f"{value!r} is not a duration; write one such as '30s', '15m', '24h' or '2d'")
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def duration_as_written(seconds: float) -> str:
    """The inverse of `duration`: ``900.0`` -> ``"15m"``; ``0`` -> ``"0s"``."""
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    name, size = next((name, size) for name, size in units if (seconds and seconds % size == 0) or size == 1)
    return f"{seconds / size:g}{name}"


def rate(value: object) -> Rate:
    """``"50/s"`` -> Rate(50, 1.0); also ``/min``, ``/h``, ``/day`` and ``/10s``. Raises ValueError."""
    if isinstance(value, Rate):
        return value
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match[1]) <= 0 or float(match[2] or 1) <= 0:
        raise ValueError(f"{value!r} is not a rate; write one such as '50/s', '1000/h' or '100000/day'")
    return Rate(float(match[1]), float(match[2] or 1) * SECONDS[match[3]])


def rates(value: object) -> tuple[Rate, ...]:
    """One rate or a list of them; each holds in every sliding window of its length."""
    many = value if isinstance(value, list | tuple) else [value]
    return tuple(rate(one) for one in many)


def ramp(value: object) -> Ramp | None:
    """``"10/s..200/s over 30m"`` -> Ramp; ``""`` -> None. Raises ValueError on anything else."""
    if value is None or value == "":
        return None
    if isinstance(value, Ramp):
        return value
    match = _RAMP.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a ramp; write one such as '10/s..200/s over 30m'")
    over = duration(match["over"])
    if over <= 0:
        raise ValueError(f"{value!r} is not a ramp: it takes no time")
    return Ramp(rate(match["start"]), rate(match["end"]), over)


def share(value: object) -> float:
    """``"20 %"`` or ``0.2`` -> 0.2, between 0 and 1. Raises ValueError."""
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    number = float(match[1]) / 100 if match else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise ValueError(f"{value!r} is not a share; write one such as 0.2 or '20 %'")
    return float(number)


def mailbox(value: object) -> Mailbox:
    """``"Ada <ada@example.com>"`` or a bare address -> Mailbox. Raises ValueError."""
    if isinstance(value, Mailbox):
        return value
    match = _MAILBOX.fullmatch(value.strip()) if isinstance(value, str) else None
    address = (match["inner"] or match["bare"] or "") if match else ""
    if match is None or not _ADDRESS.fullmatch(address):
        raise ValueError(f"{value!r} is not a mailbox; write one such as 'Ada <ada@example.com>'")
    local, _, domain = address.rpartition("@")
    return Mailbox((match["name"] or "").strip().strip('"').strip(), f"{local}@{_ascii_domain(domain)}")


def is_template(text: str) -> bool:
    """Whether ``text`` contains template code."""
    return any(begun in text for begun in ("{{", "{%", "{#"))


def sender_template(value: object) -> Mailbox:
    """As `mailbox`; the display name and the local part may contain templates. Raises ValueError."""
    found = mailbox_template(value)
    if "@" not in found.address or is_template(found.address.rpartition("@")[2]):
        raise ValueError(
            f"{value!r}: the domain cannot be a template, because Message-ID, SPF, DKIM and DMARC hang on it; "
            "write one such as '{{ name }} <{{ desk }}@example.com>'"
        )
    return found


def mailbox_template(value: object) -> Mailbox:
    """As `mailbox`; the display name and the address may contain templates, or be one. Raises ValueError."""
    if not isinstance(value, str) or not is_template(value):
        return mailbox(value)
    codes, mark = _CODE.findall(value), "q"
    while mark in value.lower():
        mark += "q"
    marks = [f"{mark}{number}z" for number in range(len(codes))]
    numbers = iter(marks)
    text = _CODE.sub(lambda _: next(numbers), value)
    alone = re.fullmatch(r"(.*<)?((?:" + mark + r"\d+z)+)(>?)", text.strip(), re.DOTALL)
    try:
        found = mailbox(f"{alone[1] or ''}{alone[2]}@example.com{alone[3]}" if alone else text)
    except ValueError:
        raise ValueError(f"{value!r} is not a mailbox; write one such as '{{{{ name }}}} <ada@example.com>'") from None
    name, address = found.name, alone[2] if alone else found.address
    for one, code in reversed(list(zip(marks, codes, strict=True))):
        name, address = name.replace(one, code), address.replace(one, code)
    return Mailbox(name, address)


def bare_address(value: object) -> str:
    """An address without a display name, its domain in ASCII. Raises ValueError."""
    if isinstance(value, str) and is_template(value):
        raise ValueError(f"{value!r} cannot be a template here; write one address for all letters")
    found = mailbox(value)
    if found.name:
        raise ValueError(f"{value!r} should be a bare address, without a name")
    return found.address


def return_path(value: object) -> str:
    """As `bare_address`; the local part may contain ``{token}`` once. Raises ValueError."""
    address = bare_address(value)
    _check_token(address, address)
    return address


def mailto_target(value: str) -> str:
    """``leave@example.com``, ``mailto:leave@example.com?subject=…``; ``{token}`` may occur once. Raises ValueError."""
    _check_token(value, value.removeprefix("mailto:").partition("?")[0])
    return value


def _check_token(text: str, address: str) -> None:
    """Raise ValueError if ``text``, which contains ``address``, cannot hold each recipient's token."""
    local, _, domain = address.rpartition("@")
    rest = text.replace(TOKEN, "", 1)
    if TOKEN in rest:
        raise ValueError(f"{text!r}: {TOKEN} may stand there once")
    if "{" in rest or "}" in rest:
        raise ValueError(f"{text!r}: a brace can only be part of {TOKEN}, written so")
    if TOKEN in domain:
        raise ValueError(f"{text!r}: {TOKEN} stands before the @, as in 'bounce+{TOKEN}@example.com'")
    if TOKEN in local and len(local) - len(TOKEN) + TOKEN_LENGTH > LONGEST_LOCAL:
        raise ValueError(
            f"{text!r} would have {len(local) - len(TOKEN) + TOKEN_LENGTH} characters before the @, and "
            f"{LONGEST_LOCAL} are possible: {TOKEN} becomes {TOKEN_LENGTH}"
        )


def _ascii_domain(domain: str) -> str:
    try:
        return domain.lower() if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"{domain!r} is not a domain name") from error


def _text(form: str, **further: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"^\s*{form}\s*$", **further}


_DURATION_FORM = rf"({_DURATION.pattern}\s*)+"
_RATE_SCHEMA = _text(_RATE.pattern, **{"not": {"pattern": r"^[\s0.]*/|/\s*0[0.]*\s*[a-z]"}})
_DOMAIN_END = r"@[^\s@<>(){}\[\]\\,;:\"]+"

Duration = Annotated[
    float,
    BeforeValidator(duration),
    WithJsonSchema(
        {
            "anyOf": [_text(_DURATION_FORM), {"type": "number", "minimum": 0}],
            "x-form": "a duration such as '90s', '15m', '2h' or '7d', or a number of seconds",
        }
    ),
]
Rates = Annotated[
    tuple[Rate, ...],
    BeforeValidator(rates),
    PlainSerializer(lambda many: [str(one) for one in many]),
    WithJsonSchema(
        {
            "anyOf": [_RATE_SCHEMA, {"type": "array", "items": _RATE_SCHEMA}],
            "x-form": "a rate such as '50/s', '1000/h' or '100000/day', or a list of these",
        }
    ),
]
RampText = Annotated[
    Ramp | None,
    BeforeValidator(ramp),
    PlainSerializer(lambda one: str(one or "")),
    WithJsonSchema(
        _text(
            rf"({_RATE.pattern}\s*\.\.\s*{_RATE.pattern}\s+over\s+{_DURATION_FORM})?",
            **{"x-form": "a ramp such as '10/s..200/s over 30m'"},
        )
    ),
]
Share = Annotated[
    float,
    BeforeValidator(share),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, _text(_PERCENT.pattern)],
            "x-form": "a share such as 0.2 or '20 %'",
        }
    ),
]
SenderText = Annotated[
    Mailbox,
    BeforeValidator(sender_template),
    WithJsonSchema({"type": "string", "pattern": _DOMAIN_END + r">?\s*$"}),
]
MailboxText = Annotated[
    Mailbox,
    BeforeValidator(mailbox_template),
    WithJsonSchema({"type": "string", "pattern": rf"({_DOMAIN_END}|\}}\}}|[%#]\}})\s*>?\s*$"}),
]
ReturnPathText = Annotated[str, BeforeValidator(return_path), WithJsonSchema(_text(rf"<?[^\s@<>]+{_DOMAIN_END}>?"))]
MailtoText = Annotated[str, AfterValidator(mailto_target)]
