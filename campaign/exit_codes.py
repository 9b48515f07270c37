"""Exit codes of all commands, their precedence, and the error classes that lead to them.

The numbers follow sysexits(3) where it has one. If several apply, the first of `PRECEDENCE` wins. `docs/contract.md`
is their public documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Self

from campaign.errors import (
    CampaignError,
    ConfigError,
    DamageError,
    InputError,
    InternalError,
    LoginError,
    RelayError,
    StorageError,
    UnfinishedError,
)


class ExitCode(IntEnum):
    """Every exit code of every command, with its meaning for the operator."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """Attach the sentence that help and docs show."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "every planned recipient was accepted or withdrawn"
    USAGE = 2, "the command line is wrong"
    SOME_FAILED = 3, "finished; some rejected, unrenderable, cancelled or expired (see failed.csv)"
    IN_DOUBT = 4, "finished; some in doubt: decide (see in-doubt.csv)"
    HELD = 5, "held: an operator, or a canary that failed, stopped this run; campaign resume RUN releases it"
    BAD_INPUT = 65, "the input data cannot be read, or too many of its rows are invalid"
    NO_RELAY = 69, "no relay can be used, or the breaker stopped the run"
    INTERNAL = 70, "an internal error; the books do not balance"
    CANNOT_WRITE = 73, "the run folder or journal cannot be written, or must_exist finds nothing"
    DAMAGED = 74, "the journal is damaged"
    UNFINISHED = 75, "unfinished: run the same command again"
    LOGIN_REFUSED = 77, "the relay refused our login"
    BAD_CONFIG = 78, "the campaign file or a template is wrong, the run's inputs changed, or check found an error"
    INTERRUPTED = 130, "stopped by SIGINT; letters in flight were finished and recorded"
    TERMINATED = 143, "stopped by SIGTERM; letters in flight were finished and recorded"


PRECEDENCE = (
    ExitCode.INTERNAL,
    ExitCode.DAMAGED,
    ExitCode.LOGIN_REFUSED,
    ExitCode.NO_RELAY,
    ExitCode.CANNOT_WRITE,
    ExitCode.BAD_CONFIG,
    ExitCode.BAD_INPUT,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.HELD,
    ExitCode.UNFINISHED,
    ExitCode.IN_DOUBT,
    ExitCode.SOME_FAILED,
)

_OF_ERROR: dict[type[CampaignError], ExitCode] = {
    ConfigError: ExitCode.BAD_CONFIG,
    InputError: ExitCode.BAD_INPUT,
    RelayError: ExitCode.NO_RELAY,
    LoginError: ExitCode.LOGIN_REFUSED,
    StorageError: ExitCode.CANNOT_WRITE,
    DamageError: ExitCode.DAMAGED,
    UnfinishedError: ExitCode.UNFINISHED,
    InternalError: ExitCode.INTERNAL,
}


def of_error(error: CampaignError) -> ExitCode:
    """The exit code of the nearest class of ``error`` that has one; INTERNAL if none has."""
    return next((_OF_ERROR[kind] for kind in type(error).__mro__ if kind in _OF_ERROR), ExitCode.INTERNAL)


def first_of(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code that takes precedence among ``codes``; DONE if there are none."""
    found = set(codes)
    return next((code for code in PRECEDENCE if code in found), ExitCode.DONE)
