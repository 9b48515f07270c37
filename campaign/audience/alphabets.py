"""What letters the writing of a language consists of: just enough to tell sense from mis-decoded nonsense.

Only `likeliness` is asked from outside. It is no language detector: it answers how well the non-ASCII
characters of a text go together, which is what a wrong encoding gets wrong.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import pairwise

_LATIN = {
    "German": "äöüß",
    "French": "àâæçéèêëîïôœùûüÿ",
    "Spanish": "áéíóúüñ",
    "Portuguese": "áâãàçéêíóôõú",
    "Italian": "àèéìíîòóù",
    "Dutch": "áéëïóöü",
    "Nordic": "åäöæøéü",
    "Icelandic": "áðéíóúýþæö",
    "Polish": "ąćęłńóśźż",
    "Czech and Slovak": "áäčďéěíľĺňóôŕřšťúůýž",
    "Hungarian": "áéíóöőúüű",
    "Romanian": "ăâîșțşţ",
    "Croatian and Slovene": "čćđšž",
    "Turkish": "çğıİöşüâîû",
    "Lithuanian": "ąčęėįšųūž",
    "Latvian": "āčēģīķļņšūž",
    "Estonian": "äõöüšž",
    "Maltese": "ċġħżàèìòù",
    "Esperanto": "ĉĝĥĵŝŭ",
    "Welsh and Gaelic": "âêîôûŵŷáéíóúàèìòù",
    "Albanian": "çë",
    "Vietnamese": "ăâđêôơưáàảãạắằẳẵặấầẩẫậéèẻẽẹếềểễệíìỉĩịóòỏõọốồổỗộớờởỡợúùủũụứừửữựýỳỷỹỵ",
}
_OTHER = {
    "Russian and Bulgarian": "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "Ukrainian and Belarusian": "абвгдеєжзиіїйклмнопрстуфхцчшщьюяґўёыэ",
    "Serbian and Macedonian": "абвгдђежзијклљмнњопрстћуфхцчџшѓќѕ",
    "Kazakh": "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя",
    "Tajik": "абвгғдеёжзиӣйкқлмнопрстуӯфхҳчҷшъэюя",
    "Greek": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",
    "Hebrew": "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
    "Arabic and Persian": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژکگی،؛؟ـًٌٍَُِّْ",
    "Thai": "".join(map(chr, [*range(0x0E01, 0x0E3B), *range(0x0E40, 0x0E5B)])),
}
#: The commonest letters of running text in the small alphabets: what tells one 8-bit table from another.
_FREQUENT = frozenset(
    "оеаинтсрвлкмдпуіОЕАИНТСРВЛКМДПУІαοιετσνηυρπκμλάόίέΑΟΙΕΤΣΝΗΥΡΠΚΜΛיוהלארתבמשןםنامليورتبعدةسفحקالกรนมายงเวดสอตค"
)
#: Scripts that share no word with another one.
_APART = frozenset({"LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "THAI"})
_PUNCTUATION = frozenset("“”„‚‘’«»‹›–—…•·€£§©®™°´¿¡№ªº\u00a0、。，（）「」！？：・ー％．")
#: Drawn boxes and blocks, formerly the upper half of DOS code pages.
_DRAWN = range(0x2500, 0x25A0)


def likeliness(text: str) -> float:
    """From about -3 (nonsense) to 1.3 (sense): how well the non-ASCII characters of ``text`` go together."""
    odd = [character for character in text if character > "\x7f"]
    if not odd:
        return 0.0
    breaks = 1.5 * _case_breaks(text) + 2.0 * _script_breaks(text)
    return max(_fit(odd, letters) for letters in _alphabets()) - breaks / len(odd)


def _fit(odd: Iterable[str], letters: frozenset[str]) -> float:
    worths = [_worth(character, letters) for character in odd]
    return sum(worths) / len(worths)


def _worth(character: str, letters: frozenset[str]) -> float:
    if character in letters:
        return 1.3 if character in _FREQUENT or character > "\u2fff" else 1.0
    if character in _PUNCTUATION:
        return 0.5
    drawn = ord(character) in _DRAWN
    return -3.0 if drawn or unicodedata.category(character) in {"Cc", "Cf", "Cn", "Co", "Cs"} else -1.0


def _case_breaks(text: str) -> int:
    """How often a capital follows a small letter within a word, either of them not ASCII: ``mÜller``."""
    return sum(a.islower() and b.isupper() and (a > "\x7f" or b > "\x7f") for a, b in pairwise(text))


def _script_breaks(text: str) -> int:
    """How often two neighbouring letters are of scripts that share no word: ``Zoл``."""
    return sum(a != b and a in _APART and b in _APART for a, b in pairwise(map(_script, text)))


@cache
def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""


@cache
def _alphabets() -> tuple[frozenset[str], ...]:
    cased = [letters + letters.upper() for letters in (*_LATIN.values(), *_OTHER.values())]
    return (*map(frozenset, cased), *map(frozenset, (_chinese(), _traditional(), _japanese(), _korean())))


def _chinese() -> str:
    """GB 2312 level 1: the 3,755 characters of everyday use."""
    return _table("gb2312", range(0xB0, 0xD8), range(0xA1, 0xFF))


def _traditional() -> str:
    """Big5 level 1: the 5,401 of everyday use."""
    return _table("big5", range(0xA4, 0xC7), [*range(0x40, 0x7F), *range(0xA1, 0xFF)])


def _japanese() -> str:
    """JIS level 1 and both kana."""
    kana = "".join(map(chr, [*range(0x3041, 0x3097), *range(0x30A1, 0x30FB)]))
    return kana + "々〆" + _table("euc_jp", range(0xB0, 0xD0), range(0xA1, 0xFF))


def _korean() -> str:
    """The 2,350 syllables of KS X 1001."""
    return _table("euc_kr", range(0xB0, 0xC9), range(0xA1, 0xFF))


def _table(codec: str, leads: Iterable[int], trails: Iterable[int]) -> str:
    trails = list(trails)
    return "".join(bytes((lead, trail)).decode(codec, "ignore") for lead in leads for trail in trails)
