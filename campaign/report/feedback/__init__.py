"""Figures of what came back about a run, and what they say."""
