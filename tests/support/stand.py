"""A small campaign in a folder of its own, and the command run upon it in a process of its own, as operators do."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import IO, Any

from tests.support.forked_command import ForkedCommand, importer

ROOT = Path(__file__).parents[2]
#: Longest any one command or condition of these tests may take, in seconds; reached only when something is wrong.
PATIENCE = 30.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, data, talk."""

    code: int
    out: str
    err: str

    def tells(self, code: int, *evidence: str, step: str = "") -> Ended:
        """A failure as the contract wants it: the code, a plain sentence, the evidence, the next step."""
        assert self.code == code, self.err
        sentences = [line for line in self.err.split("\n") if re.fullmatch(r"\S.*[.]", line)]
        assert sentences, f"no plain sentence in:\n{self.err}"
        for part in evidence:
            assert part in self.err, f"{part!r} is missing in:\n{self.err}"
        assert re.search(rf"^Next: .*{re.escape(step)}", self.err, re.MULTILINE), f"no next step in:\n{self.err}"
        return self

    def ends(self, code: int, *evidence: str) -> Ended:
        """An ending with this code and these words in its talk."""
        assert self.code == code, self.err
        for part in evidence:
            assert part in self.err, f"{part!r} is missing in:\n{self.err}"
        return self


class Running:
    """A command under way. Its output goes to files, so that it never waits for us to read."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedCommand, out: Path, err: Path) -> None:
        self.process, self._out, self._err = process, out, err

    @property
    def talk(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def insist(self, number: signal.Signals, heard: str) -> None:
        """The signal again and again until it is heard: two that come almost at once count as one."""
        deadline = time.monotonic() + PATIENCE
        while heard not in self.talk and time.monotonic() < deadline:
            self.signal(number)
            await asyncio.sleep(0.3)

    async def end(self) -> Ended:
        """Wait for it. A traceback is never right, however a command ends."""
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
        ended = Ended(code, self._out.read_text(encoding="utf-8"), self.talk)
        assert "Traceback" not in ended.err + ended.out, ended.err
        return ended

    async def kill(self) -> None:
        """``kill -9``."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class Stand:
    """``settings`` become ``gazette.toml`` at each command; the list, the template and the runs lie beside it."""

    def __init__(self, folder: Path, people: int = 20) -> None:
        self.folder = folder
        self.file = folder / "gazette.toml"
        self.settings: dict[str, dict[str, Any]] = {
            "campaign": {"name": "gazette", "from": "Ada's Gazette <news@example.com>"},
            "audience": {"source": "people.csv", "display_name": "name"},
            "compose": {"subject": "News for {{ name }}", "text": "letter.txt"},
            "delivery": {"relay": "mailbox", "connections": 1},
            "ledger": {},
        }
        self.variables: dict[str, str] = {}
        self.through: list[str] = []  #: a program, and its words, that starts the command
        self.from_nothing = False  #: Python and all imports, as at a prompt
        self._begun: list[Running] = []
        self._numbers = count()
        self.write("letter.txt", "Dear {{ name }},\nthe news is good.\n")
        self.people(range(people))

    # -- what the operator prepares

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def people(self, numbers: Iterable[int]) -> None:
        self.write("people.csv", "email,name\n" + "".join(f"p{n}@example.com,Person {n}\n" for n in numbers))

    def set(self, **keys: Any) -> Stand:
        """``set(delivery__rate="5/s")``."""
        for path, value in keys.items():
            section, _, key = path.partition("__")
            self.settings.setdefault(section, {})[key] = value
        return self

    # -- what the operator types

    async def begin(self, *words: object) -> Running:
        self.write("gazette.toml", toml(self.settings))
        place = self.folder / "talk"
        place.mkdir(exist_ok=True)
        number = next(self._numbers)
        out, err = (place / f"{number}.{name}" for name in ("out", "err"))
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = await self._start([str(word) for word in words], to_out, to_err)
        running = Running(process, out, err)
        self._begun.append(running)
        return running

    async def _start(
        self, words: list[str], out: IO[bytes], err: IO[bytes]
    ) -> asyncio.subprocess.Process | ForkedCommand:
        environment = {**clean_environment(), **self.variables}
        if not self.from_nothing and not self.through and importer().suits(environment):
            return importer().fork(words, self.folder, environment, out, err)
        return await asyncio.create_subprocess_exec(
            *self.through, sys.executable, "-m", "campaign", *words,
            cwd=self.folder, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err, env=environment,
        )  # fmt: skip

    async def campaign(self, *words: object) -> Ended:
        return await (await self.begin(*words)).end()

    async def send(self, *options: object) -> Ended:
        return await self.campaign("send", self.file, *options)

    async def sending(self, *options: object) -> Running:
        return await self.begin("send", self.file, *options)

    async def leave(self) -> None:
        """Nothing of ours goes on running."""
        for running in self._begun:
            await running.kill()

    # -- what the operator finds

    @property
    def runs(self) -> list[Path]:
        return sorted((path.parent for path in self.folder.glob("runs/**/plan.jsonl")), key=lambda run: run.name)

    @property
    def run(self) -> Path:
        return self.runs[-1]

    def summary(self, run: Path | None = None) -> Any:
        return json.loads(((run or self.run) / "summary.json").read_text(encoding="utf-8"))

    def verdicts(self, run: Path | None = None) -> dict[str, int]:
        return {name: count for name, count in self.summary(run)["verdicts"].items() if count}

    def kept(self, run: Path | None = None) -> list[bytes]:
        """The letters in the embedded mailbox, in the order of their names."""
        places = [run] if run else self.runs
        return [path.read_bytes() for place in places for path in sorted(place.glob("mailbox/new/*"))]


def toml(sections: dict[str, dict[str, Any]]) -> str:
    lines: list[str] = []
    for name, keys in sections.items():
        lines += [f"[{name}]", *(f"{key} = {_toml_value(value)}" for key, value in keys.items()), ""]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def clean_environment() -> dict[str, str]:
    """Ours, without what would change a campaign; the code is that of the checkout these tests belong to."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CAMPAIGN")}
    return {**ours, "PYTHONPATH": os.fspath(ROOT)}


async def until(condition: Callable[[], object], what: str) -> None:
    """Look again and again, for as long as patience lasts."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        await asyncio.sleep(0.01)


def parsed(letter: bytes) -> EmailMessage:
    return email.message_from_bytes(letter, policy=email.policy.default)  # type: ignore[return-value] # of that policy


def message_id(letter: bytes) -> str:
    return str(parsed(letter)["Message-ID"])


def recipient(letter: bytes) -> str:
    return str(parsed(letter)["To"].addresses[0].addr_spec)
