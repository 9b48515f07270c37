"""Selection of the letters to look at before a campaign goes out: requested rows, or the most informative ones.

Informative are the longest and the shortest name, which stretch a letter, and one row of each shape. A row has the same
number everywhere, its line in the source. A row that cannot be rendered is skipped and reported, unless it was
requested. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from heapq import nlargest, nsmallest
from itertools import islice

import msgspec
from msgspec.structs import replace

from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.addresses import Refusal, parse_address
from campaign.compose.composer import Composer
from campaign.errors import ConfigError
from campaign.model import Recipient, Unrenderable
from campaign.pipeline.preview_rows.shape_labels import UNKNOWN, Shapes, shape_label
from campaign.report.formatting import people_address

#: Letters shown at most, and at least if there are as many; rows rendered at most to find the shapes.
MOST, FEWEST, RENDERED = 12, 6, 2_000
#: Rows tried for each pick, in case the first ones cannot be rendered.
TRIED = 20


class Pick(msgspec.Struct, frozen=True):
    """A recipient, why it is shown, and how its letter differs from others."""

    label: str
    recipient: Recipient
    differs: str = ""


def asked_for(plan: Plan, rows: Sequence[int | str], to: str) -> list[Pick]:
    """The letters of these rows, or of this address. Raises ConfigError if there is none."""
    if rows:
        wanted = dict.fromkeys(rows)
        found: dict[int | str, list[Recipient]] = {}
        for one in plan.recipients():
            for row in (one.line, str(one.line)):  # of a list in several files that is FILE:LINE
                if row in wanted:
                    found.setdefault(row, []).append(one)
        chosen = [one for row in wanted for one in found.get(row) or [_nobody(plan, row)]]
        return [Pick(f"row {one.line}", one, one.name or people_address(one.address)) for one in chosen]
    address = parse_address(to)
    wire = to.strip() if isinstance(address, Refusal) else address.wire
    found_to = [one for one in plan.recipients() if one.address.casefold() == wire.casefold()]
    if not found_to:
        raise ConfigError(f"{to} is not in the plan.", next_step="it may be screened out; campaign check says why")
    return [Pick(to, found_to[0])]


def _nobody(plan: Plan, row: int | str) -> Recipient:
    raise ConfigError(
        f"Row {row} gets no letter.",
        evidence=f"rows are lines of {plan.source}, as campaign check names them; the first that gets a letter is "
        f"{plan.recipient(0).line}, the last {plan.recipient(plan.size - 1).line}",
        next_step="it may be set aside; campaign check says why",
    )


def telling_rows(plan: Plan, composer: Composer, say: Callable[[str], None]) -> list[Pick]:
    """The most informative letters, `MOST` at most; ``say`` gets messages about what is not shown."""
    look = Look(composer)
    picks: dict[int, Pick] = {}

    def add(label: str, candidates: Iterable[Recipient]) -> None:
        for one in islice(candidates, TRIED):
            if look.shape(one) is not None:
                picks.setdefault(one.number, Pick(label, one))
                return

    add("first", plan.recipients())
    add("longest name", nlargest(TRIED, plan.recipients(), key=_name_length))
    add("shortest name", nsmallest(TRIED, plan.recipients(), key=_name_length))
    step = -(-plan.size // RENDERED)
    shapes = look.by_shape(plan.recipients(lambda number: number % step == 0))
    seen = {look.shape(pick.recipient) for pick in picks.values()}
    others = [shape for shape in shapes if shape not in seen]
    space = MOST - len(picks)
    for shape in others[:space]:
        one = shapes[shape][0]
        picks[one.number] = Pick(shape_label(shape, shapes, composer.deciding), one)
    for number in range(0, plan.size, max(plan.size // FEWEST, 1)):
        if len(picks) < FEWEST:
            add("another", [plan.recipient(number)])
    _tell_the_rest(look, len(others) - space, say)
    return [_told_apart(pick, look, shapes, composer) for pick in picks.values()] or [Pick("first", plan.recipient(0))]


def _told_apart(pick: Pick, look: Look, shapes: Shapes, composer: Composer) -> Pick:
    """``pick`` with its letter's form in words, unless its label already says it."""
    shape = look.shape(pick.recipient)
    words = shape_label(shape, shapes, composer.deciding) if shape in shapes else ""
    return replace(pick, differs="" if words in (pick.label, UNKNOWN) else words)


def _tell_the_rest(look: Look, hidden: int, say: Callable[[str], None]) -> None:
    if hidden > 0:
        more = "form of the letter is" if hidden == 1 else "forms of the letter are"
        say(f"{hidden:,} more {more} not shown; --row N shows any row")
    for line, reason in list(look.refused.items())[:3]:
        say(f"row {line} cannot be made into a letter: {reason}")
    if len(look.refused) > 3:
        say(f"and {len(look.refused) - 3:,} more rows; campaign check lists them")


def _name_length(recipient: Recipient) -> tuple[int, int]:
    """Sort key: the length of the display name, then of everything in the row."""
    return len(recipient.name), sum(len(str(value)) for value in recipient.row.values())


class Look:
    """Renders rows to learn their shapes, each row once."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._known: dict[int, Hashable] = {}
        self.refused: dict[int, str] = {}

    def shape(self, recipient: Recipient) -> Hashable:
        """What the templates print besides values; None for a row that cannot be rendered."""
        if recipient.number not in self._known:
            letter, printed = self._composer.compose_showing(recipient, 0.0)
            if isinstance(letter, Unrenderable):
                self.refused[recipient.line] = letter.reason
                self._known[recipient.number] = None
            else:
                self._known[recipient.number] = tuple(tuple(statics) for statics, _ in printed)
        return self._known[recipient.number]

    def by_shape(self, recipients: Iterable[Recipient]) -> dict[Hashable, list[Recipient]]:
        """The recipients of each shape, the commonest shape first."""
        found: dict[Hashable, list[Recipient]] = {}
        for one in recipients:
            shape = self.shape(one)
            if shape is not None:
                found.setdefault(shape, []).append(one)
        return dict(sorted(found.items(), key=lambda one: -len(one[1])))
