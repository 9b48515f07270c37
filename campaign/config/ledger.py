"""The ``[ledger]`` section: where runs are recorded, how durably, and what happens to letters in doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from campaign.config.base_section import Section

InDoubt = Literal["hold", "resend", "skip"]
Durability = Literal["process", "power"]


class LedgerSection(Section):
    """The folder of the runs, the durability of the journal, and the policy for letters in doubt."""

    directory: Path = Field(Path("runs"), description="where run folders live")
    in_doubt: InDoubt = Field(
        "hold", description="hold: list them, exit 4; resend: same bytes again; skip: never again"
    )
    durability: Durability = Field("process", description="process: survives any kill; power: also a power loss")
    must_exist: bool = Field(False, description="refuse (73) when the folder or the secret is missing")
