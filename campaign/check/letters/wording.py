"""Faults in the words of a letter: a greeting without a name, a leftover template mark, a meaningless value.

Reads the subject, the text part and the visible text of the HTML. Text from the row itself is never reported as a fault
of the template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from campaign.check.letters.letter_fault import Fault
from campaign.compose.mime.read_back import ReadLetter, visible
from campaign.model import Recipient

#: Words that a value prints if it was missing.
NOTHING = frozenset({"None", "nan", "NaN", "NaT", "null", "NULL", "undefined"})

_BLANK = "[ \t\xa0]"
#: Greetings that need a name, and greetings that may stand alone.
_WITH_NAME = (
    "Dear|Liebe[rs]?|Sehr geehrte[rs]?|Ch(?:er|ère)s?|Estimad[oa]s?|Querid[oa]s?|Car[oa]|Gentile|Beste|Geachte|Kære|"
    "Kjære|Bästa|Drog[ia]|Szanown[ya]|Prezad[oa]s?|Уважаем(?:ый|ая)|Дорог(?:ой|ая)"
)
_ALONE = (
    "Hello|Hi|Hey|Welcome|Good (?:morning|day|afternoon|evening)|Hallo|Guten (?:Morgen|Tag|Abend)|Bonjour|Bonsoir|Hola|"
    "Ciao|Buongiorno|Buonasera|Hoi|Hej|Hei|Witaj|Olá|Здравствуйте|Привет"
)
#: Those of them without another meaning, such as "das Beste: …" has, and so faulty without a blank too.
_ONLY_GREETINGS = "Dear|Sehr geehrte[rs]?|Estimad[oa]s?|Gentile|Geachte|Szanown[ya]|Prezad[oa]s?|Уважаем(?:ый|ая)"
_GREETING = re.compile(
    rf"\b(?:(?:{_WITH_NAME}){_BLANK}+[,!:](?!\w)|(?:{_ALONE}){_BLANK}+,|(?:Hello|Hi|Hey|Welcome|Hallo|Hola){_BLANK}+!)"
    rf"|^{_BLANK}*(?:{_ONLY_GREETINGS})[,!:](?!\w)|^{_BLANK}*(?:さん|様|님)[、，,]",
    re.MULTILINE,
)
#: What remains of "{{ name }}, your issue" without a name.
_HEADLESS = re.compile(rf"^{_BLANK}*[,;:]{_BLANK}\w.{{0,30}}", re.MULTILINE)
_LEFT_OVER = re.compile(
    r"\{\{|\}\}|\{%|%\}|<%=|\*\|[A-Z_]+\|\*|%%[A-Za-z_]+%%|%recipient\.\w+%|\$\{\w+\}|\[(?:F|L|FIRST|LAST|FULL)_?NAME\]"
)
#: Marks of other programs, if their content is a column.
_MARKED = re.compile(r"\{([^\W\d]\w*)\}|%([^\W\d]\w*)%|<<([^\W\d]\w*)>>|«([^\W\d]\w*)»|\[\[([^\W\d]\w*)\]\]")


def wording_faults(seen: ReadLetter, recipient: Recipient, printed: Sequence[Sequence[object]]) -> Iterator[Fault]:
    """Faults of the words. ``printed``: the values that subject, text part and HTML part printed."""
    own = set(texts_in(recipient.row))
    blank = any(not str(one if one is not None else "").strip() for values in printed for one in values)
    for where, text in (
        ("subject", seen.header("Subject")),
        ("text part", seen.text),
        ("HTML part", visible(seen.html)),
    ):
        headless = _HEADLESS if blank or where == "subject" else None
        if match := _GREETING.search(text) or (headless and headless.search(text)):
            yield Fault(
                "error",
                "empty-greeting",
                f"“{' '.join(match[0].split())}” greets nobody",
                where,
                "give the value a default: {{ name or 'reader' }}",
            )
        if (mark := left_over(text, recipient)) and not any(mark in value for value in own):
            yield Fault(
                "warning",
                "left-over",
                f"“{mark}” looks like a template mark that was not filled in",
                where,
                "write it as {{ column }}",
            )
    for value in sorted({str(one) for values in printed for one in values} & NOTHING):
        yield Fault(
            "warning",
            "nothing-value",
            f"the value “{value}” looks like a missing one",
            "a column" if value in own else "the template",
            "leave the cell empty, and give the value a default: {{ city or 'your town' }}",
        )


def left_over(text: str, recipient: Recipient) -> str:
    """The first template mark in ``text`` that was not filled in, or ``""``."""
    if match := _LEFT_OVER.search(text):
        return match[0]
    marks = (match for match in _MARKED.finditer(text) if match[match.lastindex or 0] in recipient.row)
    return next((match[0] for match in marks), "")


def texts_in(value: object) -> Iterator[str]:
    """Every text in a value of a row, which may be a list of lines."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts_in(one)
    elif value is not None:
        yield str(value)
