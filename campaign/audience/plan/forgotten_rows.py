"""Forgotten recipients in a plan: a line keeps its number and keyed digests of its key, and nothing else of a person.

Such a line is ``[number, digests, "", "", 0, [null, …]]``, and its empty address marks it. The digests, separated by
blanks, are of two kinds: 32 hex digits stand for a key by which the person would be recognised in a later run of the
edition (`seal_key`); 40 hex digits are the first part of a Message-ID, kept for a letter in doubt.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

import msgspec

from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.key_set import WIDTH, digest
from campaign.model import Recipient

_PURPOSE = b"campaign forget 1"
_SEAL, _NAME = 2 * WIDTH, 40  #: hex digits
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class PlanErasure(msgspec.Struct):
    """How many lines of a plan a rewriting changed.

    ``forgotten`` are lines of the person, ``masked`` lines of others whose values named the address, ``left`` those
    that had to stay as they are.
    """

    forgotten: int = 0
    masked: int = 0
    left: int = 0


def is_forgotten(recipient: Recipient) -> bool:
    """Whether the plan's line holds no person any more."""
    return not recipient.address


def seal_key(secret: bytes, key_digest: bytes) -> str:
    """32 hex digits of HMAC-SHA-256 (RFC 2104) over ``key_digest``, the digest of a key (`key_set.digest`)."""
    return hmac.digest(secret, _PURPOSE + key_digest, "sha256")[:WIDTH].hex()


def kept_digests(secret: bytes, keys: Iterable[str], message_id: str = "") -> str:
    """What stands in place of a forgotten key: the seals of ``keys``, then the first part of a Message-ID, if any."""
    seals = sorted({seal_key(secret, digest(key)) for key in keys if key})
    return " ".join([*seals, *filter(None, [message_id])])


def seals_in(kept: str) -> list[str]:
    """The seals among `kept_digests`."""
    return [word for word in kept.split() if len(word) == _SEAL]


def kept_message_id(kept: str) -> str:
    """The first part of a Message-ID among `kept_digests`; empty if there is none."""
    return next((word for word in kept.split() if len(word) == _NAME), "")


def write_forgetful(
    plan: Plan,
    target: BinaryIO,
    forgotten: Mapping[int, str],
    masked: Callable[[bytes], bytes],
    may_change: Callable[[int], bool],
) -> PlanErasure:
    """Write ``plan`` to ``target`` with the lines of ``forgotten`` (number -> `kept_digests`) emptied.

    In the values of other lines, and in the header, ``masked`` replaces what names the person, except on lines that
    ``may_change`` excludes, as those letters have yet to be rendered. Raises OSError, msgspec.DecodeError.
    """
    done, nobody = PlanErasure(), [None] * len(plan.columns)
    with plan.path.open("rb") as source:
        target.write(masked(source.readline()))
        for number, line in zip(range(plan.size), source, strict=False):
            if number in forgotten:
                done.forgotten += 1
                target.write(_encode([number, forgotten[number], "", "", 0, nobody]) + b"\n")
            elif masked(line) == line:
                target.write(line)
            elif may_change(number):
                done.masked += 1
                target.write(_masked_line(line, masked))
            else:
                done.left += 1
                target.write(line)
        for line in source:
            target.write(line)
    return done


def _masked_line(line: bytes, masked: Callable[[bytes], bytes]) -> bytes:
    """The line with its name and values masked; number, key and address are other people's, and stay."""
    number, key, address, name, source_line, values = _decode(line)
    row = [number, key, address, _masked(name, masked), source_line, _masked(values, masked)]
    return _encode(row) + b"\n"


def _masked(value: Any, masked: Callable[[bytes], bytes]) -> Any:
    if isinstance(value, str):
        return masked(value.encode()).decode()
    if isinstance(value, list):
        return [_masked(one, masked) for one in value]
    if isinstance(value, dict):
        return {name: _masked(one, masked) for name, one in value.items()}
    return value
