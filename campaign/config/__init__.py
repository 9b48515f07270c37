"""The campaign file, parsed once into frozen settings with one section for each stage."""

from pathlib import Path

from campaign.config.loading import Settings, load

#: The JSON Schema of the campaign file, for editors; made from the sections by `docs/make_schema.py`.
SCHEMA = Path(__file__).parents[1] / "campaign.schema.json"

__all__ = ["SCHEMA", "Settings", "load"]
