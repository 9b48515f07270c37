"""Encodings: two by themselves, the rest by name, and a helpful error instead of a guess."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from campaign.audience.encodings.encoding_candidates import likeliest, telling_lines
from campaign.audience.sources.source_factory import open_source
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError
from tests.support.name_lists import CODECS, samples

#: Names and places as people write them, by language, and the encodings such lists come in.
LISTS = {
    "Jürgen Müller,Köln\nBjörn Groß,Nürnberg\nZoë Weiß,Düsseldorf\n": "cp1252 latin-1 iso8859-15 mac-roman cp850 cp437",
    "François Lefèvre,Orléans\nHélène Garçon,Besançon\n": "cp1252 iso8859-15 mac-roman cp858",
    "José Muñoz,Málaga\nMaría Núñez,A Coruña\nÍñigo Peña,Logroño\n": "cp1252 latin-1 cp850",
    "João Conceição,São Paulo\nInês Simões,Évora\n": "cp1252 cp860",
    "Åsa Sjöström,Malmö\nBjörn Ångström,Västerås\n": "cp1252 cp865 iso8859-10",
    "Þórður Ægisson,Reykjavík\nGuðrún Björk,Ísafjörður\n": "cp1252 cp861 mac-iceland",
    "Łukasz Żółć,Kraków\nGrażyna Wójcik,Łódź\n": "cp1250 iso8859-2 cp852 mac-latin2 iso8859-16",
    "Jiří Dvořák,Plzeň\nŽofie Nováková,Ústí nad Labem\n": "cp1250 iso8859-2 cp852",
    "Győző Szűcs,Győr\nÁrpád Kőrösi,Székesfehérvár\n": "cp1250 iso8859-2 cp852",
    "Željko Đurić,Šibenik\nČedomir Žižić,Požega\n": "cp1250 mac-croatian",
    "Şükrü Yılmaz,İstanbul\nGülşah Öğün,Eskişehir\n": "cp1254 iso8859-9 cp857 mac-turkish",
    "Žygimantas Šaučiūnas,Šiauliai\nEglė Jančiauskaitė,Mažeikiai\n": "cp1257 iso8859-13 iso8859-4 cp775",
    "Jüri Õunapuu,Võru\nÜlle Pärn,Põltsamaa\n": "cp1257 iso8859-15",
    "Алексей Петров,Москва\nЕлена Щербакова,Челябинск\n": "cp1251 koi8-r cp866 iso8859-5 mac-cyrillic cp855",
    "Олексій Шевченко,Київ\nЇржина Ґудзь,Запоріжжя\n": "cp1251 koi8-u cp1125",
    "Ђорђе Љубичић,Београд\nЊегош Џајић,Ћуприја\n": "cp1251 iso8859-5",
    "Әлия Қасымова,Алматы\nҒалым Өмірбек,Шымкент\n": "kz1048 ptcp154",
    "Γιώργος Παπαδόπουλος,Αθήνα\nΕλένη Ψαρρά,Θεσσαλονίκη\n": "cp1253 iso8859-7 cp737 cp869",
    "דוד כהן,תל אביב\nשרה לוי,ירושלים\n": "cp1255 iso8859-8 cp862",
    "محمد أحمد,القاهرة\nفاطمة علي,الرياض\n": "cp1256 iso8859-6 cp720",
    "สมชาย ใจดี,กรุงเทพมหานคร\nสุดา รักไทย,เชียงใหม่\n": "cp874 tis-620",
    "王小明,北京市朝阳区\n李丽华,上海市浦东新区\n": "gbk gb18030 gb2312",
    "陳怡君,臺北市信義區\n林志豪,高雄市\n": "big5 cp950 big5hkscs",
    "山田太郎,東京都新宿区\n佐藤花子,大阪府\n高橋さくら,札幌市\n": "shift_jis cp932 euc_jp",
    "김철수,서울특별시\n이영희,부산광역시\n": "euc_kr cp949 johab",
    unicodedata.normalize("NFD", "Nguyễn Văn Hương\n")
    .replace("a\u0306", "ă")
    .replace("u\u031b", "ư")
    .replace("o\u031b", "ơ")
    .replace("e\u0302", "ê"): "cp1258",
}
CASES = [(text, codec) for text, codecs in LISTS.items() for codec in codecs.split()]


def test_enough_encodings_are_tried() -> None:
    assert len({codec for _, codec in CASES}) >= 51


@pytest.mark.parametrize(("text", "codec"), CASES, ids=[f"{codec}-{text[:6]}" for text, codec in CASES])
def test_the_right_reading_is_among_the_three_that_are_shown(text: str, codec: str) -> None:
    sample = telling_lines(text.encode(codec).splitlines(keepends=True))
    assert any(sample.decode(name) == text for name in likeliest(sample))


@pytest.mark.parametrize(("text", "codec"), CASES, ids=[f"{codec}-{text[:6]}" for text, codec in CASES])
def test_a_named_encoding_is_read_to_the_letter(tmp_path: Path, text: str, codec: str) -> None:
    lines = [f"x{at}@example.com,{line}" for at, line in enumerate(text.splitlines())]
    lines = [line if line.count(",") == 2 else f"{line}," for line in lines]
    (tmp_path / "list.csv").write_bytes(("email,name,city\n" + "\n".join(lines)).encode(codec))
    rows = rows_of(tmp_path, encoding=codec)
    assert rows == [line.split(",") for line in lines]


@pytest.mark.parametrize("rows", [3, 8])
@pytest.mark.parametrize(("language", "codec"), [(one, codec) for one in CODECS for codec in CODECS[one].split()])
def test_the_right_reading_comes_first_nine_times_of_ten(language: str, codec: str, rows: int) -> None:
    lists = samples(language, codec, rows, 30)
    assert len(lists) == 30
    first = [likeliest(telling_lines(text.encode(codec).splitlines(keepends=True)))[0] for text in lists]
    wrong = [
        name for name, text in zip(first, lists, strict=True) if text.encode(codec).decode(name, "replace") != text
    ]
    assert len(wrong) <= 3, wrong


@pytest.mark.parametrize("codec", ["iso2022_jp", "iso2022_kr"])
def test_escape_sequences_do_not_pass_for_utf_8(tmp_path: Path, codec: str) -> None:
    language = {"iso2022_jp": "ja", "iso2022_kr": "ko"}[codec]
    for text in samples(language, codec, 3, 30):
        (tmp_path / "list.csv").write_bytes(f"email,name\n{text}".encode(codec))
        with pytest.raises(InputError, match="is not UTF-8") as caught:
            rows_of(tmp_path)
        assert f'encoding = "{codec}"' in caught.value.next_step
        rows = [line.split(",") for line in text.splitlines()]
        assert rows_of(tmp_path, encoding=codec) == rows


def test_an_escape_sequence_is_found_wherever_it_stands(tmp_path: Path) -> None:
    text = "email,name\n" + "a@example.com,Ann\n" * 70_000 + "b@example.com,佐藤\n"
    (tmp_path / "list.csv").write_bytes(text.encode("iso2022_jp"))
    with pytest.raises(InputError) as caught:
        rows_of(tmp_path)
    assert caught.value.evidence == (
        "list.csv:70002, column 15: byte 0x1B, an escape sequence as in ISO-2022",
        "as iso2022_jp: b@example.com,佐藤",
    )


def test_colours_of_a_terminal_are_no_encoding(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"email,name\na@example.com,\x1b[31mAnn\n")
    assert rows_of(tmp_path) == [["a@example.com", "\x1b[31mAnn"]]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("language", ["de", "ru", "ar", "zh", "ja", "ko"])
def test_wide_characters_without_a_mark_are_called_by_their_name(tmp_path: Path, language: str, codec: str) -> None:
    wrong = []
    for text in samples(language, codec, 3, 30):
        rows = "".join(f"p{at}@example.com,{line}\n" for at, line in enumerate(text.splitlines()))
        (tmp_path / "list.csv").write_bytes(f"email,name,city\n{rows}".encode(codec))
        with pytest.raises(InputError, match="is not UTF-8") as caught:
            rows_of(tmp_path)
        wrong += [] if f'encoding = "{codec}"' in caught.value.next_step else [text]
        assert rows_of(tmp_path, encoding=codec) == [line.split(",") for line in rows.splitlines()]
    assert len(wrong) <= 3


@pytest.mark.parametrize("language", ["de", "ru", "ar", "zh", "ja", "ko"])
@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_wide_characters_with_a_mark_are_read_by_themselves(tmp_path: Path, language: str, codec: str) -> None:
    for text in samples(language, codec, 3, 30):
        rows = "".join(f"p{at}@example.com,{line}\n" for at, line in enumerate(text.splitlines()))
        (tmp_path / "list.csv").write_bytes(f"email,name,city\n{rows}".encode(codec))
        assert rows_of(tmp_path) == [line.split(",") for line in rows.splitlines()]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_by_itself(tmp_path: Path, codec: str) -> None:
    (tmp_path / "list.csv").write_bytes("email,name\na@example.com,Zoë 你好\n".encode(codec))
    assert rows_of(tmp_path) == [["a@example.com", "Zoë 你好"]]


def test_what_is_not_utf_8_names_line_and_column_and_shows_readings(tmp_path: Path) -> None:
    text = "email,name\n" + "a@example.com,Ann\n" * 70_000 + "b@example.com,Jürgen Groß\n"
    (tmp_path / "list.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(InputError, match="is not UTF-8") as caught:
        rows_of(tmp_path)
    assert caught.value.evidence[0].startswith("list.csv:70002, column 16: byte 0xFC")
    assert caught.value.evidence[1] == "as cp1252: b@example.com,Jürgen Groß"
    assert len(caught.value.evidence) == 4
    assert 'encoding = "cp1252"' in caught.value.next_step


def test_a_file_of_two_encodings_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(
        "email,name\na@example.com,Zoë\n".encode() + "b@example.com,Zoë\n".encode("cp1252")
    )
    with pytest.raises(InputError) as caught:
        rows_of(tmp_path)
    assert "two encodings" in caught.value.evidence[0]


def test_control_characters_of_a_wrong_reading_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"email,name\na@example.com,\x1b[31m\xfc\x9b\n")
    with pytest.raises(InputError) as caught:
        rows_of(tmp_path)
    assert all(line.isprintable() for line in caught.value.evidence)


@pytest.mark.parametrize(
    ("data", "settings", "error", "told"),
    [
        ("email,n\na@example.com,x\n".encode("utf-16-le"), {}, InputError, "many of its bytes are zero"),
        ("email,n\na@example.com,x\n".encode("utf-16")[:-1], {}, InputError, "truncated data"),
        (
            "email,n\na@example.com,Zo\xe9\n".encode("gbk", "replace")[:-1] + b"\xff\n",
            {"encoding": "gbk"},
            InputError,
            "GBK",
        ),
        ("\ufeffemail\n".encode(), {"encoding": "cp1252"}, ConfigError, "carries the mark of UTF-8"),
        (b"email\n", {"encoding": "klingon"}, ConfigError, "no encoding known"),
        (b"email\n", {"encoding": "rot13"}, ConfigError, "no encoding known"),
    ],
)
def test_a_wrong_or_missing_encoding_ends_in_a_sentence(
    tmp_path: Path, data: bytes, settings: dict[str, str], error: type[Exception], told: str
) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(error, match=told):
        rows_of(tmp_path, **settings)


def rows_of(folder: Path, **settings: str) -> list[list[str]]:
    source = open_source(AudienceSection(source="list.csv", **settings), folder)  # type: ignore[arg-type]
    return [[str(cell) for cell in row] for chunk in source.chunks() for row in chunk.rows]
