"""Serving a run: passes, rendering, stop triggers, recording."""
