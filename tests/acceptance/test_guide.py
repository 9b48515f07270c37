"""The guide, followed literally: its files, its commands, and what it says will be seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.servers.shelf import Shelf
from tests.support.stand import Stand

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
INIT = next(line for line in GUIDE.splitlines() if line.startswith("campaign init"))


@pytest.fixture
async def begun(stand: Stand) -> Stand:
    """A folder with the list of part 1, and what `init` writes for it."""
    assert set(FILES) == {"people.csv"}
    stand.write("people.csv", FILES["people.csv"])
    (await stand.campaign(*INIT.split()[1:], "--yes")).ends(0)
    return stand


def hello(begun: Stand) -> str:
    """The campaign file as it was written."""
    return (begun.folder / "hello.toml").read_text(encoding="utf-8")


def without_figures(text: str) -> list[str]:
    """Lines without times, speeds and the run's stamp."""
    text = re.sub(r"\d{8}T\d{6}Z(-\d)?", "RUN", text)
    return [re.sub(r"[\d.]+s( at [\d.]+/s)?$", "TIME", line).rstrip() for line in text.split("\n") if line.strip()]


async def test_part_1_one_letter_to_nobody(begun: Stand) -> None:
    assert f"```toml\n{hello(begun)}```" in GUIDE
    (await begun.campaign("check", "hello.toml")).ends(0)
    assert (await begun.campaign("preview", "hello.toml")).out.strip().endswith("runs/hello/preview/index.html")
    sent = (await begun.campaign("send", "hello.toml")).ends(0)
    shown = GUIDE.partition("```\na rehearsal: ")[2].partition("```")[0]
    assert without_figures(sent.err) == without_figures("a rehearsal: " + shown)
    assert len(begun.kept()) == 2
    (await begun.campaign("send", "hello.toml")).ends(0, "Nobody is left to be served")
    begun.write("people.csv", FILES["people.csv"] + "new@example.com,New,Nice\n")
    (await begun.campaign("send", "hello.toml")).ends(0, "1 recipient planned of 3 rows read")
    assert (begun.folder / "campaign.secret").exists()


async def test_part_2_a_real_relay(begun: Stand, shelf: Shelf) -> None:
    (await begun.campaign("send", "hello.toml", "--quiet")).ends(0)
    begun.write("hello.toml", hello(begun).replace('relay = "mailbox"', f'relay = "{shelf.url}"\nrate = "20/s"'))
    assert (await begun.campaign("check", "hello.toml")).code == 0
    (await begun.campaign("test", "hello.toml", "--to", "you@example.com")).ends(0, "1 of 1 test letters accepted")
    (await begun.campaign("send", "hello.toml")).ends(0, "2 of 2 accepted")
    assert len(shelf.letters) == 3


async def test_part_3_readers_can_unsubscribe_as_the_guide_has_it(begun: Stand) -> None:
    part = GUIDE.partition("## 3. A newsletter")[2]
    [key], [link] = (re.findall(rf"^```{kind}\n(.*?)^```", part, re.MULTILINE | re.DOTALL) for kind in ("toml", "html"))
    begun.write("hello.toml", hello(begun).replace("[compose]\n", key))
    without = (await begun.campaign("check", "hello.toml")).ends(0)
    assert "unsubscribe-hidden" in without.out
    letter = (begun.folder / "hello.html.j2").read_text(encoding="utf-8")
    begun.write("hello.html.j2", letter.replace("</body>", f"{link}</body>"))
    assert "unsubscribe-hidden" not in (await begun.campaign("check", "hello.toml")).ends(0).out


async def test_a_rehearsal_counts_for_nothing(begun: Stand, shelf: Shelf) -> None:
    (await begun.campaign("send", "hello.toml", "--limit", "1")).ends(75, "a rehearsal", "1 of 2 accepted")
    (await begun.campaign("send", "hello.toml", "--relay", shelf.url)).ends(0, "was a rehearsal", "2 of 2 accepted")
    assert len(shelf.letters) == 2
    (await begun.campaign("send", "hello.toml", "--relay", shelf.url)).ends(0, "Nobody is left to be served")
    (await begun.campaign("send", "hello.toml")).ends(0, "continuing run", "2 of 2 accepted")
    assert (len(shelf.letters), len(begun.kept())) == (2, 2)
