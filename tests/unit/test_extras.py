"""The extras of the package: the guide lists each, and `all` has them all."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def test_the_guide_lists_every_extra_and_no_other() -> None:
    section = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split("\n## Optional libraries\n")[1]
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| ", section, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row)]
    assert sorted(listed) == sorted(EXTRAS)


def test_all_has_every_extra() -> None:
    (whole,) = EXTRAS["all"]
    assert set(whole.removeprefix("campaign[").removesuffix("]").split(",")) == set(EXTRAS) - {"all"}
