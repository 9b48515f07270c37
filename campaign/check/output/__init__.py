"""Findings as other programs read them, and those that the campaign file says do not count."""
