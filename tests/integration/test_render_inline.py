"""Letters made a few at a time are the letters made one by one; limits and unsubscribes hold all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.compose.composer import Brief, Composer
from campaign.config import load
from campaign.config.compose import ComposeSection
from campaign.exit_codes import ExitCode
from campaign.model import Identity, Letter, Mailbox, Recipient, Unrenderable
from campaign.pipeline.command_context import Options
from campaign.pipeline.send import send
from campaign.pipeline.serve.render_inline import FEW, MANY, InlineRenderer
from campaign.report.live.console import Console


@pytest.fixture
def composer(tmp_path: Path) -> Composer:
    (tmp_path / "letter.html.j2").write_text("<style>p { color: #333 }</style><p>Dear {{ name }}</p>")
    settings = ComposeSection(subject="Hello {{ name }}", html="letter.html.j2")
    identity = Identity("gazette", "", 1, b"0123456789abcdef")
    return Composer(Brief(identity, Mailbox("", "news@example.com"), None, None, settings, tmp_path, ("name",)))


def people(count: int) -> list[Recipient]:
    return [
        Recipient(n, f"r{n}@example.org", f"r{n}@example.org", "", n + 2, {"name": f"Ada {n}"}) for n in range(count)
    ]


def test_the_letters_are_those_made_one_by_one_in_whatever_order_they_are_asked_for(composer: Composer) -> None:
    stove, rows = InlineRenderer(composer, lambda number: 1_700_000_000 + number), people(100)
    letters = {}
    drawn = stove.recipients(iter(rows))
    for one, following in zip(drawn, drawn, strict=True):
        letters[following.number] = stove.compose(following)
        letters[one.number] = stove.compose(one)
    again = stove.compose(rows[3])
    assert [letters[one.number] for one in rows] == [composer.compose(one, 1.7e9 + one.number) for one in rows]
    assert again == letters[3]


def test_drawing_and_making_run_only_some_recipients_ahead(composer: Composer) -> None:
    taken: list[int] = []
    stove = InlineRenderer(composer, lambda _: 1, clock=lambda: 0.0)
    source = (taken.append(one.number) or one for one in people(1000))
    stove.compose(next(stove.recipients(source)))
    assert len(taken) == MANY.letters
    assert len(stove._done) < MANY.letters


class Slowly:
    """A composer whose letters take ``each`` seconds of the clock ``now``; `renderer` works by it."""

    def __init__(self, composer: Composer, each: float) -> None:
        self.composer, self.each, self.now = composer, each, 0.0
        self.renderer = InlineRenderer(self, lambda _: 1, clock=lambda: self.now)  # type: ignore[arg-type]
        self.recipients = self.renderer.recipients(iter(people(1000)))

    def compose_all(self, wanted: list[tuple[Recipient, float]]) -> list[Letter | Unrenderable]:
        self.now += self.each * len(wanted)
        return self.composer.compose_all(wanted)

    def made_in_a_row(self, pause: float) -> tuple[int, float]:
        """How many letters are made the next time that any are, and in how many seconds, ``pause`` after the last."""
        self.now += pause
        while True:
            began, left = self.now, len(self.renderer._done)
            self.renderer.compose(next(self.recipients))
            if self.now > began:
                return 1 + len(self.renderer._done) - left, self.now - began


def test_many_are_made_in_a_row_only_where_nothing_is_waited_for(composer: Composer) -> None:
    slowly = Slowly(composer, each=0.0001)
    assert slowly.made_in_a_row(pause=1.0)[0] == FEW.letters
    assert slowly.made_in_a_row(pause=1.0)[0] == FEW.letters
    assert slowly.made_in_a_row(pause=0.0)[0] > FEW.letters
    assert slowly.made_in_a_row(pause=1.0)[0] == FEW.letters


def test_a_sender_that_waits_for_relays_renders_for_a_shorter_time(composer: Composer) -> None:
    slowly = Slowly(composer, each=0.001)
    assert slowly.made_in_a_row(pause=1.0)[1] == pytest.approx(FEW.seconds, rel=0.3)
    assert slowly.made_in_a_row(pause=1.0)[1] == pytest.approx(FEW.seconds, rel=0.3)
    assert slowly.made_in_a_row(pause=0.0)[1] == pytest.approx(MANY.seconds, rel=0.3)


def test_a_slow_template_holds_up_the_connections_for_one_letter_only(composer: Composer) -> None:
    times = iter(range(1000))
    stove = InlineRenderer(composer, lambda _: 1, clock=lambda: float(next(times)))
    stove.compose(next(stove.recipients(iter(people(20)))))
    assert not stove._done


def test_a_limit_serves_exactly_so_many(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\n" + "".join(f"r{n}@example.org\n" for n in range(50)))
    file = tmp_path / "notice.toml"
    file.write_text(
        '[campaign]\nname = "notice"\nfrom = "news@example.com"\n[audience]\nsource = "list.csv"\n'
        '[compose]\nsubject = "Notice"\ntext = "body.txt"\n[delivery]\nrelay = "mailbox"\n'
    )
    (tmp_path / "body.txt").write_text("We close at noon.\n")
    sent = [send(load(file, {}), Options(limit=20, quiet=True), Console(quiet=True)) for _ in range(3)]
    assert sent == [ExitCode.UNFINISHED, ExitCode.UNFINISHED, ExitCode.DONE]
    assert len(list(tmp_path.glob("runs/notice/*/mailbox/new/*"))) == 50
