"""Commands for a run that exists: status, steering, doubts, report, repair."""
