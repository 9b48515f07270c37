"""A small campaign with a relay that keeps what it gets, for tests of forgetting one of its people."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaign.audience.plan.plan_reader import Plan
from campaign.config import load
from campaign.delivery.embedded_mailbox import CALLER, EmbeddedMailbox
from campaign.exit_codes import ExitCode
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.model import Letter, Outcome, Verdict
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.operate.forget.address_spellings import AddressMask
from campaign.pipeline.operate.forget.erase_person import ForgetResult
from campaign.pipeline.operate.forget.forget_person import forget
from campaign.pipeline.operate.run_standing import run_standing
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


def verdicts(run: Path) -> dict[str, int]:
    return {name: count for name, count in run_standing(run).history.tally().items() if count}


def named_in(folder: Path, *addresses: str) -> list[str]:
    mask = AddressMask(addresses or (ADA,))
    return [str(path) for path in folder.rglob("*") if path.is_file() and mask.in_letter(path.read_bytes())]


def others(place: Place) -> dict[int, str]:
    plan = Plan.open(place.run / "plan.jsonl")
    return {one.number: one.address for one in plan.recipients() if one.address}


def in_doubt(place: Place, *numbers: int, relay: str = "smtp://127.0.0.1:9") -> Path:
    """A run whose process ended between the dots and the replies; the others are served or refused."""
    chosen = place.made()
    checkpoint = Checkpoint(chosen.folder)
    at = checkpoint.begin_pass()
    for number in range(chosen.plan.size):
        letter = chosen.composer.compose(chosen.plan.recipient(number), float(at))
        assert isinstance(letter, Letter)
        checkpoint.intent(letter, relay)
        if number not in numbers:
            checkpoint.verdict(Outcome(number, Verdict.ACCEPTED, "2.0.0 ok queued as 4F1A2B3C4D", 250, relay=relay))
    checkpoint.close()
    return chosen.folder
