"""The sender processes of a simulated run: members of the one loop, each with a pipe in memory, which can be killed.

A `Link` stands in for `SenderLink`. Messages are pickled, as on the way through a real pipe, and arrive after a drawn
delay. A sender that waits in `recv` stops the time: what it has sent is delivered at once, and so is the answer.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
import traceback
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from tests.simulation.member import CURRENT, NOBODY, Member, is_ghost

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Most seconds that a message takes, that a process takes to start, and that the end of one takes to be noticed.
MESSAGE, START, NOTICE = 0.02, 0.4, 0.2
#: Least seconds between two messages.
TICK = 1e-6
#: A message that says that there will be no more.
END = b""

_numbers = itertools.count(1_000_000)


class Family:
    """The members of one simulated process; ``own`` is the run's own. ``over`` is called when all others have ended."""

    def __init__(self, world: World, pid: int, over: Callable[[], None]) -> None:
        self.world, self.own, self._over = world, Member("the run's own process", pid), over
        self.links: list[Link] = []

    def launch(self, start: Any, take: Callable[[Any], None], ended: Callable[[], None]) -> Link:
        """Start a sender; as `SenderLink`."""
        link = Link(self, start, take, ended)
        self.links.append(link)
        return link

    @property
    def living(self) -> list[Link]:
        """The senders that run."""
        return [one for one in self.links if not one.member.dead]

    def named(self, whom: str) -> Member | None:
        """Who is meant: the own process, or the sender whose code is running, or else any."""
        if whom == "parent":
            return self.own
        living = [one.member for one in self.living]
        if (member := CURRENT.get()) in living:
            return member
        return self.world.dice("senders").choice(living) if living else None

    def die(self, member: Member) -> None:
        """Kill a member; of a run's own process all pipes end with it."""
        self.world.tell(f"{member.name} dies")
        if member is not self.own:
            next(one for one in self.links if one.member is member).end_by("signal 9")
            return
        member.dead = True
        loop: Any = asyncio.get_running_loop()
        loop.call_soon(loop.bury, member, context=NOBODY)
        for link in self.living:
            link.to_sender.send(END)
        self.gone()

    def gone(self) -> None:
        """One has ended."""
        if self.own.dead and not self.living:
            self._over()


class _Way:
    """One direction of a pipe: messages arrive in order, in the context of whoever gets them."""

    def __init__(
        self, world: World, loop: asyncio.AbstractEventLoop, context: Context, deliver: Callable[[bytes], None]
    ) -> None:
        self._loop, self._context, self._deliver, self._dice = loop, context, deliver, world.dice("messages")
        self._flight: deque[bytes] = deque()
        self._last = 0.0

    def send(self, message: bytes, delay: float = 0.0) -> None:
        self._flight.append(message)
        self._last = max(self._last + TICK, self._loop.time() + delay + self._dice.random() * MESSAGE)
        self._loop.call_at(self._last, self.arrive, context=self._context)

    def arrive(self) -> bool:
        """Deliver the next one; False if none is under way."""
        if not self._flight:
            return False
        self._deliver(self._flight.popleft())
        return True


class Link:
    """The parent's end of a simulated sender."""

    def __init__(self, family: Family, start: Any, take: Callable[[Any], None], ended: Callable[[], None]) -> None:
        self._family, self._world, self._take, self._ended = family, family.world, take, ended
        self._loop: Any = asyncio.get_running_loop()
        number = len(family.links) + 1
        self.member = Member(f"sender {number} (place {start.index})", family.own.pid * 100 + number)
        self.end, self.closed = "exit code 0", False
        self._context, theirs = copy_context(), copy_context()
        theirs.run(CURRENT.set, self.member)
        self.pipe = MemoryPipe(self)
        self.to_sender = _Way(self._world, self._loop, theirs, self.pipe.deliver)
        self._to_parent = _Way(self._world, self._loop, self._context, self._heard)
        self._world.tell(f"{self.member.name} starts")
        octets = pickle.dumps(start, pickle.HIGHEST_PROTOCOL)
        delay = self._world.dice("messages").random() * START
        self._loop.call_later(delay, self._begin, octets, context=theirs.copy())

    # -- for the parent

    def send(self, message: Any) -> None:
        """Send a message; to a process that has ended it is lost."""
        if not (self.member.dead or is_ghost()):
            self.to_sender.send(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def kill(self) -> None:
        """Kill the process."""
        if not is_ghost():
            self._family.die(self.member)

    # -- for the sender

    def tell(self, message: Any) -> None:
        """Send a message to the parent."""
        if self.member.dead or self._family.own.dead:
            raise BrokenPipeError
        self._to_parent.send(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def hurry(self) -> None:
        """The sender waits for a message: time stands still until it has one."""
        if self.member.dead or self.to_sender.arrive():
            return
        if not self._family.own.dead:
            self._context.copy().run(self._deliver_all)
        answered = self.to_sender.arrive() or self.member.dead or self._family.own.dead
        self._world.must(answered, f"{self.member.name} waits for a shard, and gets no answer at once")

    def _deliver_all(self) -> None:
        while self._to_parent.arrive():
            pass

    # -- its life

    def end_by(self, how: str) -> None:
        """Nothing of it runs from now on; the kernel clears up."""
        if self.member.dead:
            return
        self.member.dead, self.end = True, how
        self._loop.call_soon(self._clear, context=NOBODY)

    def _begin(self, octets: bytes) -> None:
        self._loop.create_task(self._live(pickle.loads(octets)))

    async def _live(self, start: Any) -> None:
        from campaign.pipeline.serve.senders.sender_process import serve_or_tell
        from campaign.system.boot import boot_clock

        start.run_clock.go_by(boot_clock)
        how = "exit code 0"
        try:
            await serve_or_tell(self.pipe, start)
        except Exception:  # noqa: BLE001 - a traceback is what nobody may ever see
            how = "exit code 1"
            self._world.must(self.member.dead, f"{self.member.name} fails: {traceback.format_exc()}")
        me = asyncio.current_task()
        others = [one for one in asyncio.all_tasks() if one is not me and one.member is self.member]  # type: ignore[attr-defined]
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._world.tell(f"{self.member.name} ends")
        self.end_by(how)

    def _clear(self) -> None:
        self._loop.bury(self.member)
        self._loop.network.end_of(self.member)
        self.member.release()
        self._to_parent.send(END, self._world.dice("messages").random() * NOTICE)
        self._family.gone()

    def _heard(self, message: bytes) -> None:
        if message != END:
            self._take(pickle.loads(message))
        elif not self.closed:
            self.closed = True
            self._ended()


class MemoryPipe:
    """The sender's end."""

    def __init__(self, link: Link) -> None:
        self._link, self._loop = link, asyncio.get_running_loop()
        self._number = next(_numbers)
        self._waiting: deque[bytes] = deque()

    def fileno(self) -> int:
        """A number that no descriptor has."""
        return self._number

    def poll(self) -> bool:
        """Whether `recv` would return or raise at once."""
        return bool(self._waiting)

    def recv(self) -> Any:
        """The next message."""
        if not self._waiting:
            self._link.hurry()
        if not self._waiting or self._waiting[0] == END:
            raise EOFError
        return pickle.loads(self._waiting.popleft())

    def send(self, message: Any) -> None:
        """Send a message to the parent."""
        self._link.tell(message)

    def deliver(self, message: bytes) -> None:
        """A message arrives."""
        self._waiting.append(message)
        self._loop.arrived(self._number)  # type: ignore[attr-defined]
