"""One person as the runs of a ledger directory hold them: every address with the same key, and every planned line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.addresses import BLANKS, Address, address_key, parse_address
from campaign.errors import InputError
from campaign.ledger.run_folder import PLAN
from campaign.pipeline.operate.forget.address_spellings import AddressMask
from campaign.system.formula_guard import unguard


class PlannedLine(NamedTuple):
    """A line of a plan that is about the person."""

    number: int
    key: str
    address: str


class KnownPerson(msgspec.Struct):
    """``addresses`` are all spellings that were planned, and the one that was typed; ``lines`` are by run folder."""

    address: str
    key_of: Callable[[str], str]
    addresses: set[str]
    lines: dict[Path, list[PlannedLine]] = msgspec.field(default_factory=dict)

    @property
    def mask(self) -> AddressMask:
        """Finds and masks all their addresses."""
        return AddressMask({*self.addresses, *map(str.lower, self.addresses)})

    def is_theirs(self, cell: str) -> bool:
        """Whether a cell holds an address of this person and nothing else."""
        if "@" not in cell:
            return False
        found = parse_address(unguard(cell.strip(BLANKS)))
        return isinstance(found, Address) and self.key_of(found.wire) == self.key_of(self.address)


def typed_address(text: str) -> str:
    """The address as envelopes have it. Raises InputError if ``text`` is none."""
    found = parse_address(text)
    if isinstance(found, Address):
        return found.wire
    raise InputError(
        f"{text!r} is no e-mail address.",
        evidence=found.reason,
        next_step="type the bare address, such as ada@example.com",
    )


def find_person(text: str, provider_rules: bool, runs: Sequence[Path]) -> KnownPerson:
    """Look for the person in the plans of ``runs``. Raises InputError, StorageError."""
    address = typed_address(text)

    def key_of(wire: str) -> str:
        return address_key(wire, provider_rules)

    person = KnownPerson(address, key_of, {address})
    for run in runs:
        look_for_lines(run, person)
    return person


def look_for_lines(run: Path, person: KnownPerson) -> bool:
    """Add to ``person`` the lines about them in a run's plan; whether there are any. Raises StorageError."""
    lines = list(_lines(Plan.open(run / PLAN), person)) if (run / PLAN).exists() else []
    if lines:
        person.lines[run] = lines
        person.addresses.update(line.address for line in lines)
    return bool(lines)


def _lines(plan: Plan, person: KnownPerson) -> Iterator[PlannedLine]:
    wanted = person.key_of(person.address)
    for number, (key, address) in enumerate(plan.keys_and_addresses()):
        if address and (person.key_of(address) == wanted or ("@" in key and person.key_of(key) == wanted)):
            yield PlannedLine(number, key, address)
