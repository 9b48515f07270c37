"""The journal of a run: its file, its records, and its reader."""
