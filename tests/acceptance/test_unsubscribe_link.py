"""A click on the unsubscribe link, recorded on a web server without the secret, leaves the reader out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.support.servers.shelf import Shelf
from tests.support.stand import ROOT, Stand

MANUAL = (ROOT / "docs" / "unsubscribe.md").read_text(encoding="utf-8")


def shown(name: str) -> str:
    """The code that the manual shows under this name."""
    return MANUAL.partition(f"<!-- {name} -->\n```python\n")[2].partition("```")[0]


def endpoint(events: Path) -> Any:
    names: dict[str, Any] = {"EVENTS": events, "PAGE": b"a page with a button"}
    exec(compile(shown("recording endpoint"), "manual", "exec"), names)
    return names["recording_endpoint"]


def ask(application: Any, method: str, token: str) -> str:
    said: list[str] = []
    application({"REQUEST_METHOD": method, "PATH_INFO": f"/u/{token}"}, lambda status, _: said.append(status))
    return said[0]


async def test_who_clicked_is_left_out_of_the_next_edition_and_who_only_looked_is_not(
    stand: Stand, shelf: Shelf
) -> None:
    clicks = stand.folder / "clicks.jsonl"
    stand.set(
        campaign__edition="one",
        compose__unsubscribe="https://example.com/u/{{ unsubscribe_token }}",
        feedback__source=[{"url": "events:clicks.jsonl"}],
    )
    (await stand.send()).ends(0)
    tokens = {
        recipient: found[1].decode()
        for _, recipient, content in shelf.letters
        if (found := re.search(rb"List-Unsubscribe:\s+<https://example.com/u/([\w-]+)>", content))
    }
    recording = endpoint(clicks)
    assert ask(recording, "GET", tokens["p2@example.com"]) == "200 OK"
    assert not clicks.exists()
    for token in (tokens["p1@example.com"], tokens["p1@example.com"], "A" * 60):
        assert ask(recording, "POST", token) == "200 OK"
    assert ask(recording, "POST", 'x"}') == "404 Not Found"
    (await stand.campaign("collect", stand.file)).ends(0, "1 new event", "1 known before")
    shelf.letters.clear()
    (await stand.set(campaign__edition="two").send()).ends(0)
    assert sorted(shelf.recipients) == sorted(f"p{n}@example.com" for n in range(20) if n != 1)
