"""One place knows the numbers; the contract's order decides where several apply."""

from __future__ import annotations

from itertools import combinations

import pytest

from campaign import errors
from campaign.exit_codes import PRECEDENCE, ExitCode, first_of, of_error

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CampaignError)]
#: Known only where a whole command is refused, so they never meet another code.
ALONE = {ExitCode.DONE, ExitCode.USAGE}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InputError, 65),
        (errors.RelayError, 69),
        (errors.InternalError, 70),
        (errors.StorageError, 73),
        (errors.DamageError, 74),
        (errors.UnfinishedError, 75),
        (errors.LoginError, 77),
        (errors.ConfigError, 78),
    ],
)
def test_each_error_has_its_number(kind: type[errors.CampaignError], code: int) -> None:
    assert of_error(kind("what happened.")) == code


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_error_is_without_a_number(kind: type[errors.CampaignError]) -> None:
    class Nearer(kind):  # type: ignore[misc, valid-type] # a child of each, as a stage might make one
        pass

    assert of_error(Nearer("what happened.")) is of_error(kind("what happened."))


def test_a_bare_error_is_a_fault_of_ours() -> None:
    assert of_error(errors.CampaignError("what happened.")) is ExitCode.INTERNAL


def test_nothing_that_applies_is_success() -> None:
    assert first_of([]) is ExitCode.DONE
    assert first_of([ExitCode.DONE]) is ExitCode.DONE


def test_every_code_that_can_meet_another_has_its_place() -> None:
    assert set(PRECEDENCE) == set(ExitCode) - ALONE
    assert len(PRECEDENCE) == len(set(PRECEDENCE))


@pytest.mark.parametrize(("before", "after"), list(combinations([70, 74, 77, 69, 73, 5, 75, 4, 3], 2)))
def test_the_contracts_order_holds(before: int, after: int) -> None:
    assert first_of([ExitCode(after), ExitCode(before)]) == before


@pytest.mark.parametrize("signal", [ExitCode.INTERRUPTED, ExitCode.TERMINATED])
def test_a_signal_is_told_before_what_it_left_undone(signal: ExitCode) -> None:
    assert first_of([ExitCode.UNFINISHED, ExitCode.IN_DOUBT, ExitCode.SOME_FAILED, signal]) is signal
    assert first_of([signal, ExitCode.CANNOT_WRITE]) is ExitCode.CANNOT_WRITE


@pytest.mark.parametrize("code", ExitCode)
def test_every_code_says_what_it_means(code: ExitCode) -> None:
    assert code.meaning
    assert not code.meaning.endswith(".")


def test_an_error_reads_as_sentence_evidence_and_next_step() -> None:
    error = errors.InputError("It cannot be read.", evidence=["a.csv:3", "byte 7"], next_step="correct a.csv")
    assert str(error) == "It cannot be read.\n  a.csv:3\n  byte 7\nNext: correct a.csv"
    assert str(errors.InputError("It cannot be read.", evidence="a.csv:3")) == "It cannot be read.\n  a.csv:3"
