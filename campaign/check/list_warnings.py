"""Warnings about what is probably unintended in a list, for `check` to show; nothing is changed or refused here.

Domains that look like a typing error of a much commoner one in the same list or of a large provider, and text that was
decoded twice (``ZoÃ«``).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import msgspec

from campaign.model import Recipient

#: A domain this many times commoner than its neighbour makes the neighbour look like a typing error.
RATIO = 3
#: Misspellings are looked for of so many of the commonest domains; shorter names have too many real neighbours.
COMMON, SHORTEST = 50, 8
#: The largest providers of private mailboxes, spelled correctly: few lists lack a typing error of one. Without those at
#: a country's domain that have a sister one character away, such as hotmail.de and hotmail.se.
PROVIDERS = frozenset(
    """gmail.com googlemail.com hotmail.com hotmail.co.uk outlook.com yahoo.com yahoo.co.uk icloud.com protonmail.com
    t-online.de freenet.de orange.fr laposte.net libero.it comcast.net""".split()  # noqa: SIM905
)
#: Rows at a seemingly mistyped domain above which so many people would hardly have made the same error.
SAME_ERROR = 10
#: Real domains one character from a very common one.
_REAL = frozenset(
    {"mail.com", "email.com", "ymail.com", "gmail.co", "hotmail.co", "yahoo.co", "yahoo.ca", "yahoo.cn", "live.ca"}
)

_CONTINUATION = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_TWICE = re.compile(f"[\xc2-\xdf][{_CONTINUATION}]|[\xe0-\xef][{_CONTINUATION}]{{2}}|[\xf0-\xf4][{_CONTINUATION}]{{3}}")
EXAMPLES = 5  #: kept of each kind


class Survey(msgspec.Struct):
    """The result of a walk over a list. ``twice`` holds (line, column, text, what was meant)."""

    domains: Counter[str] = msgspec.field(default_factory=Counter)
    international: int = 0
    twice_count: int = 0
    twice: list[tuple[int, str, str, str]] = msgspec.field(default_factory=list)

    def add(self, recipient: Recipient) -> None:
        """Add one recipient."""
        self.domains[recipient.address.rpartition("@")[2]] += 1
        self.international += not recipient.address.isascii()
        for column, value in recipient.row.items():
            meant = meant_text(value) if isinstance(value, str) and not value.isascii() else ""
            if meant and isinstance(value, str):
                self.twice_count += 1
                if len(self.twice) < EXAMPLES:
                    self.twice.append((recipient.line, column, value, meant))

    def warnings(self, source: str) -> list[str]:
        """Sentences for the owner of the list; ``source`` names it."""
        told = [
            f"{source}:{line}: {column} {text!r} looks decoded twice; it was probably {meant!r}"
            for line, column, text, meant in self.twice
        ]
        if self.twice_count > len(told):
            told.append(f"{source}: {self.twice_count - len(told):,} more values look decoded twice")
        told += [
            f"{source}: {count:,} at {typo}, perhaps {meant}"
            for typo, meant in islice(typo_hints(self.domains).items(), EXAMPLES)
            if (count := self.domains[typo])
        ]
        if self.international:
            told.append(f"{source}: {self.international:,} addresses need a relay that offers SMTPUTF8")
        return told


def survey(recipients: Iterable[Recipient]) -> Survey:
    """One walk over the recipients of a plan."""
    found = Survey()
    for recipient in recipients:
        found.add(recipient)
    return found


def typo_hints(domains: Mapping[str, int]) -> dict[str, str]:
    """Likely typing errors among ``domains`` (name -> how often), each with the domain it is one character from.

    That domain is common in the same list, or a large provider, whether or not the list has addresses there.
    """
    common = sorted(domains, key=lambda name: (-domains[name], name))[:COMMON]
    hints: dict[str, str] = {}
    for meant in common:
        if len(meant) < SHORTEST or domains[meant] < RATIO:
            continue
        for typo in _one_letter_off(meant):
            if typo in domains and domains[typo] * RATIO <= domains[meant] and typo not in _REAL:
                hints.setdefault(typo, meant)
    for meant in sorted(PROVIDERS):
        for typo in _one_letter_off(meant):
            if 0 < domains.get(typo, 0) <= SAME_ERROR and typo not in _REAL and typo not in PROVIDERS:
                hints.setdefault(typo, meant)
    return dict(sorted(hints.items(), key=lambda pair: -domains[pair[0]]))


def meant_text(text: str) -> str:
    """``"ZoÃ«"`` -> ``"Zoë"``; empty if the text does not look like UTF-8 that was read as cp1252."""
    if not _TWICE.search(text):
        return ""
    meant = _TWICE.sub(_once, text)
    return meant if meant != text else ""


def _one_letter_off(name: str) -> Iterator[str]:
    """Every text one insertion, deletion, change or swap of neighbours away."""
    letters = string.ascii_lowercase + string.digits + ".-"
    for at in range(len(name) + 1):
        head, tail = name[:at], name[at:]
        yield from (head + letter + tail for letter in letters)
        if tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in letters if letter != tail[0])
        if len(tail) > 1 and tail[0] != tail[1]:
            yield head + tail[1] + tail[0] + tail[2:]


def _once(match: re.Match[str]) -> str:
    octets = b"".join(_octet(character) for character in match[0])
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return match[0]


def _octet(character: str) -> bytes:
    return character.encode("latin-1") if character <= "\xff" else character.encode("cp1252")
