"""An event loop with virtual time: nothing ever blocks, and when nothing is ready, time jumps to the next timer.

Tasks that are ready together run in an order drawn by the seed; all other callbacks keep their order, as asyncio
promises. Threads are callbacks that run inline after a drawn delay. Futures and tasks have serial numbers as hashes, so
that sets of them are walked in the same order each time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import socket
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from tests.simulation.member import CURRENT, Member
from tests.simulation.network import Network
from tests.simulation.world import Stuck, World

#: Seconds that one callback takes.
STEP = 2e-5
#: A process that takes more callbacks than this, or longer than this (seconds), hangs.
MOST_STEPS, LONGEST = 1_500_000, 40 * 3600.0
#: How many callbacks from the front the next task is drawn from.
REACH = 4

_serial = itertools.count(1)


class _Future(asyncio.Future[Any]):
    _serial = 0

    def __hash__(self) -> int:
        if not self._serial:
            self._serial = next(_serial)
        return self._serial


class _Task(asyncio.Task[Any]):
    _serial = 0
    member: Member | None = None

    def __hash__(self) -> int:
        if not self._serial:
            self._serial = next(_serial)
        return self._serial


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one simulated process. ``network`` is what it dials into.

    ``_scheduled`` is a heap of (time, number, handle): tuples compare faster than handles, and equal times keep their
    order.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world, self._clock = world, world.clock
        self._dice = world.dice("loop")
        self._disorder = world.scenario.disorder
        self._steps, self._timers, self._began = 0, 0, world.clock.true
        self.network = Network(world, self)
        self.signals: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self._clock_resolution = 1e-9
        self._readers: dict[int, Callable[[], None]] = {}
        self._some_are_dead = False
        self.running: asyncio.Handle | None = None
        self.set_task_factory(_make_task)
        self.set_exception_handler(self._unhandled)

    def time(self) -> float:
        """Seconds since boot."""
        clock = self._clock
        return clock.true - clock.booted - clock.suspended

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        """As asyncio's, without what it checks for debugging."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """As asyncio's, with a heap of our own."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers += 1
        heapq.heappush(self._scheduled, (when, self._timers, timer))  # type: ignore[attr-defined]
        return timer

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """As asyncio's."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """A future with a serial number."""
        return _Future(loop=self)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        """As `call_soon`: there are no threads."""
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Call ``func`` after a drawn delay, and deliver what it returned after another."""
        future = self.create_future()
        quick = self._world.scenario.thread_delay

        def deliver(setter: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                setter(value)

        def call() -> None:
            try:
                done: tuple[Any, Any] = (future.set_result, func(*args))
            except Exception as error:  # noqa: BLE001 - a thread's exception goes to whoever awaits it
                done = (future.set_exception, error)
            self.call_later(self._dice.random() * quick, deliver, *done)

        self.call_later(self._dice.random() * quick, call)
        return future

    async def shutdown_default_executor(self) -> None:
        """There is none."""

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        """The address itself, or a failure of the name service."""
        await asyncio.sleep(self.network.latency())
        self.network.look_up(port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to a simulated relay, or fail as weather has it."""
        await self.network.connect(sock, address[1])

    async def create_connection(self, protocol_factory: Any, *_: Any, sock: Any = None, **__: Any) -> Any:
        """A transport over a socket that `sock_connect` has connected."""
        protocol = protocol_factory()
        transport = self.network.open(sock, protocol)
        await asyncio.sleep(0)
        return transport, protocol

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        """Remember whom to wake when something arrives at this end of a pipe in memory."""
        context = copy_context()
        self._readers[fd] = lambda: self.call_soon(callback, *args, context=context)
        self._readers[fd]()  # something may have arrived before

    def remove_reader(self, fd: Any) -> bool:
        """Forget it."""
        return self._readers.pop(fd, None) is not None

    def arrived(self, fd: int) -> None:
        """Something can be read there."""
        if fd in self._readers:
            self._readers[fd]()

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        """Remember what a signal does."""
        context = copy_context()
        self.signals[sig] = (lambda: self.call_soon(callback, *args, context=context)), ()

    def remove_signal_handler(self, sig: int) -> bool:
        """Forget it."""
        return self.signals.pop(sig, None) is not None

    def _write_to_self(self) -> None:
        pass

    def _process_events(self, event_list: Any) -> None:
        pass

    def _timer_handle_cancelled(self, handle: Any) -> None:
        pass

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready:
            self._jump(timers)
        now = self.time() + 1e-9
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            if not timer._cancelled:
                ready.append(timer)
        for _ in range(len(ready)):
            handle = self._next(ready) if self._disorder else ready.popleft()
            if handle._cancelled or (self._some_are_dead and _is_of_the_dead(handle)):
                continue
            self._step()
            self.running = handle
            handle._run()
            self.running = None

    def bury(self, member: Member) -> None:
        """Run nothing of a dead member any more, and let nothing of it be collected or cancelled."""
        self._some_are_dead = True
        for task in asyncio.all_tasks(self):
            if task.member is member:  # type: ignore[attr-defined]
                asyncio.tasks._unregister_task(task)
                member.kept.append(task)

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        if (member := CURRENT.get()) is None:
            super()._asyncgen_firstiter_hook(agen)  # type: ignore[misc]
        else:
            member.kept.append(agen)

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Nothing is collected before its end."""

    def _jump(self, timers: list[Any]) -> None:
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Stuck("the process waits for something that nobody will ever do")
        ahead = timers[0][0] - self.time()
        if ahead > 0:
            self._clock.true += ahead
        if self._clock.true - self._began > LONGEST:
            raise Stuck(f"the process did not end within {LONGEST / 3600:.0f} hours")

    def _next(self, ready: Any) -> Any:
        handle = ready.popleft()
        if ready and _is_task(handle) and self._dice.random() < self._disorder:
            others = [one for one in list(itertools.islice(ready, REACH)) if _is_task(one)]
            if others:
                chosen = self._dice.choice(others)
                place = ready.index(chosen)
                ready[place] = handle
                return chosen
        return handle

    def _step(self) -> None:
        self._clock.true += STEP
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Stuck(f"the process did not end within {MOST_STEPS:,} callbacks")
        self._world.passed("step")

    def _unhandled(self, _loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.running is not None and _is_of_the_dead(self.running):
            return
        self._world.must(False, f"a callback failed: {context.get('message')}: {error!r}")


def _make_task(loop: Any, work: Any, **more: Any) -> _Task:
    task = _Task(work, loop=loop, **more)
    task.member = CURRENT.get()
    return task


def _is_of_the_dead(handle: Any) -> bool:
    """Such a handle is kept, as what it holds must not be collected."""
    member = handle._context.get(CURRENT)
    if member is None or not member.dead:
        return False
    member.kept.append(handle)
    return True


def _is_task(handle: Any) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)
