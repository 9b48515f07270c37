"""The ``[report]`` section: what the operator sees."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from campaign.config.slice import Slice
from campaign.config.units import Duration


class ReportSlice(Slice):
    """How often a run speaks off a terminal, and where machines read its numbers."""

    interval: Duration = Field(10.0, gt=0, description="off a terminal, a line this often")
    metrics_file: Path | None = Field(None, description="a .prom file for the node exporter's textfile collector")
    show_addresses: bool = Field(False, description="whole addresses in log.jsonl; by default the domain alone")
