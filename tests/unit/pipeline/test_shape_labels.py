"""How forms of a letter are told apart in words."""

from __future__ import annotations

from typing import Any

import pytest

from campaign.model import Recipient
from campaign.pipeline.preview_rows.shape_labels import MOST_VALUES, UNKNOWN, shape_label


def labels(shapes: dict[str, list[dict[str, Any]]], *deciding: str) -> list[str]:
    """The label of each shape; rows are numbered through, and each has an address of its own."""
    count = iter(range(10**6))
    made = {
        shape: [
            Recipient(at, f"p{at}@example.com", "", "", at, {"email": f"p{at}", **row})
            for row, at in zip(rows, count, strict=False)
        ]
        for shape, rows in shapes.items()
    }
    return [shape_label(shape, made, deciding) for shape in made]


def column(name: str, *values: Any) -> list[dict[str, Any]]:
    return [{name: value} for value in values]


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ((["free", "free"], ["pro"]), ["x: free", "x: pro"]),
        ((["", ""], ["a long note of many words", "another"]), ["without x", "with x"]),
        (([True], [False, False]), ["with x", "without x"]),
        ((["101", "900"], ["7", "99"]), ["x: 101 to 900", "x: 7 to 99"]),
        (([[1]], [[1, 2], [3, 4]]), ["x: 1", "x: 2"]),
        (([None], ["yes"]), ["without x", "x: yes"]),
        ((["a"], ["a"]), [UNKNOWN, UNKNOWN]),
        ((["a", "b"],), [""]),
    ],
)
def test_a_form_is_called_by_what_its_rows_have_and_the_others_lack(shapes, said):
    assert labels({str(at): column("x", *values) for at, values in enumerate(shapes)}, "x") == said


def test_two_columns_are_named_where_one_does_not_tell_a_form_apart():
    shapes = {
        "a": [{"plan": "pro", "note": ""}],
        "b": [{"plan": "pro", "note": "n"}, {"plan": "pro", "note": "m"}],
        "c": [{"plan": "free", "note": ""}],
    }
    assert labels(shapes, "plan", "note") == ["plan: pro, without note", "with note", "plan: free"]


def test_only_columns_that_the_templates_decide_by_are_named():
    shapes = {"a": [{"city": "Bonn", "plan": "pro"}], "b": [{"city": "Rome", "plan": "free"}]}
    assert labels(shapes, "plan") == ["plan: pro", "plan: free"]
    assert labels(shapes, "kind") == [UNKNOWN, UNKNOWN]


def test_a_value_that_nearly_every_row_has_for_itself_says_nothing():
    many = column("x", *[f"v{at}" for at in range(MOST_VALUES + 1)])
    assert labels({"a": column("x", "alone"), "b": many}, "x") == [UNKNOWN, UNKNOWN]
