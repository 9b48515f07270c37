"""One worker's bench: an oracle, a nursery of senders, a scratch folder; and the senders it starts and kills."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torture.oracle import COUNTERS
from torture.stores import Store

ROOT = Path(__file__).resolve().parent.parent
#: One thread each: a machine full of senders has no cores to spare, and a fork takes no threads along.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
}
LONGEST = 120.0


class Stuck(Exception):  # noqa: N818 - it names what happened
    """A sender neither ended nor did what it was waited for."""


@dataclass
class Talker:
    """A helper process that is told lines of JSON and tells some."""

    arguments: Sequence[str]
    _rest: bytes = b""

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *self.arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, **ENVIRONMENT},
        )  # fmt: skip

    def tell(self, **order: Any) -> None:
        """One order."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, seconds: float = 30.0) -> dict[str, Any] | None:
        """The next line, or None when none comes in time."""
        assert self.process.stdout is not None
        end, descriptor = time.monotonic() + seconds, self.process.stdout.fileno()
        while b"\n" not in self._rest:
            if not select.select([descriptor], [], [], max(end - time.monotonic(), 0.0))[0]:
                return None
            read = os.read(descriptor, 1 << 16)
            if not read:
                raise Stuck(f"{self.arguments[0]} is gone")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))

    def end(self) -> None:
        """Close its stdin, which ends it."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()


@dataclass
class Sender:
    """A process that sends. ``code`` is None while it lives; negative is the signal that ended it.

    Of a forked one also how many ``seconds`` it lived and for how many of them it had no core (``queued``).
    """

    pid: int
    said: Path
    process: subprocess.Popen[bytes] | None = None
    bench: Bench | None = None
    code: int | None = None
    seconds: float = 0.0
    queued: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def alive(self) -> bool:
        """Whether it has not ended yet."""
        if self.code is None and self.process is not None:
            self.code = self.process.poll()
        elif self.code is None and self.bench is not None:
            self.bench.listen(0.0)
        return self.code is None

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)

    def wait(self, seconds: float = LONGEST) -> int:
        """Its exit code. Raises Stuck, and kills it, when it does not end in time."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                self.kill()
                raise Stuck(f"not done after {seconds:.0f} s: {self.words()[-400:]}")
            if self.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(min(1.0, seconds))
            elif self.bench is not None:
                self.bench.listen(0.2)
        assert self.code is not None
        return self.code

    def words(self) -> str:
        """What it said, on both streams."""
        return self.said.read_text(encoding="utf-8", errors="replace") if self.said.exists() else ""


class OracleProcess:
    """An oracle, its port, and its counters, which lie in the file ``counters``."""

    def __init__(self, counters: Path) -> None:
        self._talker = Talker(["torture.oracle", str(counters)])
        self.port: int = self._ask()["port"]
        with counters.open("rb") as file:
            self._shared = mmap.mmap(file.fileno(), COUNTERS.size, prot=mmap.PROT_READ)

    def scene(self, folder: Path, certificate: str = "", **script: Any) -> None:
        """A new log in ``folder`` and a script for the oracle; earlier conversations end."""
        self._ask(do="scene", log=str(folder / "oracle.log"), script=script, certificate=certificate)

    def faults(self, **script: Any) -> dict[str, int]:
        """Another script on the same log; what the one before has struck is not asked for, the new counts begin."""
        return dict(self._ask(do="faults", script=script)["struck"])

    def struck(self) -> dict[str, int]:
        """How often each misdeed of the present script was committed."""
        return dict(self._ask(do="struck")["struck"])

    def counters(self) -> tuple[int, int, int, int]:
        """Connections open, envelopes open, letters taken in this scene, letters dotted and not answered."""
        connections, envelopes, taken, dotted = COUNTERS.unpack_from(self._shared)
        return connections, envelopes, taken, dotted

    def settled(self, seconds: float = 5.0) -> None:
        """Wait until the oracle has noticed that all connections are gone."""
        end = time.monotonic() + seconds
        while self.counters()[0] and time.monotonic() < end:
            time.sleep(0.002)

    def end(self) -> None:
        """End it."""
        self._talker.end()

    def _ask(self, **order: Any) -> dict[str, Any]:
        if order:
            self._talker.tell(**order)
        answer = self._talker.hear()
        assert answer is not None
        return answer


class Bench:
    """Everything one worker needs; made once a process. ``borrowed`` is what a case has taken and must give back."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=scratch))
        self.borrowed = contextlib.ExitStack()
        self.oracle = OracleProcess(self.scratch / "counters")
        self.port = self.oracle.port
        self._senders: dict[int, Sender] = {}
        self._serial = 0

    @cached_property
    def nursery(self) -> Talker:
        """Senders that start in milliseconds; made when first wanted."""
        nursery = Talker(["torture.launch", "--nursery"])
        assert nursery.hear(180.0) == {"ready": True}
        return nursery

    @cached_property
    def store(self) -> Store:
        """A database server, made when first wanted; a case takes a database of its own."""
        return Store().initialise()

    @cached_property
    def certificate(self) -> tuple[Path, Path]:
        """A server's certificate with key, and the authority to trust."""
        import trustme

        authority = trustme.CA()
        server, trusted = self.scratch / "server.pem", self.scratch / "authority.pem"
        authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(server))
        authority.cert_pem.write_to_path(str(trusted))
        return server, trusted

    def scene(self, folder: Path, **script: Any) -> None:
        """As `OracleProcess.scene`."""
        self.oracle.scene(folder, str(self.certificate[0]) if script.get("starttls") else "", **script)

    def faults(self, **script: Any) -> dict[str, int]:
        """As `OracleProcess.faults`."""
        return self.oracle.faults(**script)

    def struck(self) -> dict[str, int]:
        """As `OracleProcess.struck`."""
        return self.oracle.struck()

    def counters(self) -> tuple[int, int, int, int]:
        """As `OracleProcess.counters`."""
        return self.oracle.counters()

    def settled(self, seconds: float = 5.0) -> None:
        """As `OracleProcess.settled`."""
        self.oracle.settled(seconds)

    def start(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Sender:
        """The real thing: a new interpreter, ``python -m campaign …``."""
        said = self._said(folder)
        with said.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "campaign", *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder,
                env={**os.environ, **ENVIRONMENT, **(environment or {})},
            )  # fmt: skip
        return Sender(process.pid, said, process=process)

    def bear(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None, **orders: Any) -> Sender:
        """A forked sender with ``orders``."""
        said = self._said(folder)
        self.nursery.tell(
            folder=str(folder), arguments=list(arguments), orders=orders, said=str(said), environment=environment or {}
        )
        while (answer := self.nursery.hear()) is not None:
            if "code" not in answer:
                sender = Sender(int(answer["pid"]), said, bench=self)
                self._senders[sender.pid] = sender
                return sender
            self._ended(answer)
        raise Stuck("the nursery does not answer")

    def listen(self, seconds: float) -> None:
        """Take note of forked senders that ended."""
        while (answer := self.nursery.hear(seconds)) is not None:
            self._ended(answer)
            seconds = 0.0

    def close(self) -> None:
        """End the helpers and whatever still sends; clear away."""
        for sender in self._senders.values():
            sender.kill()
        self.borrowed.close()
        self.oracle.end()
        if "nursery" in self.__dict__:
            self.nursery.end()
        if "store" in self.__dict__:
            self.store.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _ended(self, answer: dict[str, Any]) -> None:
        sender = self._senders.pop(int(answer["pid"]), None)
        if sender is not None:
            sender.code, sender.seconds, sender.queued = answer["code"], answer["seconds"], answer["queued"]

    def _said(self, folder: Path) -> Path:
        self._serial += 1
        return folder / f"said-{self._serial:04}.txt"


@contextlib.contextmanager
def bench(scratch: Path) -> Iterator[Bench]:
    """A bench for a while."""
    one = Bench(scratch)
    try:
        yield one
    finally:
        one.close()


def dice(seed: int, *names: object) -> random.Random:
    """Chance that depends on the seed and on nothing but the names."""
    return random.Random(f"{seed}/{'/'.join(map(str, names))}")
