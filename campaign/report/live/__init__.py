"""Output while a run works: progress, event log, messages."""
