"""A `campaign forget` that is killed at any step leaves runs that can be read, and the same command completes it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.errors import UnfinishedError
from campaign.exit_codes import ExitCode
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.feedback.feedback_store import FeedbackStore
from campaign.ledger.recovery import read_history
from campaign.model import FeedbackEvent, FeedbackOutcome, Letter, Outcome, Verdict
from campaign.pipeline.operate import manage
from campaign.pipeline.operate.run_standing import run_standing
from campaign.pipeline.start.past_runs import refuse_changed_plan
from tests.support.forget_place import ADA, Place, named_in, relay

KILLED = 9
#: What a process can be killed before; between two of these nothing changes that another process sees.
CALLS = ((os, "write"), (os, "ftruncate"), (Path, "replace"), (Path, "unlink"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """In one edition Ada was served, in the other she is deferred; she complained, and has a rehearsal's letter."""
    with relay(tmp_path / "relay") as url:
        found = Place(tmp_path, url)
        found.settings(head='edition = "one"')
        found.send()
        found.send(relay="mailbox", again=True)
        found.settings(head='edition = "two"')
        half_done(found)
        with FeedbackStore(found.runs) as store:
            event = FeedbackEvent(
                "1", "imap:b", FeedbackOutcome.COMPLAINT, 1.7e9, 1.7e9, "Ada@example.com", "message-id"
            )
            store.add([event])
            store.sync()
        yield found


def half_done(place: Place) -> None:
    chosen = place.made()
    checkpoint = Checkpoint(chosen.folder)
    at = checkpoint.begin_pass()
    for number, verdict in ((0, Verdict.ACCEPTED), (2, Verdict.DEFERRED)):
        letter = chosen.composer.compose(chosen.plan.recipient(number), float(at))
        assert isinstance(letter, Letter)
        checkpoint.intent(letter, place.url)
        checkpoint.verdict(Outcome(number, verdict, "4.2.1 <Ada@example.com> later", 450, relay=place.url))
    checkpoint.end(75)
    checkpoint.close()
    manage.report(chosen.folder)


def killed_at(step: int, act: Callable[[], object]) -> bool:
    """Whether ``act``, in a process of its own, was killed right before this call of `CALLS`."""
    child = os.fork()
    if child == 0:
        left = [step]
        for home, name in CALLS:
            setattr(home, name, _counted(getattr(home, name), left))
        try:
            act()
        except BaseException:  # noqa: BLE001 - the parent sees it by the code
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"it failed at step {step}"
    return code == KILLED


def _counted(call: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def counted(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os._exit(KILLED)
        return call(*args, **options)

    return counted


def runs_of(place: Place) -> list[Path]:
    return sorted(path.parent for path in place.runs.rglob("checkpoint.journal"))


def state_of(place: Place) -> dict[str, tuple[dict[str, int], list[str]]]:
    """The verdicts of each run, and its plan without the digests."""
    found = {}
    for run in runs_of(place):
        lines = [json.loads(line) for line in (run / "plan.jsonl").read_bytes().splitlines()[1:-1]]
        people = [line[2] for line in lines]
        found[str(run.relative_to(place.runs))] = (read_history(run).tally(), people)
    return found


def test_it_can_be_killed_at_every_step(place: Place, tmp_path: Path) -> None:
    shutil.copytree(place.runs, tmp_path / "before", symlinks=True)
    before = state_of(place)
    assert place.forget().left == {}
    wanted = state_of(place)
    assert wanted != before
    step = 1
    while True:
        shutil.rmtree(place.runs)
        shutil.copytree(tmp_path / "before", place.runs)
        if not killed_at(step, place.forget):
            break
        for run in runs_of(place):
            standing, plan = run_standing(run), Plan.open(run / "plan.jsonl")
            assert len(list(plan.recipients())) == sum(standing.history.tally().values()) == 6
            with suppress(UnfinishedError):  # it was killed between two renames
                refuse_changed_plan(run, standing.history, plan)
        assert place.forget().left == {}, step
        assert state_of(place) == wanted, step
        assert named_in(place.runs) == [], step
        for run in runs_of(place):
            refuse_changed_plan(run, read_history(run), Plan.open(run / "plan.jsonl"))
        step += 1
    assert step > 30
    assert place.send() is ExitCode.DONE
    assert place.mailed().count(ADA) == 1
    assert len(place.mailed()) == len(set(place.mailed())) + 4


def test_a_note_that_does_not_fit_the_plan_completes_nothing(place: Place) -> None:
    run = runs_of(place)[0]
    journal = (run / "checkpoint.journal").read_bytes()
    (run / "forgetting.json").write_text(json.dumps({"before": "0" * 64, "after": "1" * 64}), encoding="utf-8")
    place.forget("nobody@example.com")
    assert (run / "checkpoint.journal").read_bytes() == journal
    assert not (run / "forgetting.json").exists()


def test_a_plan_that_somebody_changed_is_not_made_good(place: Place) -> None:
    run = runs_of(place)[-1]
    plan = run / "plan.jsonl"
    plan.write_bytes(plan.read_bytes().replace(b"p5@", b"q5@"))
    place.forget()
    with pytest.raises(Exception, match="was changed"):
        refuse_changed_plan(run, read_history(run), Plan.open(plan))
