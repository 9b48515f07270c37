"""A forgotten line of a plan holds no person, leaves all others as they were, and still tells who was served."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from campaign.audience.plan.forgotten_rows import (
    is_forgotten,
    kept_digests,
    kept_message_id,
    seal_key,
    seals_in,
    write_forgetful,
)
from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.key_set import digest
from campaign.audience.screening.served_keys import ServedKeys

SECRET = b"a secret of thirty-two octets ..."
NAME = "0123456789abcdef0123456789abcdef01234567"


def plan_of(folder: Path, rows: Sequence[tuple[str, Any]]) -> Plan:
    header = {
        "plan": 1,
        "source": "people.csv",
        "input": ["email", "note"],
        "columns": {"email": "text", "note": "text"},
    }
    lines: list[Any] = [header]
    lines += [[at, address, address, "A name", at + 2, [address, note]] for at, (address, note) in enumerate(rows)]
    lines.append({"books": {"read": len(rows), "planned": len(rows)}})
    path = folder / "plan.jsonl"
    path.write_bytes(b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines))
    return Plan.open(path)


def masked(data: bytes) -> bytes:
    return data.replace(b"ada@example.com", b"*" * 15)


def rewritten(plan: Plan, forgotten: dict[int, str], kept: Sequence[int] = ()) -> tuple[Plan, tuple[int, int, int]]:
    target = io.BytesIO()
    done = write_forgetful(plan, target, forgotten, masked, lambda number: number not in kept)
    plan.path.write_bytes(target.getvalue())
    return Plan.open(plan.path), (done.forgotten, done.masked, done.left)


def test_a_forgotten_line_keeps_its_number_and_nothing_of_the_person(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [(f"p{n}@example.com", "x") for n in range(5)])
    kept = kept_digests(SECRET, ["p2@example.com"])
    after, counts = rewritten(plan, {2: kept})
    assert counts == (1, 0, 0)
    one = after.recipient(2)
    assert (one.number, one.address, one.key, one.name, one.line) == (2, "", kept, "", 0)
    assert dict(one.row) == {"email": None, "note": None}
    assert is_forgotten(one)
    assert [one.number for one in after.recipients() if not is_forgotten(one)] == [0, 1, 3, 4]
    assert (after.books, after.size) == (plan.books, plan.size)
    assert b"p2@" not in after.path.read_bytes()


@pytest.mark.parametrize("number", [0, 4])
def test_every_line_is_found_by_its_number_afterwards(tmp_path: Path, number: int) -> None:
    plan = plan_of(tmp_path, [(f"p{n}@example.com", "x" * 500) for n in range(5)])
    after, _ = rewritten(plan, {number: kept_digests(SECRET, ["k"], NAME)})
    assert [after.recipient(at).number for at in range(5)] == [0, 1, 2, 3, 4]
    assert [after.recipient(at).address for at in range(5) if at != number] == [
        f"p{at}@example.com" for at in range(5) if at != number
    ]


@pytest.mark.parametrize(
    "note", ["sent by ada@example.com", {"of": ["ada@example.com", {"deep": "ada@example.com"}]}, ["ada@example.com"]]
)
def test_values_of_others_are_masked_at_any_depth(tmp_path: Path, note: Any) -> None:
    after, counts = rewritten(plan_of(tmp_path, [("p0@example.com", note)]), {})
    assert counts == (0, 1, 0)
    assert b"ada@" not in after.path.read_bytes()
    assert after.recipient(0).address == "p0@example.com"


def test_values_of_whoever_still_gets_a_letter_stay(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [("p0@example.com", "ada@example.com"), ("p1@example.com", "ada@example.com")])
    after, counts = rewritten(plan, {}, kept=[1])
    assert counts == (0, 1, 1)
    assert [one.row["note"] for one in after.recipients()] == ["*" * 15, "ada@example.com"]


def test_the_key_and_the_address_of_others_are_never_masked(tmp_path: Path) -> None:
    after, _ = rewritten(plan_of(tmp_path, [("nada@example.com", "x")]), {})
    assert after.recipient(0).address == "nada@example.com"


def test_what_is_kept_tells_seals_from_a_message_id() -> None:
    kept = kept_digests(SECRET, ["a", "b", "a", ""], NAME)
    assert sorted(seals_in(kept)) == sorted(seal_key(SECRET, digest(key)) for key in ("a", "b"))
    assert kept_message_id(kept) == NAME
    assert kept_message_id(kept_digests(SECRET, ["a"])) == ""


def test_a_seal_needs_the_secret() -> None:
    assert seal_key(SECRET, digest("a")) != seal_key(b"another", digest("a"))
    assert digest("a").hex() not in kept_digests(SECRET, ["a"])


def test_served_keys_contain_what_was_added_by_key_or_by_seal() -> None:
    keys = ServedKeys([b"a newer secret", SECRET])
    assert not keys
    keys.add_seals([seal_key(SECRET, digest("sealed"))])
    assert keys
    assert keys.contains([digest(key) for key in ("sealed", "plain", "other")]) == [True, False, False]
    keys.add([digest("plain")])
    assert keys.contains([digest(key) for key in ("sealed", "plain", "other")]) == [True, True, False]
    assert keys.contains([]) == []


def test_without_the_secret_nobody_is_recognised_by_a_seal() -> None:
    keys = ServedKeys([b"another"])
    keys.add_seals([seal_key(SECRET, digest("sealed"))])
    assert keys.contains([digest("sealed")]) == [False]
