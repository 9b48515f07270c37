"""The campaign's secret: made once, for its owner alone, the same for all who ask."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from campaign.config.campaign_secret import load_secret
from campaign.errors import ConfigError, StorageError
from campaign.model import Identity


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "campaign.secret"


def test_it_is_made_at_first_use_and_stays(file: Path) -> None:
    made = load_secret(file, must_exist=False, environment={})
    assert len(made) >= 32
    assert load_secret(file, must_exist=True, environment={}) == made


def test_only_its_owner_may_read_it(file: Path) -> None:
    load_secret(file, must_exist=False, environment={})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_two_are_never_alike(tmp_path: Path) -> None:
    assert len({load_secret(tmp_path / str(n), must_exist=False, environment={}) for n in range(5)}) == 5


def test_all_who_start_at_once_get_the_same(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: load_secret(file, must_exist=False, environment={}), range(32)))
    assert found == {file.read_bytes().strip()}


def test_the_environment_wins(file: Path) -> None:
    load_secret(file, must_exist=False, environment={})
    given = load_secret(file, must_exist=True, environment={"CAMPAIGN_SECRET": "0123456789abcdef\n"})
    assert given == b"0123456789abcdef"


def test_must_exist_forbids_making_one(file: Path) -> None:
    with pytest.raises(StorageError, match="must_exist") as caught:
        load_secret(file, must_exist=True, environment={})
    assert "unsubscribe links" in caught.value.next_step
    assert not file.exists()


def test_a_short_one_is_refused_and_never_shown(file: Path) -> None:
    file.write_text("hunter2", encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="7 octets") as caught:
        load_secret(file, must_exist=False, environment={})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        load_secret(file, must_exist=False, environment={"CAMPAIGN_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_place_that_cannot_hold_it_is_told(tmp_path: Path) -> None:
    for place in (tmp_path / "none" / "campaign.secret", tmp_path):
        with pytest.raises(StorageError) as caught:
            load_secret(place, must_exist=False, environment={})
        assert "CAMPAIGN_SECRET" in caught.value.next_step


def test_one_that_others_can_read_is_refused(file: Path) -> None:
    load_secret(file, must_exist=False, environment={})
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others") as caught:
        load_secret(file, must_exist=False, environment={})
    assert caught.value.next_step == f"chmod 600 {file}"


def test_it_does_not_show_in_what_carries_it() -> None:
    assert "hunter2" not in repr(Identity("gazette", "", 1, b"hunter2 hunter2 hunter2"))


def test_several_lines_are_kept_for_those_who_open_old_tokens(file: Path) -> None:
    file.write_text("new secret of today\nold secret of before\n", encoding="utf-8")
    file.chmod(0o600)
    assert load_secret(file, must_exist=False, environment={}).split(b"\n") == [
        b"new secret of today",
        b"old secret of before",
    ]
