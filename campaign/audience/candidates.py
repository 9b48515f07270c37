"""Which encodings a text that is not UTF-8 is likeliest in, to be shown to a person and never acted on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from campaign.audience.alphabets import likeliness

#: In the order of how often they are met; of those that read a text alike, the first is named.
ENCODINGS = (
    *("cp1252", "gb18030", "cp1251", "cp932", "cp1250", "big5hkscs", "cp949", "cp1254", "cp1256", "cp1253", "cp1255"),
    *("cp1257", "cp1258", "cp874", "euc_jp", "koi8-r", "koi8-u", "iso8859-2", "iso8859-15", "iso8859-5", "iso8859-7"),
    *("iso8859-8", "iso8859-6", "iso8859-9", "iso8859-4", "iso8859-13", "iso8859-3", "iso8859-10", "iso8859-14"),
    *("iso8859-16", "latin-1", "mac-roman", "mac-cyrillic", "mac-greek", "mac-latin2", "mac-turkish", "mac-iceland"),
    *("cp850", "cp437", "cp852", "cp866", "cp1125", "cp855", "cp857", "cp737", "cp775", "cp862", "cp864", "cp865"),
    *("cp861", "cp860", "cp863", "cp858", "cp869", "cp720", "kz1048", "koi8-t", "ptcp154", "johab", "mac-croatian"),
    *("mac-romanian", "euc_jis_2004", "shift_jis_2004", "utf-16-le", "utf-16-be", "hp-roman8"),
)
#: Characters of a sample that are looked at: enough to tell, and soon done.
LOOKED_AT = 4000


def likeliest(sample: bytes, count: int = 3) -> list[str]:
    """At most ``count`` encodings in which ``sample`` makes most sense, no two of which read it alike."""
    scored = [(-likeliness(text[:LOOKED_AT]), rank, name) for rank, (name, text) in enumerate(_readings(sample))]
    return [name for _, _, name in sorted(scored)[:count]]


def _readings(sample: bytes) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for name in ENCODINGS:
        try:
            text = sample.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
        if text not in seen:
            seen.add(text)
            yield name, text


def telling(lines: Iterable[bytes], limit: int = 16_384) -> bytes:
    """The lines that are not plain ASCII, up to ``limit`` bytes: the only ones that tell encodings apart."""
    kept, size = [], 0
    for line in lines:
        if not line.isascii():
            kept.append(line)
            size += len(line)
        if size >= limit:
            break
    return b"".join(kept)
