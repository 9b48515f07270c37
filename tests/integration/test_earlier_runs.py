"""Runs that earlier releases wrote: each is continued or refused in words, and whoever it served stays served."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import threading
from binascii import crc32
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.compose.composer import RENDERING, WAY_OF_RENDERING
from campaign.compose.mime.header_values import message_id
from campaign.config import load
from campaign.delivery.embedded_mailbox import CALLER, EmbeddedMailbox
from campaign.errors import ConfigError
from campaign.exit_codes import ExitCode, of_error
from campaign.ledger import repair
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import Intent
from campaign.ledger.recovery import read_history
from campaign.model import Letter, Verdict
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.operate import manage
from campaign.pipeline.operate.run_standing import run_standing
from campaign.pipeline.send import retry, send
from campaign.pipeline.start.choose_run import ChosenRun, choose
from campaign.report.live.console import Console
from tests.support.stand import recipient

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs"
RELEASES = sorted(place.name for place in FIXTURES.iterdir() if place.name[:1].isdigit())
VERDICTS = {
    "killed": {"accepted": 5, "in_doubt": 1, "waiting": 6},
    "finished": {"accepted": 10, "rejected": 1, "in_doubt": 1},
    "deferred": {"accepted": 10, "deferred": 2},
}
UNFINISHED = ["killed", "deferred"]
DOUBTS = {"killed": ["p5@example.com"], "finished": ["p8@example.com"], "deferred": []}
DOUBTFUL = [run for run, people in DOUBTS.items() if people]
#: The relay of these tests is the embedded mailbox, and it knows its own callers by their name.
GREETING = {"CAMPAIGN__DELIVERY__LOCAL_HOSTNAME": CALLER}
Line = dict[str, Any]


@contextmanager
def relay(maildir: Path) -> Iterator[str]:
    """The URL of a relay that keeps what it gets, in a thread of its own. A run through it is no rehearsal."""
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


class Found:
    """A release's run in a folder of its own, where it may be written to; the relay's Maildir is beside it."""

    def __init__(self, place: Path, release: str, run: str, url: str) -> None:
        self.place, self._url = place / run, url
        shutil.copytree(FIXTURES / release / run, self.place)
        (self.place / "secret.txt").chmod(0o600)  # git keeps no such mode
        self.file, self.run = self.place / "gazette.toml", self.place / "runs" / "gazette" / "first"
        self.journal = self.run / journal_reader.NAME
        self.rewrite("opened", lambda line: line.update(file=str(self.file)))

    def rewrite(self, kind: str, change: Callable[[Line], None]) -> None:
        """Change each record of this kind in the journal."""
        lines = [json.loads(line[9:]) for line in self.journal.read_bytes().splitlines()]
        for line in lines:
            if line["is"] == kind:
                change(line)
        texts = [json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() for line in lines]
        self.journal.write_bytes(b"".join(b"%08x %b\n" % (crc32(text), text) for text in texts))

    @property
    def job(self) -> Job:
        return prepare(lay_over(load(self.file, GREETING), Options(relay=self._url)), environment={})

    @property
    def way(self) -> int:
        return int(read_history(self.run).fingerprints.get(WAY_OF_RENDERING, 1))

    def verdicts(self) -> dict[str, int]:
        return {name: count for name, count in run_standing(self.run).history.tally().items() if count}

    def send(self, **options: Any) -> tuple[ExitCode, str]:
        stream = io.StringIO()
        console = Console(stream=stream)
        verb = retry if options.get("retry") else send
        return verb(load(self.file, GREETING), Options(**{"relay": self._url, **options}), console), stream.getvalue()

    def mailed(self) -> list[str]:
        """Who has been sent a letter since, by any run."""
        return sorted(recipient(kept.read_bytes()) for kept in self.place.parent.glob("relay/new/*"))

    def rehearsed(self) -> list[str]:
        """Whose letter lies in the embedded mailbox of any run."""
        return sorted(recipient(kept.read_bytes()) for kept in self.place.glob("runs/gazette/*/mailbox/new/*"))

    def people(self, *verdicts: Verdict) -> list[str]:
        plan = Plan.open(self.run / "plan.jsonl")
        return sorted(plan.recipient(number).address for number in read_history(self.run).numbers(*verdicts))

    def intents(self) -> list[Intent]:
        return [
            one
            for one in journal_reader.read_records(self.journal, journal_reader.Reading())
            if isinstance(one, Intent)
        ]

    def listed(self) -> list[str]:
        rows = csv.DictReader((self.run / "in-doubt.csv").read_text(encoding="utf-8-sig").splitlines())
        return [row["address"] for row in rows]


@pytest.fixture(params=RELEASES)
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Found]]:
    with relay(tmp_path / "relay") as url:
        yield lambda run: Found(tmp_path, request.param, run, url)


# -- a run that is unfinished


@pytest.mark.parametrize("run", UNFINISHED)
def test_it_is_continued_or_refused_in_words(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    before, left = earlier.journal.read_bytes(), earlier.people(Verdict.WAITING, Verdict.DEFERRED)
    refused = refusal(earlier)
    if refused is None:
        assert earlier.way == RENDERING
        assert earlier.mailed() == left
    else:
        assert of_error(refused) == 78
        assert ("another way" in refused.what) is (earlier.way != RENDERING)
        assert refused.evidence
        again = earlier.job.command("send")
        assert again.startswith(f"campaign send {earlier.file} --relay smtp://")
        assert refused.next_step.endswith(f"{again} --accept-changes")
        assert earlier.mailed() == []
        assert earlier.journal.read_bytes() == before


def refusal(earlier: Found) -> ConfigError | None:
    """How sending it is refused, if it is."""
    try:
        earlier.send()
    except ConfigError as error:
        return error
    return None


@pytest.mark.parametrize("run", UNFINISHED)
def test_whoever_is_left_gets_a_letter_once_the_change_is_accepted(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    left, served = earlier.people(Verdict.WAITING, Verdict.DEFERRED), earlier.people(Verdict.ACCEPTED)
    assert earlier.send(accept_changes=True, limit=1)[0] is ExitCode.UNFINISHED
    assert earlier.way == RENDERING
    earlier.send()  # accepted once is accepted for the rest of the run
    assert earlier.mailed() == left
    assert earlier.people(Verdict.ACCEPTED) == sorted([*served, *left])
    assert earlier.listed() == earlier.people(Verdict.IN_DOUBT) == DOUBTS[run]


def test_it_is_continued_by_several_processes_and_then_by_one(
    found: Callable[[str], Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = found("killed")
    left, served = earlier.people(Verdict.WAITING), earlier.people(Verdict.ACCEPTED)
    monkeypatch.setitem(GREETING, "CAMPAIGN__DELIVERY__PROCESSES", "2")
    monkeypatch.setitem(GREETING, "CAMPAIGN__DELIVERY__CONNECTIONS", "2")
    assert earlier.send(accept_changes=True, limit=2)[0] is ExitCode.UNFINISHED
    assert len(earlier.mailed()) == 2
    assert b'"is":"merged"' in earlier.journal.read_bytes()
    monkeypatch.setitem(GREETING, "CAMPAIGN__DELIVERY__PROCESSES", "1")
    assert earlier.send()[0] is ExitCode.IN_DOUBT
    assert earlier.mailed() == left
    assert earlier.people(Verdict.ACCEPTED) == sorted([*served, *left])


def test_a_fresh_run_serves_those_who_were_left_and_no_one_else(found: Callable[[str], Found]) -> None:
    earlier = found("killed")
    left = earlier.people(Verdict.WAITING)
    assert earlier.send(fresh=True)[0] is ExitCode.DONE
    assert earlier.mailed() == left


# -- a run that has ended


def test_whoever_it_served_stays_served_and_a_newcomer_gets_a_letter(found: Callable[[str], Found]) -> None:
    earlier = found("finished")
    code, talk = earlier.send()
    assert code is ExitCode.DONE
    assert "Nobody is left to be served" in talk
    with (earlier.place / "people.csv").open("a", encoding="utf-8") as people:
        people.write("new@example.com,Newcomer,Bern\n")
    assert earlier.send()[0] is ExitCode.DONE
    assert earlier.mailed() == ["new@example.com"]


def test_those_who_failed_in_it_can_be_tried_again(found: Callable[[str], Found]) -> None:
    earlier = found("finished")
    failed = earlier.people(Verdict.REJECTED)
    assert earlier.send(retry=True)[0] is ExitCode.DONE
    assert earlier.mailed() == failed


# -- one that does not say whether it was a rehearsal


@pytest.mark.parametrize("run", UNFINISHED)
def test_a_run_that_bears_no_mark_counts_as_one_through_a_relay(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    before, left = earlier.journal.read_bytes(), earlier.people(Verdict.WAITING, Verdict.DEFERRED)
    assert read_history(earlier.run).rehearsal is False
    code, talk = earlier.send(relay="mailbox")
    assert code is ExitCode.DONE
    assert "is unfinished and is left to a relay" in talk
    assert earlier.rehearsed() == left
    assert earlier.journal.read_bytes() == before


# -- its doubts


@pytest.mark.parametrize("run", DOUBTFUL)
def test_its_doubts_are_sent_again_with_the_same_bytes_or_not_at_all(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    [number] = read_history(earlier.run).numbers(Verdict.IN_DOUBT)
    recorded = {one.sha256 for one in earlier.intents() if one.number == number}
    earlier.send(accept_changes=True, in_doubt="resend")
    assert {one.sha256 for one in earlier.intents() if one.number == number} == recorded
    resent = DOUBTS[run][0] in earlier.mailed()
    assert earlier.people(Verdict.IN_DOUBT) == earlier.listed() == ([] if resent else DOUBTS[run])


@pytest.mark.parametrize("run", DOUBTFUL)
def test_a_doubt_whose_bytes_cannot_be_made_again_stays_in_doubt(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    earlier.rewrite("intent", lambda line: line.update(sha256="00" * 32))
    assert earlier.send(accept_changes=True, in_doubt="resend")[0] is ExitCode.IN_DOUBT
    assert DOUBTS[run][0] not in earlier.mailed()
    assert earlier.people(Verdict.IN_DOUBT) == earlier.listed() == DOUBTS[run]


def test_doubts_of_another_way_hold_up_nobody_else(found: Callable[[str], Found]) -> None:
    earlier = found("finished")
    earlier.rewrite("opened", lambda line: line["fingerprints"].update({WAY_OF_RENDERING: "0"}))
    with pytest.raises(ConfigError, match="another way") as refused:
        earlier.send(in_doubt="resend")
    assert refused.value.next_step.endswith(f"campaign resolve {earlier.run} --accepted LIST")
    with (earlier.place / "people.csv").open("a", encoding="utf-8") as people:
        people.write("new@example.com,Newcomer,Bern\n")
    assert earlier.send(in_doubt="hold")[0] is ExitCode.DONE
    assert earlier.mailed() == ["new@example.com"]


# -- commands that render nothing


@pytest.mark.parametrize("run", VERDICTS)
def test_status_and_report_read_it(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    assert earlier.verdicts() == VERDICTS[run]
    facts = manage.report(earlier.run)
    assert {name: count for name, count in facts.verdicts.items() if count} == VERDICTS[run]
    assert earlier.listed() == earlier.people(Verdict.IN_DOUBT) == DOUBTS[run]
    assert (earlier.run / "report.html").exists()


@pytest.mark.parametrize("run", DOUBTFUL)
def test_resolve_settles_its_doubts(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    name = message_id(earlier.job.identity(1), "example.com", DOUBTS[run][0])
    (earlier.place / "relay.log").write_text(f"message-id={name}\n", encoding="utf-8")
    assert manage.resolve(earlier.run, earlier.place / "relay.log") == (1, 0)
    assert DOUBTS[run][0] in earlier.people(Verdict.ACCEPTED)


@pytest.mark.parametrize("run", UNFINISHED)
def test_cancel_ends_it(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    left, served = earlier.people(Verdict.WAITING, Verdict.DEFERRED), earlier.people(Verdict.ACCEPTED)
    manage.cancel(earlier.run)
    assert earlier.people(Verdict.CANCELLED) == left
    assert earlier.people(Verdict.ACCEPTED) == served


@pytest.mark.parametrize("run", VERDICTS)
def test_repair_saves_the_rest_of_it_where_a_line_is_lost(found: Callable[[str], Found], run: str) -> None:
    earlier = found(run)
    assert not repair.inspect_journal(earlier.journal).lost_lines
    first = earlier.people(Verdict.ACCEPTED)[0]
    earlier.journal.write_bytes(earlier.journal.read_bytes().replace(b'"accepted"', b'"akzepted"', 1))
    assert len(repair.repair(earlier.journal).lost_lines) == 1
    assert first in earlier.people(Verdict.IN_DOUBT)


# -- what the number of a way of rendering promises


@pytest.mark.parametrize("run", VERDICTS)
def test_letters_rendered_in_the_same_way_have_the_same_bytes(found: Callable[[str], Found], run: str) -> None:
    """Where this fails for a release of today's `RENDERING`, letters changed: raise it."""
    earlier = found(run)
    chosen = choose(earlier.job, Options(run="first"))
    assert isinstance(chosen, ChosenRun)
    changed = []
    for one in earlier.intents():
        letter = chosen.composer.compose(chosen.plan.recipient(one.number), one.date)
        changed += [] if isinstance(letter, Letter) and letter.digest.hex() == one.sha256 else [one.number]
    assert not changed or earlier.way != RENDERING
