"""Text to records: nothing swallowed, every physical line accounted for, whatever the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.audience.sources import csv_parser
from campaign.audience.sources.csv_parser import Dialect, RecordReader, numbered_lines
from campaign.audience.sources.row_chunks import BadRow
from campaign.errors import InputError

Found = tuple[list[tuple[int, list[str]]], list[tuple[int, str]]]


def cut(text: str, width: int, piece: int = 1 << 20, dialect: Dialect | None = None) -> Found:
    cutter = RecordReader(dialect or Dialect(), width, "list.csv")
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
    rows: list[tuple[int, list[str]]] = []
    bad: list[BadRow] = []
    for first, lines, final in numbered_lines(pieces, "list.csv"):
        for chunk in cutter.cut(first, lines, final):
            rows += [(line, [str(cell) for cell in row]) for line, row in zip(chunk.lines, chunk.rows, strict=True)]
            bad += chunk.bad
    return rows, [(one.line, one.reason) for one in bad]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize(
    ("text", "rows", "bad"),
    [
        ("a,b\nc,d\n", [(1, ["a", "b"]), (2, ["c", "d"])], []),
        ("a,b\r\nc,d", [(1, ["a", "b"]), (2, ["c", "d"])], []),
        ("a,b\rc,d\r", [(1, ["a", "b"]), (2, ["c", "d"])], []),
        ("\n\na,b\n\n", [(3, ["a", "b"])], []),
        ('"a\nx",b\nc,d\n', [(1, ["a\nx", "b"]), (3, ["c", "d"])], []),
        ('"a\r\n\r\nx",b\r\nc,d\r\n', [(1, ["a\r\n\r\nx", "b"]), (4, ["c", "d"])], []),
        ('"a""b, c",d\n', [(1, ['a"b, c', "d"])], []),
        (" a , b \n", [(1, [" a ", " b "])], []),
        ("a\u2028x,b\x0b\x0cy\x1cz\n", [(1, ["a\u2028x", "b\x0b\x0cy\x1cz"])], []),
        ("a\na,b\na,b,c\n", [(2, ["a", "b"])], [(1, "1 field"), (3, "3 fields")]),
        ("a,b\nx\0,d\ne,f\n", [(1, ["a", "b"]), (3, ["e", "f"])], [(2, "NUL")]),
        ('a,"b\nc,d\ne,f\n', [(2, ["c", "d"]), (3, ["e", "f"])], [(1, "never closes")]),
        ('a,"b\nc,d\ne,"f\n', [(2, ["c", "d"])], [(1, "closing quote"), (3, "never closes")]),
        ('a,"b"x\nc,d\n', [(2, ["c", "d"])], [(1, "closing quote")]),
        ('a,"b\nc","d\ne,f\n', [(3, ["e", "f"])], [(1, "closes"), (2, "closes")]),
        ('a,b"c\n"d",e\n', [(1, ["a", 'b"c']), (2, ["d", "e"])], []),
        ('"x\ny"\nc,d\n', [(3, ["c", "d"])], [(1, "1 field"), (2, "1 field")]),
        ("", [], []),
        ('"', [], [(1, "never closes")]),
    ],
)
def test_records_keep_their_lines_and_bad_ones_cost_one_line(
    text: str, rows: list[tuple[int, list[str]]], bad: list[tuple[int, str]], piece: int
) -> None:
    found, told = cut(text, 2, piece)
    assert found == rows
    assert [line for line, _ in told] == [line for line, _ in bad]
    assert all(part in reason for (_, reason), (_, part) in zip(told, bad, strict=True))


def test_without_a_quote_character_quotes_are_plain() -> None:
    assert cut('"a,b"\n', 2, dialect=Dialect(",", ""))[0] == [(1, ['"a', 'b"'])]


def test_a_field_longer_than_the_limit_is_a_bad_row_and_the_next_ones_are_read() -> None:
    rows, bad = cut(f"a,{'x' * (csv_parser.FIELD_LIMIT + 1)}\nc,d\n", 2)
    assert rows == [(2, ["c", "d"])]
    assert bad[0][0] == 1
    assert "131,072" in bad[0][1]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "x" * (1 << 16)

    with pytest.raises(InputError, match=r"Line 1 of list\.csv is longer than 1,048,576 characters"):
        list(numbered_lines(endless(), "list.csv"))


def test_a_record_may_span_the_border_of_two_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_parser, "CHUNK_ROWS", 3)
    text = 'a,b\nc,d\n"e\nf",g\nh,i\n'
    assert cut(text, 2)[0] == [(1, ["a", "b"]), (2, ["c", "d"]), (3, ["e\nf", "g"]), (5, ["h", "i"])]


def test_a_quote_that_stays_open_for_longer_than_a_chunk_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_parser, "CHUNK_ROWS", 3)
    rows, bad = cut('a,"b\n' + "c,d\n" * 20, 2)
    assert bad == [(1, csv_parser.OPEN)]
    assert [line for line, _ in rows] == list(range(2, 22))


def test_a_file_made_to_be_read_again_and_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_parser, "REREAD_LIMIT", 10_000)
    with pytest.raises(InputError, match="quotes that never close"):
        cut('a","\n' * 2000, 2)


CELLS = st.text(st.sampled_from('ab ,"\n\r;é\u2028'), max_size=6)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=12), st.integers(1, 9))
def test_whatever_a_csv_writer_wrote_is_read_back(table: list[list[str]], piece: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    rows, bad = cut(text.getvalue(), 3, piece)
    assert [row for _, row in rows] == table
    assert bad == []


@given(st.text(st.sampled_from('ab,"\n\r\0'), max_size=60), st.integers(1, 9))
def test_every_line_is_in_a_record_or_bad_or_blank(text: str, piece: int) -> None:
    rows, bad = cut(text, 2, piece)
    lines = io.StringIO(text, newline="").readlines()
    covered = [line for line, _ in bad]
    for line, row in rows:
        span = 1 + sum(
            len(io.StringIO(cell, newline="").readlines()) - 1 + cell.endswith(("\n", "\r")) for cell in row if cell
        )
        covered += range(line, line + span)
    assert len(covered) == len(set(covered))
    left = [lines[at] for at in range(len(lines)) if at + 1 not in covered]
    assert not "".join(left).strip("\r\n")
