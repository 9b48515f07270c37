"""The state of a run and of each recipient, rebuilt from the journal."""
