"""A forgotten person is in no file of the ledger, and nobody else is served twice, lost or renumbered for it."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.config import load
from campaign.delivery.embedded_mailbox import CALLER, EmbeddedMailbox
from campaign.exit_codes import ExitCode
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.recovery import read_history
from campaign.model import Letter, Outcome, Verdict
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.report.summary import balance
from campaign.pipeline.operate import manage
from campaign.pipeline.operate.forget.address_spellings import AddressMask
from campaign.pipeline.operate.forget.forget_person import ForgetResult, forget
from campaign.pipeline.send import retry, send
from campaign.pipeline.start.choose_run import ChosenRun, choose
from campaign.report.live.console import Console
from tests.support.stand import recipient

GREETING = {"CAMPAIGN__DELIVERY__LOCAL_HOSTNAME": CALLER}
FILE = """
[campaign]
name = "gazette"
from = "news@example.com"
[audience]
source = "people.csv"
display_name = "name"
{audience}
[compose]
subject = "News for {{{{ name }}}}"
text = "letter.txt"
"""
ADA = "ada@example.com"


@contextmanager
def relay(maildir: Path) -> Iterator[str]:
    loop, box = asyncio.new_event_loop(), EmbeddedMailbox(maildir)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(box.start(), loop).result(30)
    try:
        yield box.url
    finally:
        asyncio.run_coroutine_threadsafe(box.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


class Place:
    """A campaign of six people, the third of whom is Ada, and a relay that keeps what it gets."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.file, self.runs = folder / "gazette.toml", folder / "runs"
        self.settings()
        (folder / "letter.txt").write_text("Dear {{ name }}\n", encoding="utf-8")
        self.people("p0", "p1", "Ada", "p3", "p4", "p5")

    def settings(self, audience: str = "", head: str = "") -> None:
        text = FILE.format(audience=audience).replace('name = "gazette"', f'name = "gazette"\n{head}')
        self.file.write_text(text, encoding="utf-8")

    def people(self, *names: str, heading: str = "email,name", row: str = "{0}@example.com,{0} Lovelace") -> None:
        lines = [heading, *(row.format(name) for name in names)]
        (self.folder / "people.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def loaded(self, relay: str = "") -> Any:
        return lay_over(load(self.file, GREETING), Options(relay=relay or self.url))

    @property
    def job(self) -> Job:
        return prepare(self.loaded(), environment={})

    def made(self, **options: Any) -> ChosenRun:
        job = self.job
        run_folder.make_folder(job.folder)
        found = choose(job, Options(relay=self.url, **options))
        assert isinstance(found, ChosenRun)
        return found

    def send(self, **options: Any) -> ExitCode:
        verb = retry if options.get("retry") else send
        options = {"relay": self.url, **options}
        return verb(load(self.file, GREETING), Options(**options), Console(stream=io.StringIO()))

    def forget(self, text: str = ADA, **options: Any) -> ForgetResult:
        return forget(load(self.file, GREETING), text, **options)

    def mailed(self) -> list[str]:
        return sorted(recipient(kept.read_bytes()).lower() for kept in self.folder.glob("relay/new/*"))

    @property
    def run(self) -> Path:
        [found] = [path.parent for path in self.runs.rglob("checkpoint.journal")]
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with relay(tmp_path / "relay") as url:
        yield Place(tmp_path, url)


def verdicts(run: Path) -> dict[str, int]:
    return {name: count for name, count in manage.run_standing(run).history.tally().items() if count}


def named_in(folder: Path, *addresses: str) -> list[str]:
    mask = AddressMask(addresses or (ADA,))
    return [str(path) for path in folder.rglob("*") if path.is_file() and mask.in_letter(path.read_bytes())]


def others(place: Place) -> dict[int, str]:
    plan = Plan.open(place.run / "plan.jsonl")
    return {one.number: one.address for one in plan.recipients() if one.address}


def test_who_was_served_is_erased_and_stays_served(place: Place) -> None:
    assert place.send() is ExitCode.DONE
    before = others(place)
    result = place.forget()
    assert (result.code, result.left) == (ExitCode.DONE, {})
    assert named_in(place.runs) == []
    assert others(place) == {number: address for number, address in before.items() if number != 2}
    place.people("p0", "p1", "Ada", "p3", "p4", "p5", "new")
    assert place.send() is ExitCode.DONE
    assert place.mailed() == sorted([ADA, *(f"{name}@example.com" for name in ("p0", "p1", "p3", "p4", "p5", "new"))])


def test_who_still_waited_is_withdrawn_and_the_others_get_their_letters(place: Place) -> None:
    assert place.send(limit=1) is ExitCode.UNFINISHED
    result = place.forget()
    assert result.counts["letters withdrawn"] == 1
    assert verdicts(place.run) == {"accepted": 1, "withdrawn": 1, "waiting": 4}
    assert place.send() is ExitCode.DONE
    assert place.mailed() == [f"p{n}@example.com" for n in (0, 1, 3, 4, 5)]
    assert named_in(place.runs) == []
    facts = manage.report(place.run)
    assert balance(facts.books, facts.verdicts) == []
