"""Rendering in other processes gives the same letters, and the processes never outlive their parent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from campaign.compose.composer import Brief, Composer
from campaign.config.compose import ComposeSection
from campaign.errors import InternalError
from campaign.model import Identity, Letter, Mailbox, Recipient, Unrenderable
from campaign.pipeline.serve.render_pool import RenderPool, Waiter, workers_for

HTML = "<style>p { color: #333 }</style><p>Dear {{ name }}</p>{% for n in range(number) %}<p>{{ n }}</p>{% endfor %}"


@pytest.fixture
def brief(tmp_path: Path) -> Brief:
    (tmp_path / "letter.html.j2").write_text(HTML)
    settings = ComposeSection(subject="Hello {{ name }}", html="letter.html.j2", row_timeout=5.0)
    identity = Identity("gazette", "", 1, b"0123456789abcdef")
    return Brief(identity, Mailbox("", "news@example.com"), None, None, settings, tmp_path, ("name", "number"))


def people(count: int) -> list[Recipient]:
    return [
        Recipient(n, f"r{n}@example.org", f"r{n}@example.org", "", n + 2, {"name": f"Ada {n}", "number": n % 5})
        for n in range(count)
    ]


async def test_the_letters_are_the_same_bytes_in_the_same_order(brief: Brief) -> None:
    rows = people(150)
    rows[70] = Recipient(70, "r70@example.org", "k", "two\nlines", 72, {"name": "x", "number": 1})
    alone = Composer(brief)
    with RenderPool(brief, "shape", 2, lambda _: 1_700_000_000) as kitchen:
        drawn, letters = [], []
        for one in kitchen.recipients(iter(rows)):
            drawn.append(one)
            letters.append(await kitchen.compose(one))
        again = await kitchen.compose(rows[3])
    assert drawn == rows
    assert letters == [alone.compose(one, 1_700_000_000.0) for one in rows]
    assert isinstance(letters[70], Unrenderable)
    assert isinstance(again, Letter)
    assert again == letters[3]


async def test_drawing_runs_only_a_bounded_number_of_recipients_ahead(brief: Brief) -> None:
    taken = 0

    def source():
        nonlocal taken
        for one in people(2000):
            taken += 1
            yield one

    with RenderPool(brief, "shape", 1, lambda _: 1) as kitchen:
        await kitchen.compose(next(kitchen.recipients(source())))
    assert taken <= 4 * 32


async def test_a_worker_that_dies_is_replaced(brief: Brief) -> None:
    rows = people(3)
    with RenderPool(brief, "shape", 1, lambda _: 1) as kitchen:
        drawing = kitchen.recipients(iter([]))
        assert list(drawing) == []
        await kitchen.compose(rows[0])
        kitchen._waiters[0]._process.kill()
        assert isinstance(await kitchen.compose(rows[1]), Letter)


def test_workers_die_with_a_killed_parent(brief: Brief, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import pickle, sys, time\n"
        "from campaign.pipeline.serve.render_pool import Kitchen\n"
        "if __name__ == '__main__':\n"
        "    brief = pickle.loads(sys.stdin.buffer.read())\n"
        "    with Kitchen(brief, 'shape', 2, lambda _: 1) as kitchen:\n"
        "        print(*[waiter._process.pid for waiter in kitchen._waiters], flush=True)\n"
        "        time.sleep(60)\n"
    )
    import pickle

    parent = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(pickle.dumps(brief))
    parent.stdin.close()
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        os.sched_yield()
    assert not [pid for pid in workers if alive(pid)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("asked", "cores", "workers"), [(1, 4, 0), (2, 4, 2), ("auto", 1, 0), ("auto", 2, 1), ("auto", 4, 3)]
)
def test_auto_leaves_a_core_to_the_sender(
    monkeypatch: pytest.MonkeyPatch, asked: str | int, cores: int, workers: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert workers_for(asked) == workers


async def test_a_worker_that_cannot_be_replaced_is_told_and_not_waited_for(
    brief: Brief, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Waiter) -> None:
        raise OSError("no process left")

    with RenderPool(brief, "shape", 1, lambda _: 1_700_000_000) as kitchen:
        monkeypatch.setattr(Waiter, "_open", fails)
        kitchen._waiters[0]._process.kill()
        kitchen._waiters[0]._process.join()
        first = next(kitchen.recipients(iter(people(3))))
        with pytest.raises(InternalError, match="no process left"):
            await asyncio.wait_for(kitchen.compose(first), 5)
