"""Kills, breaks and starves the sender, and counts what became of every letter. Not shipped, no part of the package."""
