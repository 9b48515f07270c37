"""From a list alone to a rehearsal, by the commands that `campaign init` prints; and its questions on a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import sys

from tests.support.stand import Stand, clean_environment

LIST = "E-Mail;Vorname\nada@example.com;Ada\nzoe@example.org;Zoë\n"


async def test_the_printed_commands_lead_from_a_list_to_a_rehearsal(stand: Stand) -> None:
    stand.write("people.csv", LIST.encode("latin-1"))
    begun = (await stand.campaign("init", "--yes", "--name", "first")).ends(0, "read as cp1252", "wrote first.toml")
    commands = [line.partition("  # ")[0].rpartition("campaign ")[2].split() for line in begun.out.splitlines()]
    assert [words[0] for words in commands] == ["check", "preview", "send"]
    for words in commands:
        (await stand.campaign(*words)).ends(0)
    assert len(stand.kept()) == 2
    (await stand.campaign("init", "--yes", "--name", "first")).tells(78, "first.toml is already there", step="--name")


async def test_a_terminal_is_asked(stand: Stand) -> None:
    stand.write("people.csv", LIST)
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "campaign", "init", "--list", "people.csv", "--template", "notice"),
        cwd=stand.folder, env=clean_environment(), stdin=theirs, stdout=asyncio.subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, b"1\nnews\nAda <ada@example.com>\nmailbox\n")
    out, _ = await process.communicate()
    os.close(ours)
    assert process.returncode == 0
    assert b"send news.toml" in out
    assert 'from = "Ada <ada@example.com>"' in (stand.folder / "news.toml").read_text(encoding="utf-8")
