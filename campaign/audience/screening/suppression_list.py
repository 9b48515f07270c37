"""Suppression lists: addresses, whole domains and hashes of addresses that get no letter, whatever the source says.

Lists are kept as digests, 16 bytes an entry. An address is looked up by the key that also finds duplicates, so a
difference in case, in an IDN domain's spelling or (with provider rules) in dots cannot evade a list. Every line of a
text list is parsed separately, so a stray quote cannot swallow the lines after it.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Self

import msgspec

from campaign.audience.encodings.text_decoding import blocks, choose_codec, explain
from campaign.audience.screening.addresses import BLANKS, Address, address_key, domain_key, parse_address
from campaign.audience.screening.key_set import WIDTH, KeySet, digest
from campaign.audience.sources.csv_parser import Dialect, numbered_lines
from campaign.audience.sources.csv_source import PREFIX, find_dialect
from campaign.audience.sources.row_chunks import Source
from campaign.audience.sources.source_factory import FRAMES, JSON, JSON_LINES, WORKBOOKS, names_database, open_rows
from campaign.audience.sources.source_file import bare_suffix, locate, open_source_file
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError

#: Header names of a list's column of entries, besides the audience's own address column.
HEADINGS = (
    "email",
    "e-mail",
    "address",
    "email address",
    "e-mail address",
    "mail",
    "recipient",
    "hash",
    "sha256",
    "md5",
)
#: Number of unreadable lines that are listed.
TOLD = 20
BATCH = 10_000

_HASH = re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{32}")
_BARE_DOMAIN = re.compile(r"[^\s@<>,;]+\.[^\s@<>,;]+")
_INNER = re.compile(r"<([^<>]+)>")


class _List(msgspec.Struct):
    """One list: its name, its entries by kind, and their reasons if they differ from the name."""

    name: str
    keys: KeySet = msgspec.field(default_factory=KeySet)
    sha256: KeySet = msgspec.field(default_factory=KeySet)
    md5: KeySet = msgspec.field(default_factory=KeySet)
    domains: set[str] = msgspec.field(default_factory=set)
    why: str = ""

    def __len__(self) -> int:
        return len(self.keys) + len(self.sha256) + len(self.md5) + len(self.domains)

    def covers(self, wires: Sequence[str], digests: Sequence[bytes]) -> list[bool]:
        """For each address, with the digest of its key, whether this list contains it."""
        found = self.keys.contains(digests)
        if self.domains:
            found = [hit or wire.rpartition("@")[2] in self.domains for hit, wire in zip(found, wires, strict=True)]
        for known, algorithm in ((self.sha256, "sha256"), (self.md5, "md5")):
            if len(known):
                found = [hit or _hashed(wire, algorithm, known) for hit, wire in zip(found, wires, strict=True)]
        return found


class Suppression:
    """All lists of a campaign. ``unreadable`` counts lines that are not entries; ``complaints`` names the first."""

    def __init__(self, provider_rules: bool = False) -> None:
        self.provider_rules = provider_rules
        self.unreadable = 0
        self.complaints: list[str] = []
        self._lists: list[_List] = []
        self._told: dict[bytes, str] = {}
        self._by_reason: dict[str, _List] = {}

    @classmethod
    def load(cls, settings: AudienceSection, base: Path, told: Iterable[tuple[str, str]] = ()) -> Self:
        """Read every list again.

        ``told`` are entries that are in no list, each with a reason: an address in wire form, ``@domain`` or a hash.
        Raises InputError if a list cannot be read or has no entry at all, ConfigError if it is unclear
        which of its columns holds the entries.
        """
        found = cls(settings.provider_rules)
        for text in settings.suppress:
            found._take(text, _entries(text, settings, base))
        for text, why in told:
            found._tell(text, why)
        return found

    def __len__(self) -> int:
        return len(self._told) + sum(map(len, self._lists))

    def covers(self, address: str) -> str:
        """The reason why ``address`` gets no letter, such as the list that contains it; empty if there is none."""
        if not self:
            return ""
        known = parse_address(address)
        wire = known.wire if isinstance(known, Address) else address
        return self.reasons([wire], [digest(address_key(wire, self.provider_rules))])[0]

    def reasons(self, wires: Sequence[str], digests: Sequence[bytes]) -> list[str]:
        """`covers` for many addresses in wire form, each with the digest of its key."""
        reasons = [""] * len(wires)
        for one in self._lists:
            for at, hit in enumerate(one.covers(wires, digests)):
                if hit and not reasons[at]:
                    reasons[at] = one.why or f"listed in {one.name}"
        if self._told:
            reasons = [why or self._told.get(one, "") for why, one in zip(reasons, digests, strict=True)]
        return reasons

    def _tell(self, text: str, why: str) -> None:
        if text.find("@") > 0:
            self._told[digest(address_key(text, self.provider_rules))] = why
        else:
            if why not in self._by_reason:
                self._by_reason[why] = _List(why, why=why)
                self._lists.append(self._by_reason[why])
            self._add(self._by_reason[why], [(1, text)])

    def _take(self, name: str, entries: Iterator[tuple[int, str]]) -> None:
        one, before = _List(name.partition("?")[0]), self.unreadable
        while batch := list(islice(entries, BATCH)):
            self._add(one, batch)
        if not len(one) and self.unreadable > before:
            raise InputError(
                f"The suppression list {one.name} holds no address, @domain or hash.",
                evidence=self.complaints[-3:],
                next_step="check that it is the right file; sending without it would write to those who left",
            )
        self._lists.append(one)

    def _add(self, one: _List, batch: Sequence[tuple[int, str]]) -> None:
        keys: list[bytes] = []
        hashes: dict[int, list[bytes]] = {32: [], 64: []}
        for line, text in batch:
            kind, value = read_entry(text)
            if kind == "address":
                keys.append(digest(address_key(value, self.provider_rules)))
            elif kind == "hash":
                hashes[len(value)].append(bytes.fromhex(value)[:WIDTH])
            elif kind == "domain":
                one.domains.add(value)
            else:
                self._complain(f"{one.name}:{line}: {text[:80]!r}")
        for known, digests in ((one.keys, keys), (one.md5, hashes[32]), (one.sha256, hashes[64])):
            if digests:
                known.add(digests)

    def _complain(self, what: str) -> None:
        self.unreadable += 1
        if len(self.complaints) < TOLD:
            self.complaints.append(what)


def read_entry(text: str) -> tuple[str, str]:
    """(kind, value) of one entry; kind is ``address``, ``domain``, ``hash`` or empty.

    ``Ada <ada@example.com>`` counts as the address in it: unlike in a source, accepting too much is safe here.
    """
    text = text.strip(BLANKS)
    if text.startswith(("@", "*@")):
        domain = domain_key(text.lstrip("*").lstrip("@"))
        return ("domain", domain) if domain else ("", "")
    if _HASH.fullmatch(text):
        return "hash", text
    inner = _INNER.search(text)
    found = parse_address(inner[1] if inner else text)
    if isinstance(found, Address):
        return "address", found.wire
    domain = domain_key(text) if _BARE_DOMAIN.fullmatch(text) else None
    return ("domain", domain) if domain else ("", "")


def address_hash(wire: str) -> str:
    """The SHA-256 of an address in lower case, in hex: an entry that covers the address without naming it."""
    return hashlib.sha256(wire.lower().encode()).hexdigest()


def _hashed(wire: str, algorithm: str, known: KeySet) -> bool:
    """Whether a list contains a hash of the lower-cased address; IDN domains in either spelling."""
    spellings = {wire.lower(), _readable(wire.lower())}
    digests = [hashlib.new(algorithm, text.encode(), usedforsecurity=False).digest()[:WIDTH] for text in spellings]
    return any(known.contains(digests))


def _readable(wire: str) -> str:
    local, _, domain = wire.rpartition("@")
    if "xn--" not in domain:
        return wire
    import idna

    return f"{local}@{idna.decode(domain)}"


def _entries(text: str, settings: AudienceSection, base: Path) -> Iterator[tuple[int, str]]:
    if names_database(text):
        query = {"source": text, "query": settings.suppress_query, "parameters": {}, "format": ""}
        return _typed_entries(open_rows(settings.model_copy(update=query), base, "audience.suppress"), settings)
    path = locate(text, base, "audience.suppress")
    if bare_suffix(path) in WORKBOOKS | FRAMES | JSON_LINES | JSON:
        compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix, "")
        plain = {"source": text, "format": "", "sheet": "", "header_row": 0, "compression": compression}
        return _typed_entries(open_rows(settings.model_copy(update=plain), base, "audience.suppress"), settings)
    return _text_entries(path, settings)


def _typed_entries(source: Source, settings: AudienceSection) -> Iterator[tuple[int, str]]:
    at = _heading(source.columns, settings, source.name)
    for chunk in source.chunks():
        for line, row in zip(chunk.lines, chunk.rows, strict=True):
            if row[at] not in (None, ""):
                yield line, str(row[at])


def _text_entries(path: Path, settings: AudienceSection) -> Iterator[tuple[int, str]]:
    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix, "")
    with open_source_file(path, compression) as stream:
        head = stream.read(PREFIX)
    codec = choose_codec(head, settings.encoding, path)
    dialect = find_dialect(head.decode(codec, "replace"), settings.model_copy(update={"delimiter": ""}), path.suffix)
    with open_source_file(path, compression) as stream:
        try:
            yield from _column(_cells(numbered_lines(blocks(stream, codec), path.name), dialect), settings, path.name)
        except UnicodeDecodeError:
            raise explain(path, compression, codec) from None


def _cells(numbered: Iterable[tuple[int, list[str], bool]], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Each line's cells, split independently of other lines; blank lines and # comments are skipped."""
    for first, lines, _ in numbered:
        for line, text in enumerate(lines, first):
            if text.strip(BLANKS) and not text.startswith("#"):
                yield line, next(csv.reader([text], delimiter=dialect.delimiter), [])


def _column(rows: Iterator[tuple[int, list[str]]], settings: AudienceSection, name: str) -> Iterator[tuple[int, str]]:
    line, cells = next(rows, (0, []))
    at = next((at for at, cell in enumerate(cells) if _is_entry(cell)), None)
    if at is not None:
        yield line, cells[at]
    elif cells:
        at = _heading(cells, settings, name)
    for line, cells in rows:
        yield line, cells[at or 0] if len(cells) > (at or 0) else ""


def _is_entry(cell: str) -> bool:
    return ("." in cell and "@" in cell and read_entry(cell)[0] != "") or bool(_HASH.fullmatch(cell.strip(BLANKS)))


def _heading(cells: Sequence[str], settings: AudienceSection, name: str) -> int:
    """The column that holds the entries, by its heading."""
    folded = [cell.strip(BLANKS).casefold() for cell in cells]
    for wanted in (settings.address.casefold(), *HEADINGS):
        if wanted in folded:
            return folded.index(wanted)
    if len(cells) == 1:
        return 0
    raise ConfigError(
        f"It is unclear which column of the suppression list {name} holds the addresses.",
        evidence=f"its columns: {', '.join(cells)[:300]}",
        next_step=f"name one of them {settings.address!r}",
    )
