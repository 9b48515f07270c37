"""CHECKPOINT: what happened, durably. One append-only journal per run, and its replay."""
