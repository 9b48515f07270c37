"""Formatting of numbers, times and untrusted text, the same for terminal, page and log.

Pure functions from a value to a short English text. No layout and no markup.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from campaign.model import Verdict

#: Terminal controls, and the format characters that reorder or hide text (threats S9 and U1).
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*[,;:.!?]?")
_ATOM = r"[^\s@<>\"'(),:;\[\]\\]"
# It starts only at the first character of a word: linear on any text. A URL keeps its slashes.
_ADDRESS = re.compile(rf"(?<!{_ATOM})(//)?{_ATOM}+@(?={_ATOM})")

#: The verdicts in reading order: good news, work to do, the rest.
READING_ORDER: tuple[str, ...] = (
    Verdict.ACCEPTED,
    Verdict.DEFERRED,
    Verdict.REJECTED,
    Verdict.IN_DOUBT,
    Verdict.UNRENDERABLE,
    Verdict.WITHDRAWN,
    Verdict.CANCELLED,
    Verdict.EXPIRED,
    Verdict.WAITING,
)


def grouped(count: int) -> str:
    """``12345`` -> ``"12,345"``."""
    return f"{count:,}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """``(1, "row")`` -> ``"1 row"``, ``(2, "row")`` -> ``"2 rows"``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percentage(part: int, whole: int) -> str:
    """``(123, 1000)`` -> ``"12.3 %"``; 100 % only for all and 0 % only for none."""
    if whole <= 0 or part <= 0:
        return "0.0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "<0.1 %"
    return f"{min(percent, 99.9) if part < whole else percent:.1f} %"


def share_text(share: float) -> str:
    """``0.0012`` -> ``"0.12 %"``, ``0.034`` -> ``"3.4 %"``; two decimals below one percent. 0 % only for nothing."""
    percent = 100 * share
    if 0 < percent < 0.01:
        return "<0.01 %"
    return f"{percent:.1f} %" if percent >= 1 or not percent else f"{percent:.2f} %"


def duration_text(seconds: float) -> str:
    """``1770`` -> ``"29m30s"``; the two largest units, one decimal under ten seconds."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s".replace(".0s", "s")
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // smaller:02}{name}"
    return f"{whole}s"


def latency(seconds: float) -> str:
    """``0.00042`` -> ``"0.4 ms"``, ``0.0423`` -> ``"42 ms"``, ``1.5`` -> ``"1.50 s"``."""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    return (
        f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s" if seconds < 100 else duration_text(seconds)
    )


def rate_text(per_second: float) -> str:
    """``48.93`` -> ``"48.9/s"``; slow rates per minute or hour."""
    for factor, unit in ((1, "s"), (60, "min")):
        if per_second * factor >= 1 or per_second == 0:
            return f"{per_second * factor:,.1f}/{unit}" if per_second * factor < 1000 else f"{per_second:,.0f}/s"
    return f"{per_second * 3600:,.1f}/h"


def size(octets: int) -> str:
    """``34210`` -> ``"34.2 kB"`` (thousands, as mail limits count)."""
    for limit, unit in ((1_000_000, "MB"), (1_000, "kB")):
        if octets >= limit:
            return f"{octets / limit:.1f} {unit}"
    return f"{octets} B"


def moment(at: float) -> str:
    """POSIX seconds -> ``"2026-11-24 08:00:00 UTC"``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def local_time(at: float, zone: str) -> datetime | None:
    """``at`` in the zone ``zone``; None if it equals UTC at that time, or the zone is unknown here."""
    try:
        local = datetime.fromtimestamp(at, ZoneInfo(zone)) if zone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    return local if local and local.utcoffset() else None


def moment_in(at: float, zone: str) -> str:
    """``"2026-11-24 08:00:00 UTC (09:00:00 Europe/Berlin)"``; with the day if it differs there."""
    local = local_time(at, zone)
    if not local:
        return moment(at)
    same = local.date() == datetime.fromtimestamp(at, UTC).date()
    return f"{moment(at)} ({local.strftime('%H:%M:%S' if same else '%Y-%m-%d %H:%M:%S')} {zone})"


def clock(at: float) -> str:
    """POSIX seconds -> ``"08:00 UTC"``; with the day if it is not today's (UTC)."""
    moment, today = datetime.fromtimestamp(at, UTC), datetime.now(UTC).date()
    return moment.strftime("%H:%M UTC" if moment.date() == today else "%Y-%m-%d %H:%M UTC")


def iso(at: float) -> str:
    """POSIX seconds -> ``"2026-11-24T08:00:00Z"``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def verdict(name: str) -> str:
    """``"in_doubt"`` -> ``"in doubt"``."""
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """``"no such user"`` -> ``"No such user."``; text that begins with a URL, a key or a file name keeps its case."""
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    begun = f"{text[:1].upper()}{text[1:]}" if _WORD.fullmatch(first) else text
    return begun if not begun or begun.rstrip().endswith((".", "!", "?", "…")) else f"{begun.rstrip()}."


def people_address(address: str) -> str:
    """``"ada@xn--bcher-kva.example"`` -> ``"ada@bücher.example"``, for display only; invalid names stay unchanged."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{_unicode_domain(domain)}" if "xn--" in domain.lower() else address


@lru_cache(maxsize=10_000)
def _unicode_domain(domain: str) -> str:
    import idna  # only loaded for such names

    try:
        shown = idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain
    return shown if printable(shown) == shown else domain


def printable(text: str) -> str:
    """``text`` on one line, with control, bidirectional and invisible characters shown as escapes."""
    return _UNPRINTABLE.sub(_escape, text)


def without_addresses(text: str) -> str:
    """``"no mailbox ada@example.com"`` -> ``"no mailbox ***@example.com"``; the domain stays."""
    return _ADDRESS.sub(r"\1***@", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
