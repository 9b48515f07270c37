"""Somebody is forgotten in runs that earlier releases wrote, which go on as if nothing had happened."""

from __future__ import annotations

import io
import json
import shutil
from binascii import crc32
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.config import load
from campaign.exit_codes import ExitCode
from campaign.ledger.recovery import read_history
from campaign.model import Verdict
from campaign.pipeline.command_context import Options
from campaign.pipeline.operate import manage
from campaign.pipeline.operate.forget.forget_person import forget
from campaign.pipeline.send import send
from campaign.report.live.console import Console
from campaign.report.summary import balance
from tests.support.forget_place import GREETING, named_in, relay
from tests.support.stand import recipient

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs"
RUNS = sorted(run for release in FIXTURES.iterdir() if release.name[:1].isdigit() for run in release.iterdir())


class Earlier:
    """An earlier release's run in a folder of its own."""

    def __init__(self, place: Path, run: Path, url: str) -> None:
        self.place, self.url = place / "campaign", url
        shutil.copytree(run, self.place)
        (self.place / "secret.txt").chmod(0o600)  # git keeps no such mode
        self.file, self.run = self.place / "gazette.toml", self.place / "runs" / "gazette" / "first"
        journal = self.run / "checkpoint.journal"
        lines = [json.loads(line[9:]) for line in journal.read_bytes().splitlines()]
        lines[0]["file"] = str(self.file)
        texts = [json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() for line in lines]
        journal.write_bytes(b"".join(b"%08x %b\n" % (crc32(text), text) for text in texts))

    def send(self, **options: Any) -> ExitCode:
        options = {"relay": self.url, "accept_changes": True, **options}
        return send(load(self.file, GREETING), Options(**options), Console(stream=io.StringIO()))

    def mailed(self) -> list[str]:
        return sorted(recipient(kept.read_bytes()) for kept in self.place.parent.glob("relay/new/*"))

    def people(self, *verdicts: Verdict) -> list[str]:
        plan = Plan.open(self.run / "plan.jsonl")
        return sorted(plan.recipient(number).address for number in read_history(self.run).numbers(*verdicts))


def cases() -> Iterator[tuple[Path, Verdict]]:
    """Each verdict that somebody has in one of the runs."""
    for run in RUNS:
        tally = read_history(run / "runs" / "gazette" / "first").tally()
        yield from ((run, verdict) for verdict in Verdict if tally[verdict])


@pytest.fixture(params=cases(), ids=lambda case: f"{case[0].parent.name}-{case[0].name}-{case[1]}")
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Earlier, Verdict]]:
    with relay(tmp_path / "relay") as url:
        run, verdict = request.param
        yield Earlier(tmp_path, run, url), verdict


def test_one_is_forgotten_and_the_others_are_served_as_before(case: tuple[Earlier, Verdict]) -> None:
    earlier, verdict = case
    person, left = earlier.people(verdict)[0], earlier.people(Verdict.WAITING, Verdict.DEFERRED)
    before = read_history(earlier.run).tally()
    result = forget(load(earlier.file, GREETING), person)
    assert (result.left, result.counts["planned letters"]) == ({}, 1)
    assert named_in(earlier.place / "runs", person) == []
    before[verdict] -= 1
    before[Verdict.WITHDRAWN if verdict in (Verdict.WAITING, Verdict.DEFERRED) else verdict] += 1
    assert read_history(earlier.run).tally() == before
    facts = manage.report(earlier.run)
    assert balance(facts.books, facts.verdicts) == []
    earlier.send()
    earlier.send()
    assert earlier.mailed() == [one for one in left if one != person]
    assert named_in(earlier.place / "runs", person) == []
