"""Each row has one reason, the first that applies, and no row is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.audience.screening.screen_rows import KeySet, ScreenedChunk, ScreenedRow, Screener, Suppression, digest
from campaign.audience.screening.suppression_list import _List
from campaign.audience.sources.row_chunks import BadRow, Chunk
from campaign.config.audience import AudienceSection
from campaign.model import Value

COLUMNS = ("email", "name", "plan", "age")


def lists(*addresses: str) -> Suppression:
    found, one = Suppression(), _List("gone.txt")
    one.keys.add([digest(address) for address in addresses])
    found._lists.append(one)
    return found


def sift(
    rows: Sequence[Sequence[Value]],
    *,
    suppressed: Sequence[str] = (),
    already: Sequence[str] = (),
    only: Callable[[str], bool] | None = None,
    **settings: object,
) -> ScreenedChunk:
    slice_ = AudienceSection(source="list.csv", **settings)  # type: ignore[arg-type]
    known = KeySet()
    if already:
        known.add([digest(key) for key in already])
    screener = Screener(slice_, COLUMNS, lists(*suppressed), known, only)
    return screener.screen(Chunk(rows=list(rows), lines=list(range(2, len(rows) + 2))))


def reasons(found: ScreenedChunk) -> list[tuple[int, str, str]]:
    return [(one.line, one.kind.value, one.detail) for one in found.aside]


def test_a_row_is_kept_with_its_key_wire_address_name_and_line() -> None:
    found = sift([("Ada@Bücher.Example", " Ada L. ", "pro", "36")], display_name="name")
    assert found.kept == [
        (
            "ada@xn--bcher-kva.example",
            "Ada@xn--bcher-kva.example",
            "Ada L.",
            2,
            ("Ada@Bücher.Example", " Ada L. ", "pro", "36"),
        )
    ]


@pytest.mark.parametrize(
    ("row", "kind", "told"),
    [
        (("nobody", "", "pro", "1"), "invalid", "an address must have an @"),
        (("", "", "pro", "1"), "invalid", "the address is empty"),
        (("a@example.com", "", "pro", "old"), "invalid", "column 'age': 'old' is not a whole number"),
        (("a@example.com", "", "free", "1"), "filtered", "does not meet audience.where"),
        (("gone@example.com", "", "pro", "1"), "suppressed", "listed in gone.txt"),
        (("served@example.com", "", "pro", "1"), "already", "served by an earlier run of this edition"),
        # the first reason that applies is the one that is given
        (("nobody", "", "free", "1"), "filtered", "does not meet audience.where"),
        (("nobody", "", "free", "x"), "invalid", "column 'age'"),
        (("GONE@example.com", "", "free", "1"), "filtered", "does not meet audience.where"),
    ],
)
def test_a_row_is_set_aside_for_the_first_reason_that_applies(row: tuple[str, ...], kind: str, told: str) -> None:
    found = sift(
        [row],
        suppressed=["gone@example.com"],
        already=["served@example.com", "gone@example.com"],
        where="plan == 'pro'",
        columns={"age": "integer"},
    )
    assert found.kept == []
    assert [(one[0], one[1]) for one in reasons(found)] == [(2, kind)]
    assert reasons(found)[0][2].startswith(told)


def test_the_first_row_of_an_address_wins_and_the_others_name_its_line() -> None:
    found = sift([("ada@example.com", "1", "", ""), ("ADA@example.com", "2", "", ""), ("ada@Example.com", "3", "", "")])
    assert [row.values[1] for row in found.kept] == ["1"]
    assert reasons(found) == [(3, "duplicate", "same address as line 2"), (4, "duplicate", "same address as line 2")]


def test_a_row_that_is_not_wanted_makes_no_later_one_a_duplicate() -> None:
    found = sift([("ada@example.com", "", "free", ""), ("ada@example.com", "", "pro", "")], where="plan == 'pro'")
    assert [row.line for row in found.kept] == [3]


def test_with_a_key_one_address_may_get_several_letters() -> None:
    rows = [
        ("ada@example.com", "1", "", ""),
        ("ada@example.com", " 2 ", "", ""),
        ("bob@example.com", "1", "", ""),
        ("eve@example.com", " ", "", ""),
    ]
    found = sift(rows, key="name")
    assert [(row.key, row.address) for row in found.kept] == [("1", "ada@example.com"), ("2", "ada@example.com")]
    assert reasons(found) == [
        (4, "duplicate", "same name as line 2"),
        (5, "invalid", "the key column 'name' is empty"),
    ]


def test_with_a_key_suppression_still_looks_at_the_address_and_already_at_the_key() -> None:
    rows = [("ada@example.com", "1", "", ""), ("bob@example.com", "2", "", "")]
    found = sift(rows, key="name", suppressed=["ada@example.com"], already=["2"])
    assert [one[1] for one in reasons(found)] == ["suppressed", "already"]


def test_provider_rules_make_duplicates_of_one_mailbox() -> None:
    rows = [("a.da@gmail.com", "", "", ""), ("ada+x@googlemail.com", "", "", "")]
    assert len(sift(rows).kept) == 2
    assert len(sift(rows, provider_rules=True).kept) == 1


def test_only_the_keys_asked_for_are_kept() -> None:
    rows = [("ada@example.com", "", "", ""), ("bob@example.com", "", "", "")]
    found = sift(rows, only=lambda key: key.startswith("bob"))
    assert [row.key for row in found.kept] == ["bob@example.com"]
    assert reasons(found) == [(2, "already", "not among those to be served again")]


def test_typed_cells_reach_the_plan_as_values_and_a_typed_key_as_text() -> None:
    found = sift([("ada@example.com", "", "", " 007 ")], columns={"age": "integer"}, key="age")
    assert found.kept[0].values == ["ada@example.com", "", "", 7]
    assert found.kept[0].key == "7"


def test_bad_rows_are_invalid_with_their_line_and_beginning() -> None:
    screener = Screener(AudienceSection(source="list.csv"), COLUMNS, Suppression())
    found = screener.screen(Chunk(bad=[BadRow(7, "3 fields where the header has 4", "a,b,c\x1b")]))
    assert found.aside == [ScreenedRow(7, "", found.aside[0].kind, "3 fields where the header has 4: 'a,b,c\\x1b'")]


ADDRESSES = st.sampled_from(
    ["a@example.com", "A@example.com", "b@example.com", "gone@example.com", "no", "", "s@example.com"]
)
ROWS = st.lists(
    st.tuples(ADDRESSES, st.sampled_from("12"), st.sampled_from(["pro", "free"]), st.sampled_from(["1", "x", ""]))
)


@given(ROWS, st.integers(1, 4), st.booleans())
def test_every_row_is_either_kept_or_set_aside_whatever_the_chunks(
    rows: list[tuple[str, ...]], size: int, keyed: bool
) -> None:
    settings = AudienceSection(
        source="list.csv", where="plan == 'pro'", columns={"age": "integer"}, key="name" if keyed else ""
    )

    def run(size: int) -> tuple[list[str], Counter[str], list[int]]:
        screener = Screener(settings, COLUMNS, lists("gone@example.com"))
        keys, kinds, lines = [], Counter[str](), []
        for at in range(0, len(rows), size):
            part = rows[at : at + size]
            found = screener.screen(Chunk(rows=list(part), lines=list(range(at, at + len(part)))))
            keys += [row.key for row in found.kept]
            kinds.update(one.kind.value for one in found.aside)
            lines += [row.line for row in found.kept] + [one.line for one in found.aside]
        return keys, kinds, lines

    keys, kinds, lines = run(size)
    assert sorted(lines) == list(range(len(rows)))
    assert len(keys) == len(set(keys))
    assert (keys, kinds) == run(1000)[:2]
