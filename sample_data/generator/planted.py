"""The rows that are in the sample on purpose, each with the fate it must meet.

A row here is a dictionary of the columns that matter; the others are filled with those of an ordinary reader. A row
with ``raw`` is written as it stands, with too few fields or too many.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["accepted", "invalid", "duplicate", "suppressed", "filtered", "unrenderable"]


@dataclass(frozen=True)
class Planted:
    """One row on purpose: what is odd about it, what becomes of it, and the columns that make it odd."""

    fate: Fate
    about: str
    columns: dict[str, str] = field(default_factory=dict)
    raw: tuple[str, ...] = ()


#: The first rows of the file: what a newcomer's eye falls on, and the originals of the duplicates below.
OPENING = [
    {"email": "zoe.mueller@bücher.example", "name": "Zoë Müller", "city": "München", "country": "DE", "language": "de",
     "plan": "patron", "member_since": "2011-03-20", "member_id": "00001", "articles_read": "139",
     "note": "Zum ersten Mal die Ringe gesehen – unvergesslich."},
    {"email": "taro.hoshino@例え.test", "name": "星野 太郎", "city": "野辺山", "country": "JP", "language": "ja",
     "plan": "friend", "member_since": "2014-07-07", "member_id": "00002", "articles_read": "88",
     "note": "流れ星を七つ数えました。"},
    {"email": "layla.haddad@مثال.test", "name": "ليلى حدّاد", "city": "بيروت", "country": "LB", "language": "ar",
     "plan": "free", "member_since": "2019-11-02", "member_id": "00003", "articles_read": "21",
     "note": "رأيت حلقات زحل لأول مرة."},
    {"email": "nadezhda.kovalevskaya@пример.example", "name": "Надежда Ковалевская", "city": "Санкт-Петербург",
     "country": "RU", "language": "ru", "plan": "friend", "member_since": "2016-01-15", "member_id": "00004",
     "articles_read": "64", "note": "Спасибо за тишину и чай."},
    {"email": "jingyi.ouyang@天文台.example", "name": "歐陽静怡", "city": "成都", "country": "CN", "language": "zh",
     "plan": "patron", "member_since": "2013-08-13", "member_id": "00005", "articles_read": "112", "note": ""},
    {"email": "ada.finch@example.com", "name": "Ada Finch 🔭", "city": "Ōtepoti", "country": "NZ", "language": "en",
     "plan": "free", "member_since": "2026-09-12", "member_id": "00006", "articles_read": "0",
     "note": "Saw Saturn for the first time at 61. Still smiling."},
    {"email": "noa.cohen@דוגמה.test", "name": "נועה כהן", "city": "מצפה רמון", "country": "IL", "language": "he",
     "plan": "free", "member_since": "2020-12-21", "member_id": "00007", "articles_read": "35", "note": ""},
    {"email": "aarti.sharma@उदाहरण.test", "name": "आरती शर्मा", "city": "उज्जैन", "country": "IN", "language": "hi",
     "plan": "friend", "member_since": "2018-04-01", "member_id": "00008", "articles_read": "57", "note": ""},
    {"email": "begona.nunez@mañana.example", "name": "Begoña Núñez", "city": "A Coruña", "country": "ES",
     "language": "es", "plan": "free", "member_since": "2022-02-28", "member_id": "00009", "articles_read": "12",
     "note": "¡Qué silencio tan lleno de estrellas!"},
]  # fmt: skip


def _invalid(about: str, email: str) -> Planted:
    return Planted("invalid", about, {"email": email, "name": "Anna Maria Vogel", "language": "de"})


INVALID = [
    _invalid("no address at all", ""),
    _invalid("no @", "elodie.lefevre.example.org"),
    _invalid("two @", "elodie@@example.org"),
    _invalid("nothing before the @", "@example.com"),
    _invalid("nothing after the @", "matthias@"),
    _invalid("no top-level domain", "matthias@example"),
    _invalid("a blank inside", "anna maria@example.com"),
    _invalid("two dots in a row", "anna..maria@example.com"),
    _invalid("a dot at the beginning", ".anna@example.com"),
    _invalid("a dot before the @", "anna.@example.com"),
    _invalid("a comma for a dot in the domain", "anna@example,com"),
    _invalid("an underscore in the domain", "anna@ex_ample.test"),
    _invalid("a dash at the edge of the domain", "anna@-example.test"),
    _invalid("a display name and brackets around it", "Anna <anna@example.com>"),
    _invalid("a comment behind it", "anna@example.com(work)"),
    _invalid("a quoted local part", '"anna maria"@example.com'),
    _invalid("an IP address for a domain", "anna@[192.0.2.1]"),
    _invalid("two addresses in one cell", "anna@example.com; maria@example.org"),
    _invalid("a link in place of an address", "mailto:anna@example.com"),
    _invalid("a local part of 65 octets", "a" * 65 + "@example.com"),
    _invalid("a domain label of 64 octets", f"anna@{'b' * 64}.example"),
    _invalid("a full-width @", "anna＠example.com"),
    _invalid("a zero-width space, invisible to the eye", "anna\u200b@example.com"),
    _invalid("a right-to-left override, which shows another address than it is", "anna\u202e@example.com"),
    _invalid("a heart, which IDNA 2008 does not allow in a domain", "anna@i❤.example"),
    _invalid("Punycode that stands for nothing", "anna@xn--0049.test"),
    _invalid("the reserved domain that never takes mail (RFC 6761)", "anna@nowhere.invalid"),
    _invalid(
        "header and command injection: a line break and a Bcc inside the address",
        "victim@example.com\r\nBcc: everyone@example.org",
    ),
]

RAGGED = [
    Planted(
        "invalid", "ragged: three fields where ten belong", raw=("short.row@example.com", "Short Row", "Ísafjörður")
    ),
    Planted("invalid", "ragged: one field where ten belong", raw=("lonely@example.org",)),
    Planted(
        "invalid",
        "ragged: eleven fields, because nobody quoted the comma in the name",
        raw=(
            "comma@example.com",
            "Whitlock",
            " Beatrice",
            "Aberystwyth",
            "GB",
            "en",
            "free",
            "2021-05-05",
            "00420",
            "7",
            "",
        ),
    ),
    Planted(
        "invalid",
        "ragged: twelve fields, two of them from another table",
        raw=(
            "extra@example.net",
            "Rhys Ashdown",
            "Cape Town",
            "ZA",
            "en",
            "friend",
            "2017-06-30",
            "00421",
            "30",
            "",
            "x",
            "y",
        ),
    ),
]


def _again(opening: int, about: str, email: str) -> Planted:
    return Planted("duplicate", about, {**OPENING[opening], "email": email})


DUPLICATES = [
    _again(5, "the same address in capitals", "ADA.FINCH@EXAMPLE.COM"),
    _again(5, "the same address in mixed case", "Ada.Finch@Example.com"),
    _again(5, "the same address with blanks around it", "  ada.finch@example.com "),
    _again(5, "the same domain in full-width letters", "ada.finch@ｅｘａｍｐｌｅ.com"),
    _again(0, "bücher.example as an A-label", "zoe.mueller@xn--bcher-kva.example"),
    _again(0, "BÜCHER.EXAMPLE in capitals", "Zoe.Mueller@BÜCHER.EXAMPLE"),
    _again(0, "bücher.example with u and a combining diaeresis", "zoe.mueller@bu\u0308cher.example"),
    _again(1, "例え.test as an A-label", "taro.hoshino@xn--r8jz45g.test"),
    _again(1, "例え。test with an ideographic full stop", "taro.hoshino@例え。test"),
    _again(2, "مثال.test as an A-label", "layla.haddad@xn--mgbh0fb.test"),
    _again(3, "ПРИМЕР.EXAMPLE in Cyrillic capitals", "nadezhda.kovalevskaya@ПРИМЕР.EXAMPLE"),
    _again(3, "пример.example as an A-label in capitals", "nadezhda.kovalevskaya@XN--E1AFMKFD.EXAMPLE"),
    _again(8, "mañana.example as an A-label", "begona.nunez@xn--maana-pta.example"),
    _again(6, "a copy, character by character", "noa.cohen@דוגמה.test"),
]


def _suppressed(about: str, email: str, name: str) -> Planted:
    return Planted("suppressed", about, {"email": email, "name": name})


SUPPRESSED = [
    _suppressed("listed by address", "k.schaefer@example.com", "Käthe Schäfer"),
    _suppressed("listed by address", "rousseau.chloe@example.org", "Chloé Rousseau"),
    _suppressed("listed by address", "minjun.park@example.com", "박민준"),
    _suppressed("listed by address", "m.zhang@example.com", "張美"),
    _suppressed("listed by address", "tamar.kipiani@example.net", "თამარ ყიფიანი"),
    _suppressed("listed in small letters, here in capitals", "LUKASZ.WOJCIK@EXAMPLE.NET", "Łukasz Wójcik"),
    _suppressed("listed in capitals, here in small letters", "goran.sjoberg@example.org", "Göran Sjöberg"),
    _suppressed(
        "listed with the A-label of the domain, here with the U-label", "emre.oeztuerk@gökyüzü.example", "Emre Öztürk"
    ),
    _suppressed(
        "listed with the U-label of the domain, here with the A-label", "sho.watanabe@xn--kiv066b.example", "渡邊 翔"
    ),
    _suppressed("listed by address, with an international local part", "дарья@звёзды.example", "Дарья Звёздная"),
    _suppressed("the whole domain is listed", "anyone@former-members.example", "Beatrice Whitlock"),
    _suppressed("the whole domain is listed", "someone.else@former-members.example", "Rhys Ashdown"),
    _suppressed("the whole domain is listed, here in capitals", "Secretary@Former-Members.Example", "Siobhán O’Brien"),
    _suppressed("the whole domain is listed", "treasurer@former-members.example", "Owain Llewellyn"),
]

#: What `unsubscribed.csv` holds; the last three are nobody's on this list, as in life.
UNSUBSCRIBED = [
    ("k.schaefer@example.com", "2026-01-04"),
    ("rousseau.chloe@example.org", "2026-02-11"),
    ("minjun.park@example.com", "2026-02-27"),
    ("m.zhang@example.com", "2026-03-09"),
    ("tamar.kipiani@example.net", "2026-04-30"),
    ("lukasz.wojcik@example.net", "2026-05-01"),
    ("GORAN.SJOBERG@EXAMPLE.ORG", "2026-05-17"),
    ("emre.oeztuerk@xn--gkyz-5qa2bb.example", "2026-06-06"),
    ("sho.watanabe@星空.example", "2026-07-07"),
    ("дарья@звёзды.example", "2026-08-24"),
    ("@former-members.example", "2026-09-01"),
    ("left.long.ago@example.com", "2019-12-31"),
    ("wrong.list@example.org", "2024-02-29"),
    ("never.asked@example.net", "2025-10-10"),
]

PAUSED = [
    Planted("filtered", "asked for a break: `where = \"plan != 'paused'\"` leaves it out", {"plan": "paused"})
    for _ in range(9)
]


def _intact(about: str, **columns: str) -> Planted:
    return Planted("accepted", about, columns)


VALUES = [
    _intact(
        "the country is Namibia, and a table reader likes to make a missing value of it", country="NA", city="Windhoek"
    ),
    _intact("the family name is Null", email="jennifer.null@example.com", name="Jennifer Null", language="en"),
    _intact("the name is the word null", email="null@example.org", name="null", language="en"),
    _intact("the city is the word NA, the note the word null", city="NA", note="null"),
    _intact("the note is the word None", note="None"),
    _intact("the note is the word nan", note="nan"),
    _intact("the member number keeps its zeros", member_id="007"),
    _intact("the number of articles is not 100000.0", articles_read="1e5"),
    _intact("the note is a formula", note="=1+1"),
    _intact("the note is a formula that calls a program", note="=cmd|' /C calc'!A0"),
    _intact("the note begins with an @, as formulas may", note="@SUM(1+1)*cmd"),
    _intact("the note begins with a plus, as formulas may", note="+49 30 901820"),
    _intact("the note begins with a minus, as formulas may", note="-2+3"),
    _intact("the note is the word TRUE", note="TRUE"),
    _intact("the note looks like a date to a spreadsheet", note="3-4"),
    _intact("the member number is longer than a floating-point number is exact", member_id="9007199254740993"),
    _intact("blanks around the city stay", city="  Ærøskøbing "),
    _intact("no name: the greeting and To do without", email="no.name@example.com", name="", language="en"),
]

HOSTILE = [
    _intact("the name is a template: it must arrive as these characters", name="{{ 7*7 }} {% raw %}", language="en"),
    _intact("the note is a template that asks for secrets", note="{{ self.__init__.__globals__ }}"),
    _intact("the note is HTML with a script", note="<script>alert('hello')</script><b>bold</b>"),
    _intact("the name is HTML", name="Robert</td><img src=x onerror=alert(1)>", language="en"),
    _intact("the note holds a right-to-left override", note="abc \u202etxt.exe\u202c def"),
    _intact("the note has several lines, a quote and a comma", note='First line,\nsecond "line",\n\nlast line.'),
    _intact("the note is 3,000 characters without a blank", note="Ω" * 3000),
    _intact("the note is Zalgo", note="S̵̡̛͉͓͎̱̈́̈́̀͒t̶̢̰̠̓̒̌͝a̸̧̛̩̝̍͒r̴͇̈́̓͝s̷̢̛̺̈́"),
    _intact(
        "header injection by encoded word: unguarded, it becomes a Bcc on several versions of Python",
        name="=?utf-8?q?hi=0D=0ABcc=3A_everyone=40example=2Eorg?=", language="en",
    ),
    _intact(
        "a second address by encoded word: unguarded, To gets another recipient on every version of Python",
        name="=?utf-8?q?everyone=40example=2Eorg=2C?=", language="en",
    ),
    _intact("a second address by a quote in the name", name='Eve" <eve@example.org>, "Eve', language="en"),
    _intact("a very long name", name="Karl-Theodor Maria Nikolaus " * 6 + "von Sternberg", language="de"),
    _intact("a name in four scripts and both directions", name="Anna анна أنّا アンナ 👩‍👩‍👧‍👦", language="en"),
]  # fmt: skip

LOOKALIKES = [
    _intact("faß.example: in IDNA 2008 not the same domain as fass.example", email="karla@faß.example"),
    _intact("fass.example: not the same domain as faß.example", email="karla@fass.example"),
    _intact(
        "a dot more is another mailbox, except where `provider_rules` says otherwise", email="anna.maria@example.net"
    ),
    _intact("a dot less is another mailbox", email="annamaria@example.net"),
    _intact(
        "a +tag is another mailbox, except where `provider_rules` says otherwise", email="anna.maria+sky@example.net"
    ),
    _intact("an address that looks like a formula and is none", email="=1+1@example.com"),
]

SMTPUTF8 = [
    _intact("an international local part: needs a relay with SMTPUTF8", email="用户@例子.test"),
    _intact("an international local part: needs a relay with SMTPUTF8", email="josé.ibáñez@example.org"),
    _intact("an international local part: needs a relay with SMTPUTF8", email="νικόλαος@παράδειγμα.test"),
]

UNRENDERABLE = [
    Planted(
        "unrenderable",
        "header injection: a line break and a Bcc inside the name, which To and the subject refuse",
        {"email": "mallory@example.net", "name": "Mallory\r\nBcc: everyone@example.org", "language": "en"},
    )
]

PLANTED = [
    *INVALID, *RAGGED, *DUPLICATES, *SUPPRESSED, *PAUSED, *VALUES, *HOSTILE, *LOOKALIKES, *SMTPUTF8, *UNRENDERABLE,
]  # fmt: skip
