"""Which runs a secret can speak for."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.pipeline.collect.sent_runs import earlier_secrets, sent_runs
from tests.support.sent import SentCampaign


@pytest.fixture
def gazette(tmp_path: Path) -> SentCampaign:
    return SentCampaign(tmp_path)


def names(gazette: SentCampaign, secret: bytes | None = None) -> list[str]:
    return [run.name.rpartition("/")[0] for run in sent_runs(gazette.runs, secret or gazette.secret)]


def test_runs_of_every_campaign_and_edition_are_found_the_newest_first(gazette: SentCampaign) -> None:
    gazette.send("ada@example.com")
    gazette.send("ada@example.com", edition="two")
    gazette.send("ada@example.com", name="other", edition="one")
    assert names(gazette) == ["other/one", "gazette/two", "gazette"]


def test_a_rehearsal_is_no_run_that_anything_comes_back_for(gazette: SentCampaign) -> None:
    gazette.send("ada@example.com", relay="mailbox")
    assert not names(gazette)


def test_a_run_made_with_another_secret_is_not_spoken_for(gazette: SentCampaign) -> None:
    gazette.send("ada@example.com")
    assert not names(gazette, b"another secret of some length")


def test_a_secret_with_a_new_first_line_speaks_for_what_the_old_one_made(gazette: SentCampaign) -> None:
    gazette.send("ada@example.com")
    [run] = sent_runs(gazette.runs, b"a new first line of the secret\n" + gazette.secret + b"\n")
    assert run.secret == gazette.secret


def test_a_folder_without_runs_holds_none(tmp_path: Path) -> None:
    assert sent_runs(tmp_path / "nowhere", b"some secret of enough octets") == ()


@pytest.mark.parametrize("damage", [b"", b"{}", b"00000000 {}\n", b"\xff" * 100])
def test_a_journal_that_does_not_begin_well_is_passed_over(gazette: SentCampaign, damage: bytes) -> None:
    run = gazette.send("ada@example.com")
    gazette.send("ada@example.com", edition="two")
    (run / "checkpoint.journal").write_bytes(damage)
    assert names(gazette) == ["gazette/two"]


def test_a_link_to_a_folder_is_not_followed(gazette: SentCampaign, tmp_path: Path) -> None:
    gazette.send("ada@example.com")
    (gazette.runs / "loop").symlink_to(gazette.runs)
    assert names(gazette) == ["gazette"]


def test_secrets_are_the_whole_and_what_stood_below_each_line() -> None:
    assert earlier_secrets(b"new\n\nold\nolder\n") == [b"new\n\nold\nolder", b"old\nolder", b"older"]
