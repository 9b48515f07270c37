"""A case: one run of one scenario with its own seed, so that any of them can be repeated alone."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torture.audit import Tally
from torture.bench import Bench, Stuck

#: What a case is run with: the bench, its folder, its seed, the tally to fill, and its own settings.
Act = Callable[..., None]


@dataclass(frozen=True)
class Case:
    """``act`` is called as ``act(bench, folder, seed, tally, **settings)``; ``cost``: about how many seconds."""

    scenario: str
    name: str
    act: Act
    settings: dict[str, Any] = field(default_factory=dict)
    cost: float = 1.0


def run(case: Case, bench: Bench, seed: int, evidence: Path) -> Tally:
    """Run one case; where something does not hold its folder is kept under ``evidence``."""
    folder = bench.scratch / case.name.replace(" ", "-").replace("/", "-")
    folder.mkdir(parents=True)
    tally, began = Tally(case.scenario), time.monotonic()
    try:
        with bench.borrowed:
            case.act(bench, folder, seed, tally, **case.settings)
    except Stuck as stuck:
        tally.broken.append(str(stuck))
    except Exception:  # noqa: BLE001 - an error of the torture is a failure of its case, not the end of all
        tally.broken.append(f"the torture itself failed: {traceback.format_exc(limit=-6)}")
    tally.seconds = time.monotonic() - began
    tally.broken = [f"[{case.name}] {sentence}" for sentence in tally.broken]
    if tally.broken:
        kept = evidence / folder.name
        shutil.copytree(folder, kept, dirs_exist_ok=True, ignore_dangling_symlinks=True)
        (kept / "what-did-not-hold.txt").write_text("\n".join(tally.broken) + "\n", encoding="utf-8")
        tally.evidence = str(kept)
    shutil.rmtree(folder, ignore_errors=True)
    return tally
