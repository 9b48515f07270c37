"""Who counts as served where the file says otherwise now what makes a letter one of a kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.config import load
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.model import Books, Verdict
from campaign.pipeline.command_context import Options, prepare
from campaign.pipeline.start.choose_run import ChosenRun, choose

FILE = """
[campaign]
name = "invoices"
from = "news@example.com"
[audience]
source = "people.csv"
max_invalid = 1
{settings}
[compose]
subject = "Invoice {{{{ invoice }}}}"
text = "letter.txt"
"""
KEY, SPLIT = 'key = "invoice"\n', "split_addresses = true\n"
Run = Callable[..., list[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Makes the next run of ``rows`` under ``settings``, and gives its letters; all are accepted but ``failed``."""
    (tmp_path / "letter.txt").write_text("Your invoice\n", encoding="utf-8")

    def made(settings: str, rows: str, *, failed: str = "", retry: bool = False) -> list[str]:
        (tmp_path / "campaign.toml").write_text(FILE.format(settings=settings), encoding="utf-8")
        (tmp_path / "people.csv").write_text(f"email,invoice\n{rows}", encoding="utf-8")
        job, options = prepare(load(tmp_path / "campaign.toml", {}), environment={}), Options(retry=retry)
        run_folder.make_folder(job.folder)
        chosen = choose(job, options)
        if isinstance(chosen, Books):
            return []
        return settled(chosen, failed)

    return made


def settled(chosen: ChosenRun, failed: str) -> list[str]:
    checkpoint, letters = Checkpoint(chosen.folder), list(chosen.plan.recipients())
    for one in letters:
        bad = one.address.partition("@")[0] == failed
        checkpoint.settle(one.number, Verdict.REJECTED if bad else Verdict.ACCEPTED, "as the test wants it")
    checkpoint.end(0)
    checkpoint.close()
    return [f"{one.row['invoice']} {one.address.partition('@')[0]}" for one in letters]


def test_switching_on_serves_nobody_again_and_the_addresses_that_had_nothing(run: Run) -> None:
    assert run(KEY, "a@example.com,7\nb@example.com,8\nc@example.com; d@example.com,9\n") == ["7 a", "8 b"]
    rows = "A@example.com; e@example.com,7\nb@example.com,8\nc@example.com; d@example.com,9\n"
    assert run(KEY + SPLIT, rows) == ["7 e", "9 c", "9 d"]
    assert run(KEY + SPLIT, rows) == []


def test_switching_on_serves_nobody_again_where_the_address_alone_counts(run: Run) -> None:
    assert run("", "a@example.com,7\nb@example.com; a@example.com,8\n") == ["7 a"]
    assert run(SPLIT, "a@example.com,7\nb@example.com; a@example.com,8\n") == ["8 b"]
    assert run("", "a@example.com,7\nb@example.com,8\nc@example.com,9\n") == ["9 c"]


def test_switching_off_again_takes_a_key_as_served_where_one_of_its_addresses_was(run: Run) -> None:
    rows = "a@example.com; b@example.com,7\n"
    assert run(KEY + SPLIT, rows, failed="b") == ["7 a", "7 b"]
    assert run(KEY, "b@example.com,7\nc@example.com,7\nc@example.com,8\n") == ["8 c"]
    assert run(KEY, "b@example.com,7\n", retry=True) == []


def test_retry_takes_up_the_address_of_a_cell_that_failed_and_no_other(run: Run) -> None:
    rows = "a@example.com; b@example.com,7\n"
    assert run(KEY + SPLIT, rows, failed="b") == ["7 a", "7 b"]
    assert run(KEY + SPLIT, rows, retry=True) == ["7 b"]


def test_what_failed_before_switching_on_can_be_tried_again_after_it(run: Run) -> None:
    assert run(KEY, "a@example.com,7\nb@example.com,8\n", failed="b") == ["7 a", "8 b"]
    assert run(KEY + SPLIT, "a@example.com,7\nb@example.com; c@example.com,8\n", retry=True) == ["8 b"]
