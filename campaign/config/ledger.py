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

    directory: Path = Field(Path("runs"), description="the folder of all runs")
    in_doubt: InDoubt = Field(
        "hold", description="hold: list them, exit 4; resend: send the same bytes again; skip: never send again"
    )
    durability: Durability = Field("process", description="process: survives any kill; power: also a loss of power")
    store: str = Field("", description="postgresql://… : a database that keeps the runs for several machines")
    store_password_file: Path | None = Field(None, description="the store's password, on the first line of this file")
    must_exist: bool = Field(False, description="refuse to start (73) if the folder or the secret is missing")
