"""Configuration: parsed once at the door, frozen, handed on in slices, one per stage."""

from campaign.config.loading import Settings, load

__all__ = ["Settings", "load"]
