"""The alphabets of many languages, and a score that distinguishes sensible from wrongly decoded text.

Only `likeliness` is used from outside. It does not detect languages: it rates how well the non-ASCII characters of a
text go together, which is what a wrong encoding breaks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from math import log

from campaign.audience.encodings.common_characters import KANJI, SIMPLIFIED, TRADITIONAL, common_syllable

#: The letters beyond ASCII of each language, the commonest first.
_LATIN = {
    "German": "üäöß",
    "French": "éèêàçâîôëïùûœæüÿ",
    "Spanish": "óíáéñúü",
    "Portuguese": "ãçáéíóêâõúôàü",
    "Italian": "àèìòùéíóú",
    "Dutch": "ëéïöüáó",
    "Nordic": "äåöøæéü",
    "Icelandic": "áíðóéöúþýæ",
    "Polish": "łąęóżśćńź",
    "Czech": "áíéěšůčřžýúťďňó",
    "Slovak": "áíéýčžšúľťôňóďäĺŕ",
    "Hungarian": "áéőöíóüúű",
    "Romanian": "ăâîșțşţ",
    "Croatian and Slovene": "čšžćđ",
    "Turkish": "ıüşöçİğâîû",
    "Lithuanian": "ėšžųūįčąę",
    "Latvian": "āīšēņļūžčģķ",
    "Estonian": "äõüöšž",
    "Maltese": "ħżġċàèìòù",
    "Esperanto": "ĉĝŝŭĵĥ",
    "Welsh and Gaelic": "áíéóúâôêîûŵŷàèìòù",
    "Albanian": "ëç",
    "Vietnamese": "ăâđêôơưáàảãạắằẳẵặấầẩẫậéèẻẽẹếềểễệíìỉĩịóòỏõọốồổỗộớờởỡợúùủũụứừửữựýỳỷỹỵ",
}
_OTHER = {
    "Russian": "аоеинрвлстмкдпугязьыбчйхжшюцэщфёъ",
    "Bulgarian": "аоеитнрсвлкдпмзяъугбчщхйцжшюфь",
    "Ukrainian and Belarusian": "аонеіивртслкдумпзяьбгчйхцжшюїщфєґўыёэ",
    "Serbian and Macedonian": "аоиенрсјтвкдлмупзгбчшцћжњђљхфџѓќѕ",
    "Kazakh": "аетындріслоқмкбғйшужпөәзүңхіиұяюгвцһфчщъьэё",
    "Tajik": "аоиирндтмсбшлкувгзёхпқҳйӣчяғҷюӯфжцэъ",
    "Greek": "αοιετσνηςρκπυλμίάόγδθέχβφήύώωζξψϊΐϋΰ",
    "Hebrew": "יוהלארתבמשןםנחדקפכעטגסץזצךףׁ",
    "Arabic and Persian": "اليمنرتوبعدسةفهكقحجىصشطخأءئضزذثغإظؤآیکپچگژ،؛؟ـًٌٍَُِّْ",
    "Thai": "านรอกเงมยลวดทสตะบปคหแจพชขใไโผถซณฟญศธษฉฐภฝฮ่้ิีัุู์ำ็ืึๆ๊๋ฏฎฑฒฬฆฌฤๅฯ",
}
#: Scripts that never share a word with another script.
_APART = frozenset({"LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "THAI"})
#: Scripts that share words with each other, but not with those above.
_TOGETHER = frozenset({"CJK", "HANGUL", "HIRAGANA", "KATAKANA", "HALFWIDTH"})
_PUNCTUATION = frozenset("“”„‚‘’«»‹›–—…•·€£§©®™°´¿¡№ªº\u00a0、。，（）「」！？：・ー％．")
#: Box-drawing and block characters, which fill the upper half of DOS code pages.
_DRAWN = range(0x2500, 0x25A0)


def likeliness(text: str) -> float:
    """From about -3 (nonsense) to 1.3 (sense): how well the non-ASCII characters of ``text`` go together."""
    odd = [character for character in text if character > "\x7f"]
    if not odd:
        return 0.0
    breaks = 1.5 * _case_breaks(text) + 2.0 * _script_breaks(text)
    worths = {character: _worth(character) for character in set(odd)}
    return max(_fit(odd, worths, letters) for letters in _alphabets()) - breaks / len(odd)


def _fit(odd: Iterable[str], others: Mapping[str, float], letters: Mapping[str, float]) -> float:
    worths = [letters[character] if character in letters else others[character] for character in odd]
    return sum(worths) / len(worths)


def _worth(character: str) -> float:
    """The score of a character that is not in the alphabet."""
    if character in _PUNCTUATION:
        return 0.5
    drawn = ord(character) in _DRAWN
    return -3.0 if drawn or unicodedata.category(character) in {"Cc", "Cf", "Cn", "Co", "Cs"} else -1.0


def _case_breaks(text: str) -> int:
    """How often a capital follows a small letter within a word, either of them not ASCII: ``mÜller``."""
    return sum(a.islower() and b.isupper() and (a > "\x7f" or b > "\x7f") for a, b in pairwise(text))


def _script_breaks(text: str) -> int:
    """How often two adjacent letters are from scripts that share no word: ``Zoл``, ``M啌ler``."""
    return sum(a != b and _apart(a, b) for a, b in pairwise(map(_script, text)))


@cache
def _apart(one: str, other: str) -> bool:
    return (one in _APART and other in _APART | _TOGETHER) or (one in _TOGETHER and other in _APART)


@cache
def _script(character: str) -> str:
    return re.split("[ -]", unicodedata.name(character, ""))[0] if character.isalnum() else ""


@cache
def _alphabets() -> tuple[Mapping[str, float], ...]:
    """The score of each letter, for each alphabet."""
    small = [_ranked(letters) for letters in (*_LATIN.values(), *_OTHER.values())]
    return (*small, _chinese(), _traditional(), _japanese(), _korean())


def _ranked(letters: str) -> dict[str, float]:
    """The logarithm of each letter's share in the language's texts, estimated from its rank (Zipf)."""
    ranked = list(dict.fromkeys(letters))
    total = sum(1 / (rank + 2) for rank in range(len(ranked)))
    worths = {letter: 1.3 + 0.2 * log(2.5 / (rank + 2) / total) for rank, letter in enumerate(ranked)}
    return {letter.upper(): worth for letter, worth in worths.items() if len(letter.upper()) == 1} | worths


def _weighed(letters: Iterable[str], common: str) -> dict[str, float]:
    """Scores for scripts with thousands of characters: those of everyday use, and the common ones among them."""
    return dict.fromkeys(letters, 0.6) | dict.fromkeys(common, 1.2)


def _chinese() -> dict[str, float]:
    """GB 2312 level 1: the 3,755 characters of everyday use."""
    return _weighed(_table("gb2312", range(0xB0, 0xD8), range(0xA1, 0xFF)), SIMPLIFIED)


def _traditional() -> dict[str, float]:
    """Big5 level 1: the 5,401 characters of everyday use."""
    common = SIMPLIFIED.encode("big5", "ignore").decode("big5") + TRADITIONAL
    return _weighed(_table("big5", range(0xA4, 0xC7), [*range(0x40, 0x7F), *range(0xA1, 0xFF)]), common)


def _japanese() -> dict[str, float]:
    """JIS level 1 and both kana."""
    kana = "".join(map(chr, [*range(0x3041, 0x3097), *range(0x30A1, 0x30FB)]))
    return _weighed(_table("euc_jp", range(0xB0, 0xD0), range(0xA1, 0xFF)), kana + "々〆" + KANJI)


def _korean() -> dict[str, float]:
    """The 2,350 syllables of KS X 1001."""
    syllables = _table("euc_kr", range(0xB0, 0xC9), range(0xA1, 0xFF))
    return _weighed(syllables, "".join(filter(common_syllable, syllables)))


def _table(codec: str, leads: Iterable[int], trails: Iterable[int]) -> str:
    trails = list(trails)
    return "".join(bytes((lead, trail)).decode(codec, "ignore") for lead in leads for trail in trails)
