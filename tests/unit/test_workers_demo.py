"""The books of `make demo-workers`: what it calls lost, extra and wrong."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "sample_data"
PEOPLE = ["a@example.com", "b@example.com", "c@example.com"]


@pytest.fixture(scope="module")
def demo() -> object:
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("workers_demo", FOLDER / "workers_demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["workers_demo"] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    sys.path.remove(str(FOLDER))
    return module


@pytest.mark.parametrize(
    ("letters", "accepted", "doubts", "lost", "extra", "holds"),
    [
        ("abc", 3, "", 0, 0, True),
        ("ab", 2, "c", 0, 0, True),  # in doubt, and has not arrived
        ("abc", 2, "c", 0, 0, True),  # in doubt, and has
        ("ab", 3, "", 1, 0, False),
        ("abbc", 3, "", 0, 1, False),
        ("abcc", 2, "c", 0, 1, False),  # in doubt, and was sent again though nobody asked for it
        ("abcd", 3, "", 0, 1, False),  # a stranger
        ("abc", 2, "", 0, 0, False),  # one has no verdict
        ("a", 1, "bc", 0, 0, False),  # more doubts than the dead worker had connections
    ],
)
def test_it_holds_only_if_arrivals_and_verdicts_agree(
    letters: str, accepted: int, doubts: str, lost: int, extra: int, holds: bool, demo: object
) -> None:
    found = demo.balance(  # type: ignore[attr-defined]
        PEOPLE,
        Counter(f"{one}@example.com" for one in letters),
        {"accepted": accepted, "in_doubt": len(doubts)},
        {f"{one}@example.com" for one in doubts},
        1,
    )
    assert (len(found.lost), found.extra, found.holds) == (lost, extra, holds)


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("postgresql://campaign@127.0.0.1:1/campaign", "cannot be used.\n"),
        ("postgresql://campaign:geheim@127.0.0.1:1/campaign", "holds a password"),
        ("mysql://campaign@127.0.0.1/campaign", "is not the address of a PostgreSQL database."),
    ],
)
def test_a_store_that_cannot_be_used_is_named_before_any_worker_starts(
    store: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], demo: object
) -> None:
    words = ["--letters", "100", "--store", store, "--folder", str(tmp_path / "demo")]
    assert demo.main(words) == 1  # type: ignore[attr-defined]
    out, err = capsys.readouterr()
    assert said in err
    assert "Next: " in err
    assert "Worker" not in out
    assert "geheim" not in out + err
    assert not list((tmp_path / "demo").glob("machine-*"))
