"""What an operator is told of a request to a run, by whether a process serves it and whether anything is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from campaign.cli.main import cli
from campaign.delivery.control_file import NAME
from campaign.errors import ConfigError
from campaign.ledger.checkpoint import Checkpoint
from campaign.model import Verdict
from tests.support.sent import SentCampaign

ADA, BOB = "ada@example.com", "bob@example.com"
STEERING = [["pause"], ["resume"], ["set", "rate=5/s"]]


@pytest.fixture
def gazette(tmp_path: Path) -> SentCampaign:
    return SentCampaign(tmp_path)


def steered(run: Path, verb: str, *changes: str) -> Result:
    return CliRunner().invoke(cli, [verb, str(run), *changes])


@pytest.mark.parametrize("words", STEERING, ids=lambda words: words[0])
def test_a_run_that_is_over_is_not_steered(gazette: SentCampaign, words: list[str]) -> None:
    run = gazette.send(ADA, BOB)
    refused = steered(run, *words).exception
    assert isinstance(refused, ConfigError)
    assert refused.what == "This run is over, so nothing of it can be steered."
    assert refused.evidence[0].endswith(" is finished")
    assert "campaign send FILE" in refused.next_step
    assert not (run / NAME).exists()


def test_to_stop_a_run_that_is_over_is_no_error_and_leaves_nothing_behind(gazette: SentCampaign) -> None:
    run = gazette.send(ADA, BOB)
    result = steered(run, "stop")
    assert (result.exit_code, result.stderr) == (0, "this run is over: there is nothing to stop\n")
    assert not (run / NAME).exists()


@pytest.mark.parametrize("words", [*STEERING, ["stop"]], ids=lambda words: words[0])
def test_a_request_to_an_unfinished_run_waits_for_the_send_that_continues_it(
    gazette: SentCampaign, words: list[str]
) -> None:
    run = gazette.send(ADA, BOB, verdicts={BOB: Verdict.DEFERRED})
    result = steered(run, *words)
    assert result.exit_code == 0
    assert "it takes effect when `campaign send` continues this run" in result.stderr
    assert (run / NAME).exists()


@pytest.mark.parametrize("words", [*STEERING, ["stop"]], ids=lambda words: words[0])
def test_a_request_to_a_run_with_letters_in_doubt_counts_if_they_are_sent_again(
    gazette: SentCampaign, words: list[str]
) -> None:
    run = gazette.send(ADA, BOB, verdicts={BOB: Verdict.IN_DOUBT})
    result = steered(run, *words)
    assert result.exit_code == 0
    assert "it takes effect if its letters in doubt are sent again" in result.stderr
    assert (run / NAME).exists()


def test_a_run_that_is_being_served_obeys_at_once(gazette: SentCampaign) -> None:
    run = gazette.send(ADA, BOB)
    serving = Checkpoint(run)
    try:
        assert steered(run, "pause").stderr == "paused\n"
    finally:
        serving.close()
