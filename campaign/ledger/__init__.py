"""What happened, durably: one append-only journal for each run, and its replay."""
