"""Whole runs of a store: which there are, copies of them on this machine, checking them out and in."""
