"""The ledger: one append-only journal for each run, and its replay."""
