"""The ordinary readers of the gazette: names, places and addresses in the scripts of `people.toml`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from generator.chance import Chance
from generator.notes import NOTES

COLUMNS = (
    "email", "name", "city", "country", "language", "plan", "member_since", "member_id", "articles_read", "note",
)  # fmt: skip
PLANS = ["free"] * 11 + ["friend"] * 5 + ["patron"] * 2
_LATIN = str.maketrans(
    {
        "ß": "ss",
        "ø": "oe",
        "æ": "ae",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ł": "l",
        "ı": "i",
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
    }
)


class Readers:
    """An endless supply of readers, no two with the same address and none with one of ``taken``."""

    def __init__(self, chance: Chance, taken: Iterable[str]) -> None:
        self._chance = chance
        with (Path(__file__).parent / "people.toml").open("rb") as file:
            self._peoples: dict[str, dict[str, Any]] = tomllib.load(file)
        self._bag = [code for code, people in self._peoples.items() for _ in range(people["weight"])]
        self._taken = {address.lower() for address in taken}
        self._member = 100

    def __iter__(self) -> Iterator[list[str]]:
        while True:
            yield self._reader(self._chance.pick(self._bag))

    def _reader(self, code: str) -> list[str]:
        people, chance = self._peoples[code], self._chance
        given, _, given_latin = chance.pick(people["given"]).partition("|")
        family, _, family_latin = chance.pick(people["family"]).partition("|")
        names = [family, given] if people.get("order") == "family-first" else [given, family]
        city, _, country = chance.pick(people["places"]).rpartition(" ")
        language = people.get("language", code)
        self._member += 1 + chance.below(9)
        since = f"{2011 + chance.below(16)}-{1 + chance.below(10):02d}-{1 + chance.below(28):02d}"
        return [
            self._address(given_latin or latin(given), family_latin or latin(family), people["domains"]),
            people.get("joint", " ").join(names),
            city,
            country,
            language,
            chance.pick(PLANS),
            since,
            f"{self._member:05d}",
            str(chance.below(140)),
            chance.pick(NOTES.get(language) or NOTES["en"]) if chance.happens(0.3) else "",
        ]

    def _address(self, given: str, family: str, domains: list[str]) -> str:
        forms = [f"{given}.{family}", f"{given[0]}.{family}", f"{family}.{given}", f"{given}{family}"]
        local, domain = self._chance.pick(forms), self._chance.pick(domains)
        while f"{local}@{domain}" in self._taken:
            local = f"{local}{2 + self._chance.below(97)}"
        self._taken.add(f"{local}@{domain}")
        return f"{local}@{domain}"


def latin(name: str) -> str:
    """``"Jürgen"`` -> ``"juergen"``: what an address can be made of; everything else is dropped."""
    folded = unicodedata.normalize("NFKD", name.lower().translate(_LATIN))
    return re.sub("[^a-z]+", "-", folded.encode("ascii", "ignore").decode()).strip("-")
