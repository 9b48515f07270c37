"""Faults planted in the product, each by patching one name: the simulation has to find every one of them.

A patch says what a programmer might have got wrong. They are put in place in the process that simulates a seed, and its
processes inherit them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.simulation.planted_shards import OF_SHARDS

PLANTED: dict[str, Callable[[Patch], None]] = dict(OF_SHARDS)


_INHERITED = object()


class Patch:
    """Sets attributes, and puts them back."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> Any:
        """Replace ``owner.name``; returns what it was."""
        self._before.append((owner, name, vars(owner).get(name, _INHERITED)))
        before = getattr(owner, name)
        setattr(owner, name, value)
        return before

    def undo(self) -> None:
        """Put everything back."""
        for owner, name, before in reversed(self._before):
            if before is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


@contextmanager
def planted(name: str) -> Iterator[None]:
    """One planted fault, while the block runs."""
    patch = Patch()
    PLANTED[name](patch)
    try:
        yield
    finally:
        patch.undo()


def plant(name: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a fault under the words that the table shows."""

    def register(put: Callable[[Patch], None]) -> Callable[[Patch], None]:
        PLANTED[name] = put
        return put

    return register


# -- the dot and its intent


@plant("the dot leaves before the intent")
def _(patch: Patch) -> None:
    from campaign.delivery.smtp.mail_transaction import MailTransaction

    dot = MailTransaction.dot

    def content(self: Any, data: bytes) -> Any:
        waits = before(self, data)
        dot(self)
        return waits

    before = patch.set(MailTransaction, "content", content)
    patch.set(MailTransaction, "dot", lambda self, following=None: following and self.offer(following))


@plant("no intent is written")
def _(patch: Patch) -> None:
    from campaign.ledger.checkpoint import Checkpoint

    patch.set(Checkpoint, "intent", lambda *_: None)


@plant("the intent is not synced under power")
def _(patch: Patch) -> None:
    from campaign.ledger.checkpoint import Checkpoint

    def intent(self: Any, letter: Any, relay: str) -> Any:
        before(self, letter, relay)

    before = patch.set(Checkpoint, "intent", intent)


@plant("a sync that fails counts as done")
def _(patch: Patch) -> None:
    from campaign.errors import StorageError
    from campaign.ledger.journal.journal_file import JournalFile

    def sync(self: Any) -> int:
        try:
            return int(before(self))
        except StorageError:
            return int(self.size)

    before = patch.set(JournalFile, "sync", sync)


@plant("a write that fails counts as done")
def _(patch: Patch) -> None:
    from campaign.errors import StorageError
    from campaign.ledger.journal.journal_file import JournalFile

    def append(self: Any, data: bytes) -> None:
        try:
            before(self, data)
        except StorageError:
            self.size += len(data)

    before = patch.set(JournalFile, "append", append)


@plant("a short write counts as whole")
def _(patch: Patch) -> None:
    from campaign.ledger.journal.journal_file import JournalFile

    patch.set(JournalFile, "_finish", lambda *_: None)


@plant("the journal's syncs are skipped")
def _(patch: Patch) -> None:
    from campaign.ledger.journal.journal_file import JournalFile

    patch.set(JournalFile, "sync", lambda self: self.size)


@plant("no folder is synced after a rename")
def _(patch: Patch) -> None:
    from campaign.system import atomic_file

    patch.set(atomic_file, "sync_folder", lambda _folder: None)


# -- recovery


@plant("doubts are forgotten at recovery")
def _(patch: Patch) -> None:
    from campaign.ledger.state.run_state import RunState

    def settle(self: Any, **_: Any) -> list[int]:
        self.pending.clear()
        return []

    patch.set(RunState, "settle_interrupted", settle)


@plant("the frontier is ignored after a loss of power")
def _(patch: Patch) -> None:
    from campaign.ledger.state.run_state import RunState

    def settle(self: Any, *, power_lost: bool, taken: Any = ()) -> Any:
        return before(self, power_lost=False, taken=taken)

    before = patch.set(RunState, "settle_interrupted", settle)


@plant("no block is reserved before it is taken")
def _(patch: Patch) -> None:
    from campaign.ledger.checkpoint import Checkpoint

    patch.set(Checkpoint, "reserve", lambda *_: None)


@plant("a reserved block is not synced")
def _(patch: Patch) -> None:
    from campaign.ledger.checkpoint import Checkpoint

    def reserve(self: Any, number: int) -> None:
        sync, self.sync = self.sync, lambda: None
        try:
            before(self, number)
        finally:
            self.sync = sync

    before = patch.set(Checkpoint, "reserve", reserve)


@plant("a torn tail is not cut off")
def _(patch: Patch) -> None:
    from campaign.ledger import recovery

    patch.set(recovery, "_cut", lambda *_: "")


@plant("a loss of power looks like a kill")
def _(patch: Patch) -> None:
    from campaign.ledger import checkpoint
    from campaign.ledger.state import run_state

    for module in (checkpoint, run_state):
        patch.set(module, "power_lost", lambda *_: False)


@plant("doubts are sent again under hold")
def _(patch: Patch) -> None:
    from campaign.pipeline.serve.pass_loop import PassLoop

    async def serve(self: Any) -> Any:
        self._ledger.history.reopen_doubts()
        return await before(self)

    before = patch.set(PassLoop, "serve", serve)


@plant("in doubt counts as accepted")
def _(patch: Patch) -> None:
    from campaign.delivery.replies import recipient_outcome
    from campaign.model import Outcome, Verdict

    patch.set(
        recipient_outcome, "broken", lambda number, why, relay: Outcome(number, Verdict.ACCEPTED, why, relay=relay)
    )


@plant("in doubt counts as deferred")
def _(patch: Patch) -> None:
    from campaign.delivery.replies import recipient_outcome
    from campaign.model import Outcome, Verdict

    patch.set(
        recipient_outcome, "broken", lambda number, why, relay: Outcome(number, Verdict.DEFERRED, why, relay=relay)
    )


# -- replies


@plant("421 is counted as an attempt")
def _(patch: Patch) -> None:
    from campaign.delivery.replies import recipient_outcome

    def refused(number: int, verdict: Any, reply: Any, decision: Any, relay: str) -> Any:
        return before(number, verdict, reply, decision, relay)._replace(counted=True)

    before = patch.set(recipient_outcome, "_refused", refused)


@plant("a passing refusal is final")
def _(patch: Patch) -> None:
    from campaign.delivery.replies import recipient_outcome
    from campaign.model import Verdict

    def refused(number: int, _verdict: Any, reply: Any, decision: Any, relay: str) -> Any:
        return before(number, Verdict.REJECTED, reply, decision, relay)

    before = patch.set(recipient_outcome, "_refused", refused)


@plant("a reply is taken for the next letter's")
def _(patch: Patch) -> None:
    from campaign.delivery.smtp.mail_transaction import MailTransaction

    async def verdict(self: Any) -> Any:
        own = await before(self)
        last, self.__dict__["last"] = self.__dict__.get("last", own), own
        return last

    before = patch.set(MailTransaction, "verdict", verdict)


@plant("garbage after the dot counts as 250")
def _(patch: Patch) -> None:
    from campaign.delivery.smtp.mail_transaction import MailTransaction
    from campaign.delivery.transport_errors import ConnectionLost
    from campaign.model import Reply

    async def verdict(self: Any) -> Any:
        try:
            return await before(self)
        except ConnectionLost:
            return Reply(250, "2.0.0", "fine")

    before = patch.set(MailTransaction, "verdict", verdict)


@plant("a refused dot counts as accepted")
def _(patch: Patch) -> None:
    from campaign.delivery.smtp.mail_transaction import MailTransaction
    from campaign.model import Reply

    async def verdict(self: Any) -> Any:
        found = await before(self)
        return Reply(250, "2.0.0", found.text)

    before = patch.set(MailTransaction, "verdict", verdict)


@plant("a verdict is recorded twice")
def _(patch: Patch) -> None:
    from campaign.ledger.checkpoint import Checkpoint

    def verdict(self: Any, outcome: Any, not_before: float = 0.0) -> None:
        before(self, outcome, not_before)
        before(self, outcome, not_before)

    before = patch.set(Checkpoint, "verdict", verdict)


@plant("a settled item comes back into the queue")
def _(patch: Patch) -> None:
    from campaign.delivery.send import held_items

    patch.set(held_items, "_is_settled", lambda _item: False)


@plant("a letter without its dot is not sent again after a break")
def _(patch: Patch) -> None:
    from campaign.delivery.queue.admission import Admission

    patch.set(Admission, "put_back", lambda self, item: self.end(item))


# -- pace and time


@plant("a window is counted from the draw instead of the use")
def _(patch: Patch) -> None:
    from campaign.delivery.queue.admission import Admission
    from campaign.delivery.queue.backlog import QueueItem

    def draw_now(self: Any, account: Any) -> Any:
        found = before(self, account)
        if isinstance(found, QueueItem):
            account.throttle.spend(found.domain, self._clock())
        return found

    def take_turn(self: Any, item: Any) -> bool:
        self.release(item)
        return True

    before = patch.set(Admission, "draw_now", draw_now)
    patch.set(Admission, "take_turn", take_turn)


@plant("limits are forgotten between processes")
def _(patch: Patch) -> None:
    from campaign.delivery.pacing import pacing_file

    patch.set(pacing_file, "_begun", lambda _path: False)


@plant("limits forget what a loss of power took")
def _(patch: Patch) -> None:
    from campaign.delivery.pacing.pacing_file import PacingFile

    patch.set(PacingFile, "promise", lambda self, _letters: self._map.flush())
    patch.set(PacingFile, "spent", property(lambda _self: False))


@plant("limits of domains are ignored")
def _(patch: Patch) -> None:
    from campaign.delivery.pacing.throttle import Throttle

    def by_window(_self: Any, _limits: Any) -> dict[str, Any]:
        return {}

    patch.set(Throttle, "by_window", by_window)


@plant("a letter is tried again before its time")
def _(patch: Patch) -> None:
    from campaign.ledger.state.recipient_states import TO_GO
    from campaign.ledger.state.run_state import RunState

    patch.set(RunState, "is_due", lambda self, number: self.state[number] in TO_GO)
    patch.set(RunState, "next_due", lambda self: 0.0 if any(one in TO_GO for one in self.state) else None)


@plant("not_after is ignored")
def _(patch: Patch) -> None:
    from campaign.pipeline.serve.stop_triggers import StopTriggers

    def begin(self: Any, *args: Any) -> None:
        before(self, *args)
        self._not_after = None

    before = patch.set(StopTriggers, "__init__", begin)


@plant("who expires counts as accepted")
def _(patch: Patch) -> None:
    from campaign.ledger.checkpoint import Checkpoint
    from campaign.model import Verdict

    def settle(self: Any, number: int, verdict: Any, reason: str) -> Any:
        return before(self, number, Verdict.ACCEPTED if verdict is Verdict.EXPIRED else verdict, reason)

    before = patch.set(Checkpoint, "settle", settle)


# -- operators


@plant("the control file is ignored")
def _(patch: Patch) -> None:
    from campaign.delivery.control_file import Control

    patch.set(Control, "poll", lambda *_: False)


@plant("pause is ignored")
def _(patch: Patch) -> None:
    from campaign.delivery.send.dispatcher import Dispatcher

    patch.set(Dispatcher, "_obey", lambda *_: None)


@plant("a rate set before the process began is ignored")
def _(patch: Patch) -> None:
    from campaign.delivery.send.dispatcher import Dispatcher

    def begin(self: Any, *args: Any, **more: Any) -> None:
        before(self, *args, **more)
        self._rate = self._control.rate

    before = patch.set(Dispatcher, "__init__", begin)


@plant("--limit is ignored in later passes")
def _(patch: Patch) -> None:
    from campaign.pipeline.serve.senders.single_sender import SingleSender

    async def serve_pass(self: Any, order: Any) -> int:
        self._allowance.left = -1
        return int(await before(self, order))

    before = patch.set(SingleSender, "serve_pass", serve_pass)


@plant("--max-duration is ignored")
def _(patch: Patch) -> None:
    from campaign.pipeline.serve.stop_triggers import StopTriggers

    def begin(self: Any, settings: Any, control: Any, _longest: Any, *rest: Any) -> None:
        before(self, settings, control, None, *rest)

    before = patch.set(StopTriggers, "__init__", begin)


@plant("the canary is ignored")
def _(patch: Patch) -> None:
    from campaign.pipeline.serve.canary import Canary

    patch.set(Canary, "step", lambda *_, **__: "go")


@plant("suppression is read once")
def _(patch: Patch) -> None:
    from campaign.pipeline.serve.fresh_suppression import FreshSuppression

    async def read(_self: Any) -> None:
        await asyncio.sleep(0)

    patch.set(FreshSuppression, "read", read)


@plant("suppression is read at each pass, and not each hour")
def _(patch: Patch) -> None:
    from campaign.pipeline.serve.fresh_suppression import FreshSuppression

    async def look(_self: Any) -> None:
        await asyncio.sleep(0)

    patch.set(FreshSuppression, "look", look)


@plant("a run in doubt exits 0")
def _(patch: Patch) -> None:
    from campaign.pipeline.finish import close_run

    def codes(history: Any, policy: Any) -> Any:
        return {one for one in before(history, policy) if one != 4}

    before = patch.set(close_run, "verdict_codes", codes)


@plant("two processes may serve one run")
def _(patch: Patch) -> None:
    from contextlib import contextmanager as manager

    from campaign.ledger import run_folder
    from campaign.ledger.journal import journal_file

    @manager
    def locked(_folder: Any) -> Iterator[None]:
        yield

    patch.set(run_folder, "locked", locked)
    patch.set(journal_file, "lock", lambda *_, **__: True)


@plant("a worker waits for ever when a connection breaks")
def _(patch: Patch) -> None:
    from campaign.delivery.smtp.reply_stream import ReplyStream

    def lost(self: Any, _error: Any) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    patch.set(ReplyStream, "connection_lost", lost)
    patch.set(ReplyStream, "eof_received", lambda _self: True)
    patch.set(ReplyStream, "_ring", lambda _self: None)
