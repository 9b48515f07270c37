"""Passes over those who wait: rendering, stop triggers, recording."""
