"""The campaign file, parsed once into frozen settings with one section for each stage."""

from campaign.config.loading import Settings, load

__all__ = ["Settings", "load"]
