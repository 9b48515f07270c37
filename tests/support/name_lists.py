"""People and places as lists hold them, by language, and the encodings that such lists come in.

Names are made up of common ones; places are those of the CLDR, by way of Babel, so that nobody chose them to fit.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from babel import Locale

NAMES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
#: Every language by the encodings its lists come in.
CODECS = {
    "ko": "euc_kr cp949",
    "zh": "gb18030 gbk",
    "zh_Hant": "big5 cp950",
    "ja": "cp932 shift_jis euc_jp",
    "ru": "koi8-r cp1251 cp866",
    "uk": "koi8-u cp1251",
    "bg": "cp1251",
    **dict.fromkeys(("pl", "cs", "hu", "hr"), "cp1250 iso8859-2"),
    **dict.fromkeys(("de", "fr", "es", "pt", "sv"), "cp1252 latin-1"),
    "el": "cp1253 iso8859-7",
    "tr": "cp1254",
    "he": "cp1255",
    "ar": "cp1256",
}


def places(language: str) -> list[str]:
    """Cities, then countries."""
    locale = Locale.parse(language)
    cities = [zone["city"] for zone in locale.time_zones.values() if "city" in zone]
    return [place for place in [*cities, *locale.territories.values()] if "," not in place]


def samples(language: str, codec: str, rows: int, count: int = 40) -> list[str]:
    """Lists of ``rows`` rows, all of which ``codec`` can write, each with something that is not ASCII."""
    names, found = NAMES[language], _writable(places(language), codec)
    lines = (f"{names[at % len(names)]},{place}" for at, place in enumerate(found))
    return list(islice(_lists(lines, codec, rows), count))


def _lists(lines: Iterator[str], codec: str, rows: int) -> Iterator[str]:
    written = (line for line in lines if line.encode(codec, "ignore").decode(codec) == line and not line.isascii())
    while some := list(islice(written, rows)):
        yield "".join(f"{line}\n" for line in some)


def _writable(found: list[str], codec: str) -> Iterator[str]:
    return (place for place in found if place.encode(codec, "ignore").decode(codec) == place)
