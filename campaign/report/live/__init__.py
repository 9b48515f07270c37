"""What is shown while a run works: progress, event log, messages."""
