"""Changing a store as a whole: runs moved into it, and damaged ones repaired."""
