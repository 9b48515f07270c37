"""What the other tests rest on: a command that is forked is the one that starts from nothing, in all but its time."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.forked_command import ForkedCommand, importer
from tests.support.servers.shelf import Shelf
from tests.support.stand import Stand, until

STEPS = [("send", "--limit", "3"), ("status", "--json"), ("send",), ("stats", "--json"), ("check", "--json"), ("move",)]


async def all_steps(stand: Stand, from_nothing: bool) -> list[tuple[int, int, int]]:
    """The code of each step, and how many lines it says."""
    stand.from_nothing = from_nothing
    found = []
    for verb, *options in STEPS:
        ended = await stand.campaign(verb, stand.file, *options)
        found.append((ended.code, ended.out.count("\n"), ended.err.count("\n")))
    return found


async def test_a_forked_command_ends_and_says_as_one_that_starts_from_nothing(tmp_path: Path, shelf: Shelf) -> None:
    found = []
    for from_nothing in (False, True):
        (folder := tmp_path / f"nothing-{from_nothing}").mkdir()
        stand = Stand(folder).set(delivery__relay=shelf.url)
        found.append((await all_steps(stand, from_nothing), stand.verdicts()))
    assert found[0] == found[1]
    assert [code for code, _, _ in found[0][0]] == [75, 0, 0, 0, 0, 78]
    assert len(shelf.letters) == 40


async def test_it_is_a_process_of_its_own_that_signals_reach(stand: Stand, shelf: Shelf) -> None:
    shelf.waits["dot"] = 60.0
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)):
        running = await stand.sending("--again", "--in-doubt", "hold")
        assert isinstance(running.process, ForkedCommand)
        assert running.process.returncode is None
        before = len(shelf.recipients)
        await until(lambda before=before: len(shelf.recipients) > before, "a letter waits for the reply to its dot")
        if number is signal.SIGKILL:
            running.signal(number)
        else:
            await running.insist(number, "stopping at once")
        assert await running.process.wait() == running.process.returncode == code
        running.signal(signal.SIGTERM)  # to nobody: it has ended


async def test_folder_and_variables_are_those_of_the_command(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    stand.set(campaign__edition="%Y").variables["CAMPAIGN__CAMPAIGN__NAME"] = "named-by-a-variable"
    (await stand.send("--limit", 1)).ends(75)
    told = json.loads((await stand.campaign("status", "gazette.toml", "--json")).ends(0).out)
    assert "named-by-a-variable" in json.dumps(told)
    assert stand.run.is_relative_to(stand.folder / "runs" / "named-by-a-variable")


def test_variables_that_python_reads_as_it_starts_want_a_start_from_nothing(stand: Stand) -> None:
    environment = importer()._environment
    assert importer().suits({**environment, "CAMPAIGN_SECRET": "x", "HOME": "/"})
    assert not importer().suits({**environment, "PYTHONUTF8": "0"})
    assert not importer().suits({**environment, "LC_ALL": "C"})
