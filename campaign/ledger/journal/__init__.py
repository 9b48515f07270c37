"""The journal of a run: its file, its records, reading it again."""
