"""Checks of the letters themselves."""
