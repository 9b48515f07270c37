"""The likeliest encodings of a text that is not UTF-8, to be shown to the operator and never applied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from campaign.audience.encodings.alphabets import likeliness

#: The commonest first; of several that decode a text identically, the first is named.
ENCODINGS = (
    *("cp1252", "gb18030", "cp1251", "cp932", "cp1250", "big5hkscs", "cp949", "cp1254", "cp1256", "cp1253", "cp1255"),
    *("cp1257", "cp1258", "cp874", "euc_jp", "koi8-r", "koi8-u", "iso8859-2", "iso8859-15", "iso8859-5", "iso8859-7"),
    *("iso8859-8", "iso8859-6", "iso8859-9", "iso8859-4", "iso8859-13", "iso8859-3", "iso8859-10", "iso8859-14"),
    *("iso8859-16", "latin-1", "mac-roman", "mac-cyrillic", "mac-greek", "mac-latin2", "mac-turkish", "mac-iceland"),
    *("cp850", "cp437", "cp852", "cp866", "cp1125", "cp855", "cp857", "cp737", "cp775", "cp862", "cp864", "cp865"),
    *("cp861", "cp860", "cp863", "cp858", "cp869", "cp720", "kz1048", "koi8-t", "ptcp154", "johab", "mac-croatian"),
    *("mac-romanian", "euc_jis_2004", "shift_jis_2004", "utf-16-le", "utf-16-be", "hp-roman8"),
)
#: Encodings that are ASCII with escape sequences, which identify them; they are not ranked.
ESCAPING = ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_3", "iso2022_kr")
_ESCAPE = re.compile(rb"\x1b(?:\$[@AB]|\$\([CDOPQ]|\$\)C|\([BIJ])")
#: Wide encodings without a byte order mark; more than every tenth byte of an address list is then zero.
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
ZEROS = 10
#: The penalty for each place down `ENCODINGS`, divided by the bytes of the sample or by `SHORT` if that is more.
UNCOMMON, SHORT = 0.25, 50
#: Characters of a sample that are scored: enough to decide, and fast.
LOOKED_AT = 4000


def likeliest(sample: bytes, count: int = 3) -> list[str]:
    """At most ``count`` encodings in which ``sample`` makes most sense, each giving a different text."""
    if escape_sequence_at(sample) >= 0:
        return [name for name, _ in _readings(sample, ESCAPING)][:count]
    scored = [
        (UNCOMMON * rank / max(SHORT, len(sample)) - likeliness(text[:LOOKED_AT]), rank, name)
        for rank, (name, text) in enumerate(_readings(sample))
    ]
    return [name for _, _, name in sorted(scored)[:count]]


def escape_sequence_at(data: bytes) -> int:
    """The position in ``data`` of the first escape sequence of ISO-2022, otherwise ASCII; -1 if there is none."""
    found = _ESCAPE.search(data) if b"\x1b" in data else None
    return found.start() if found else -1


def wide(head: bytes) -> str:
    """The encoding of two or four bytes a character in which a file without a mark begins; empty for most files."""
    if head.count(0) * ZEROS <= len(head):
        return ""
    return max(WIDE, key=lambda name: _plain_share(head[: len(head) & ~3], name))


def _plain_share(data: bytes, name: str) -> float:
    """The share of printable ASCII and line ends in ``data`` when it is decoded as ``name``."""
    try:
        text = data.decode(name, "strict" if "32" in name else "replace")
    except UnicodeDecodeError:
        return -1.0
    return sum(" " <= character <= "~" or character in "\t\r\n" for character in text) / max(1, len(text))


def _readings(sample: bytes, names: Iterable[str] = ENCODINGS) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for name in names:
        try:
            text = sample.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
        if text not in seen:
            seen.add(text)
            yield name, text


def telling_lines(lines: Iterable[bytes], limit: int = 16_384) -> bytes:
    """The lines that distinguish encodings, up to ``limit`` bytes: not plain ASCII, or with escape sequences."""
    kept, size = [], 0
    for line in lines:
        if not line.isascii() or b"\x1b" in line or b"\x0e" in line:
            kept.append(line)
            size += len(line)
        if size >= limit:
            break
    return b"".join(kept)
