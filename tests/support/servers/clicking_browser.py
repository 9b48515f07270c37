"""A browser that is told through a pipe what to open and what to click, and says what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.servers.browser import OPTIONS, needed

PATIENCE = 30.0


class ClickingBrowser:
    def __init__(self, reader: asyncio.StreamReader, send: Callable[[bytes], Any]) -> None:
        self._reader, self._send = reader, send
        self._numbers, self._session = count(1), ""

    async def open(self, url: str) -> None:
        target = (await self._ask("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self._ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        await self._ask("Page.navigate", url=url)

    async def click(self, selector: str) -> None:
        """Click the middle of the first such element, with the mouse."""
        where = f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
        place = await self.value(where + " return [r.x + r.width / 2, r.y + r.height / 2] })()")
        for kind in ("mousePressed", "mouseReleased"):
            await self._ask("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    async def shows(self, text: str) -> None:
        """Wait until the page shows ``text``."""
        async with asyncio.timeout(PATIENCE):
            while text not in (await self.value("document.body ? document.body.innerText : ''") or ""):  # noqa: ASYNC110 - the page tells no event
                await asyncio.sleep(0.05)

    async def value(self, expression: str) -> Any:
        found = await self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return found.get("result", {}).get("value")

    async def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._send(json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                if answer.get("id") == number:
                    return dict(answer.get("result", {}))


@asynccontextmanager
async def clicking_browser() -> AsyncIterator[ClickingBrowser]:
    """A browser that takes any certificate."""
    program = needed()
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    high = [fcntl.fcntl(one, fcntl.F_DUPFD, 20) for one in (theirs_in, theirs_out)]

    def at_three_and_four() -> None:
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program, *OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "--ignore-certificate-errors",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(3, 4), preexec_fn=at_three_and_four, cwd=Path(profile),
        )  # fmt: skip
        for one in (theirs_in, theirs_out, *high):
            os.close(one)
        reader = asyncio.StreamReader(limit=1 << 24)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb")
        )
        try:
            yield ClickingBrowser(reader, lambda data: os.write(ours_out, data))
        finally:
            transport.close()
            os.close(ours_out)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
