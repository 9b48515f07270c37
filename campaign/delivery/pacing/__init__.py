"""Pacing: rates, sliding windows, ramps, and their state shared by processes."""
