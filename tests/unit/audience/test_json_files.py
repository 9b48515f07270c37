"""Lists of JSON objects: values keep their types, nothing is lost or guessed, and each bad file ends in a sentence."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.json_records import json_document, json_file
from campaign.audience.sources.row_chunks import BadRow
from campaign.audience.sources.source_factory import open_source
from campaign.config.audience import AudienceSection
from campaign.errors import CampaignError, InputError

ANN = {"email": "a@example.com", "n": 7, "real": 12.5, "yes": True, "none": None, "tags": ["x", 1], "to": {"a": [1]}}


def rows(folder: Path, data: bytes | str, name: str = "list.jsonl", **settings: object) -> list[list[object]]:
    return [list(row) for row in read(folder, data, name, **settings)[1]]


def read(
    folder: Path, data: bytes | str, name: str = "list.jsonl", **settings: object
) -> tuple[tuple[str, ...], list[list[object]], list[int], list[BadRow]]:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    source = open_source(AudienceSection(source=name, **settings), folder)
    chunks = list(source.chunks())
    return (
        source.columns,
        [list(row) for chunk in chunks for row in chunk.rows],
        [line for chunk in chunks for line in chunk.lines],
        [bad for chunk in chunks for bad in chunk.bad],
    )


def refusal(folder: Path, data: bytes | str, name: str = "list.jsonl", **settings: object) -> CampaignError:
    with pytest.raises(CampaignError) as caught:
        read(folder, data, name, **settings)
    assert caught.value.next_step
    return caught.value


def frozen(folder: Path, **given: object) -> Plan:
    settings = AudienceSection(**given)
    return freeze(settings, folder, folder, suppression=Suppression.load(settings, folder))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.jsonl", json.dumps(ANN)),
        ("list.NDJSON", json.dumps(ANN) + "\r\n"),
        ("list.json", json.dumps([ANN])),
        ("list.json", json.dumps([ANN], indent=2)),
        ("list.json", json.dumps({"total": 1, "next": None, "ids": [1], "members": [ANN], "page": {"n": 1}}, indent=1)),
        ("list.json", "\n\t[ " + json.dumps(ANN) + " ]\r\n"),
    ],
)
def test_values_of_json_keep_their_types(tmp_path: Path, name: str, text: str) -> None:
    columns, (row,), _, bad = read(tmp_path, text, name)
    assert dict(zip(columns, row, strict=True)) == ANN
    assert [type(value) for value in row] == [type(value) for value in ANN.values()]
    assert not bad


def test_the_columns_are_the_names_of_all_objects_in_the_order_of_their_first_appearance(tmp_path: Path) -> None:
    text = '{"email": "a@example.com"}\n{"name": "Bo", "email": "b@example.com"}\n{"late": 0}\n'
    columns, found, lines, _ = read(tmp_path, text)
    assert columns == ("email", "name", "late")
    assert found == [["a@example.com", None, None], ["b@example.com", "Bo", None], [None, None, 0]]
    assert lines == [1, 2, 3]


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("9007199254740992", 2**53),
        ("9007199254740993", "9007199254740993"),
        ("-" + "9" * 40, "-" + "9" * 40),
        ("9007199254740993.5", "9007199254740993.5"),
        ("1e400", "1e400"),
        ("0.1", 0.1),
    ],
)
@pytest.mark.parametrize("name", ["list.jsonl", "list.json"])
def test_numbers_beyond_what_readers_hold_exactly_become_their_text(
    tmp_path: Path, name: str, number: str, value: object
) -> None:
    text = f'{{"email": "a@example.com", "n": {number}, "within": [{{"n": {number}}}]}}'
    (row,) = rows(tmp_path, text if name == "list.jsonl" else f"[{text}]", name)
    assert row[1:] == [value, [{"n": value}]]


BAD = {
    "cut off": ('{"email": "a@exam', "not JSON at column 18"),
    "no object": ('["a@example.com"]', "not an object in braces"),
    "null": ("null", "not an object in braces"),
    "text": ("hello", "not JSON at column 1"),
    "two": ('{"email": "b"} {"email": "c"}', "more text follows the object"),
    "single quotes": ("{'email': 'b'}", "not JSON at column 2"),
    "twice": ('{"email": "b", "email": "c"}', "the name 'email' is there twice"),
    "twice with blanks": ('{"email" : "b", "email"\t: ":"}', "the name 'email' is there twice"),
    "twice within": ('{"email": "b", "x": [{"y": 1, "y": 2}]}', "the name 'y' is there twice"),
    "twice in disguise": ('{"email": "b", "\\u0065mail": "c"}', "the name 'email' is there twice"),
    "not a number": ('{"email": "b", "n": NaN}', "NaN is not JSON"),
    "infinite": ('{"email": "b", "n": [-Infinity]}', "-Infinity is not JSON"),
    "half a pair": ('{"email": "b", "x": "\\ud83d"}', "half a surrogate pair"),
    "half a pair as name": ('{"email": "b", "\\udc00": 1}', "half a surrogate pair"),
    "NUL": ('{"email": "b", "x": "\\u0000"}', "a NUL character"),
    "deep": ('{"email": "b", "x": ' + "[" * 30 + "]" * 30 + "}", "nested deeper than 20 levels"),
    "very deep": ('{"email": "b", "x": ' + "[" * 50_000 + "]" * 50_000 + "}", "nested deeper than 20 levels"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_line_costs_only_itself_and_is_told_with_its_number(tmp_path: Path, kind: str) -> None:
    text, reason = BAD[kind]
    good = '{"email": "a@example.com"}\n'
    columns, found, lines, (bad,) = read(tmp_path, f"\n{good}{text}\n\n{good}")
    assert (columns, found, lines) == (("email",), [["a@example.com"]] * 2, [2, 5])
    assert (bad.line, bad.raw) == (3, text[:200])
    assert reason in bad.reason


@pytest.mark.parametrize("kind", ["no object", "null", "twice", "not a number", "half a pair", "NUL", "deep"])
def test_a_bad_object_of_an_array_costs_only_itself(tmp_path: Path, kind: str) -> None:
    text, reason = BAD[kind]
    _, found, lines, (bad,) = read(tmp_path, '[\n{"email": "a"},\n' + text + ',\n{"email":\n "c"}]', "list.json")
    assert (found, lines, bad.line) == ([["a"], ["c"]], [2, 4], 3)
    assert reason in bad.reason


def test_bad_lines_are_invalid_rows_and_the_rows_balance(tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text('{"email": "a@example.com", "n": 3}\n{"email": \n{"n": 4}\n')
    plan = frozen(tmp_path, source="list.jsonl", where="n != 4", columns={"n": "integer"})
    assert (plan.books.read, plan.books.invalid, plan.books.filtered, plan.books.planned) == (3, 1, 1, 1)
    assert 'list.jsonl,2,,invalid,"not JSON at column 12' in (tmp_path / "screened.csv").read_text()


def test_dates_and_typed_columns_are_read_from_text(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('[{"email": "a@example.com", "due": "31.12.2026", "n": "7"}]')
    plan = frozen(tmp_path, source="list.json", columns={"due": "date:%d.%m.%Y", "n": "integer"})
    row = plan.recipient(0).row
    assert (str(row["due"]), row["n"]) == ("2026-12-31", 7)


@pytest.mark.parametrize(
    ("encode", "settings"),
    [
        (lambda text: codecs.BOM_UTF8 + text.encode(), {}),
        (lambda text: text.encode("utf-16"), {}),
        (lambda text: text.encode("cp1252"), {"encoding": "cp1252"}),
        (lambda text: gzip.compress(text.encode()), {"compression": "gzip"}),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_encodings_and_compression_are_those_of_text_files(
    tmp_path: Path, encode: object, settings: dict[str, str], kind: str
) -> None:
    text = '{"email": "zoe@example.com", "name": "Zoë"}'
    name = f"list.{kind}" + (".gz" if settings.get("compression") else "")
    data = encode(text if kind == "jsonl" else f"[{text}]")  # type: ignore[operator]
    assert rows(tmp_path, data, name, **settings) == [["zoe@example.com", "Zoë"]]


@pytest.mark.parametrize("name", ["list.jsonl", "list.json"])
def test_another_encoding_is_never_guessed(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, '[{"email": "zoe@example.com", "name": "Zoë"}]'.encode("cp1252"), name)
    assert "is not UTF-8" in error.what
    assert any("Zoë" in line for line in error.evidence)


REFUSED = {
    "empty lines": ("list.jsonl", "\n\n", "holds no objects.", ""),
    "empty objects": ("list.jsonl", "{}\n", "holds no objects.", ""),
    "an array": ("list.jsonl", "[\n{}\n]", "holds no objects that can be read", 'format = "json"'),
    "CSV": ("list.jsonl", "email\na@example.com\n", "holds no objects that can be read", 'format = "json"'),
    "no array": ("list.json", '{"email": "a@example.com"}', "not hold exactly one array", 'format = "jsonl"'),
    "two arrays": ("list.json", '{"a": [{"e": 1}], "b": [{"e": 2}]}', "not hold exactly one array", ""),
    "lines": ("list.json", '{"email": "a"}\n{"email": "b"}\n', "is not JSON", 'format = "jsonl"'),
    "no objects": ("list.json", "[]", "holds no objects.", ""),
    "numbers": ("list.json", "[1, 2]", "holds no objects that can be read", "one object for each row"),
    "text": ("list.json", '"a@example.com"', "is not JSON", ""),
    "nothing": ("list.json", "", "is not JSON", ""),
    "open": ("list.json", '[{"email": "a"}', "is not JSON", ""),
    "broken": ("list.json", '[{"email": "a"},\n {"email": }]', "is not JSON", ""),
    "comma": ("list.json", '[{"email": "a"},]', "is not JSON", ""),
    "two documents": ("list.json", '[{"email": "a"}][]', "is not JSON", ""),
    "no name": ("list.json", "{email: []}", "is not JSON", ""),
    "no colon": ("list.json", '{"email" []}', "is not JSON", ""),
    "abyss": ("list.json", "[" * 100_000, "nested too deeply", ""),
    "same names": ("list.jsonl", '{"email": "a", "email ": "b"}', "one name each", ""),
    "no address": ("list.jsonl", '{"who": "a"}', "has no column 'email'", ""),
    "a workbook": ("list.json", "PK\x03\x04", "is no text file", ""),
    "packed": ("list.jsonl.gz", "", "looks compressed", 'compression = "gzip"'),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_each_bad_file_ends_in_a_sentence(tmp_path: Path, kind: str) -> None:
    name, text, what, step = REFUSED[kind]
    error = refusal(tmp_path, text, name)
    assert what in error.what
    assert step in error.next_step


def test_a_fault_of_a_document_is_told_with_line_and_column(tmp_path: Path) -> None:
    error = refusal(tmp_path, '[{"email": "a"},\n {"email": }]', "list.json")
    assert error.evidence == ("list.json:2, column 12: Expecting value",)


def test_the_members_that_could_be_the_list_are_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, '{"a": [{"e": 1}], "b": [{"e": 2}]}', "list.json")
    assert error.evidence == ("these members are: 'a', 'b'",)


def test_a_document_beyond_the_bound_is_refused_with_the_command_that_makes_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_document, "LONGEST", 20)
    error = refusal(tmp_path, '{"members": [{"email": "a@example.com"}]}', "list.json")
    assert "too large" in error.what
    assert error.next_step == "write it as JSON Lines: jq -c '.[] | arrays[]' list.json > list.jsonl"
    assert refusal(tmp_path, '[{"email": "a@example.com"}]', "b.json").next_step.endswith(
        "jq -c '.[]' b.json > b.jsonl"
    )


def test_objects_that_are_keyed_by_person_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "COLUMNS", 10)
    error = refusal(tmp_path, json.dumps({f"p{n}@example.com": n for n in range(11)}))
    assert "more than 10 names" in error.what


def test_a_format_may_be_set_for_any_name_and_is_not_that_of_the_suppression_lists(tmp_path: Path) -> None:
    (tmp_path / "members").write_text('{"email": "a@example.com"}\n{"email": "b@example.com"}\n')
    (tmp_path / "gone.txt").write_text("b@example.com\n")
    plan = frozen(tmp_path, source="members", format="jsonl", suppress=["gone.txt"])
    assert (plan.books.planned, plan.books.suppressed) == (1, 1)


@pytest.mark.parametrize("name", ["gone.jsonl", "gone.json", "gone.jsonl.gz"])
def test_json_files_are_suppression_lists(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.csv").write_text("email\na@example.com\nb@example.com\n")
    text = b'{"id": 1, "email": "B@example.com"}'
    data = b"[" + text + b"]" if name.endswith(".json") else text
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    plan = frozen(tmp_path, source="list.csv", suppress=[name])
    assert (plan.books.planned, plan.books.suppressed) == (1, 1)


def test_a_file_that_gains_a_name_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text('{"email": "a@example.com"}\n')
    source = open_source(AudienceSection(source="list.jsonl"), tmp_path)
    path.write_text('{"email": "a@example.com", "more": 1}\n')
    with pytest.raises(InputError, match="changed while it was read"):
        list(source.chunks())
    os.utime(path, ns=(1, 1))
    assert open_source(AudienceSection(source="list.jsonl"), tmp_path).columns == ("email", "more")


def test_json_lines_take_the_same_memory_whatever_their_number(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.jsonl"
        path.write_text("".join(f'{{"email": "p{n}@example.com", "text": "{"x" * 100}"}}\n' for n in range(count)))
        tracemalloc.start()
        assert sum(
            len(chunk.rows) for chunk in open_source(AudienceSection(source=path.name), tmp_path).chunks()
        ) == count  # fmt: skip
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(60_000) < 1.5 * peak(20_000)
